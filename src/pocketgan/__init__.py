"""Make image-to-image GANs small enough to run anywhere, with the images still good.

The functions of this module do what the commands of the same names do; `docs/api.md` has an example of each. Start with
``pocketgan.compress(model, data, budget="10x", out="runs/small")``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketgan.api import evaluate, export, generate, inspect, latency, of_all_trainings, reporter, train_config

if TYPE_CHECKING:
    from torch import nn

    from pocketgan.core.tasks import TaskName
    from pocketgan.pipeline.compress import Compressed

__all__ = ["compare", "compress", "evaluate", "export", "generate", "inspect", "latency", "load", "train"]
__version__ = "0.1.0"


def train(
    data: str | Path,
    *,
    task: TaskName,
    out: str | Path,
    arch: str | None = None,
    size: int | None = None,
    aspect: float | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    batch: int | None = None,
    resume: bool = False,
    progress: bool = True,
    **fields: Any,
) -> Path:
    """Train a generator and evaluate it on the test images.

    Args:
        data: folder in a known layout, or a built-in set: ``shapes``, ``textures``.
        task: ``paired`` (pix2pix), ``unpaired`` (CycleGAN), ``labels`` (GauGAN), ``unconditional`` or ``multimodal`` (MUNIT).
        out: run directory for generator, discriminator, log, samples and report.
        arch: name of ``pocketgan models``; None is the published one of the task.
        size: width of the training images; None is 256.
        aspect: width over height; None is 1.
        steps: training steps; None is 2,000.
        epochs: passes over the data, instead of steps.
        batch: images in a step; None is the published number of the task, else 4.
        resume: True to go on with the run in ``out``; the weights end as without the interruption.
        progress: True to show progress on the error stream.
        fields: other fields of `pocketgan.pipeline.config.TrainConfig`, with ``__`` for the dot: ``training__lr=1e-4``.

    Returns:
        The run directory.

    Raises:
        ValueError: before any training, for data, names, fields and sizes that do not fit.
    """
    from pocketgan.pipeline.train import train as run

    chosen = {"data.size": size, "data.aspect": aspect, "training.steps": steps, "training.epochs": epochs}
    config = train_config(str(data), task, arch, chosen | {"training.batch": batch} | _dotted(fields))
    return run(config, Path(out), resume=resume, reporter=reporter(progress))


def compress(
    model: str | Path | nn.Module,
    data: str | Path,
    *,
    budget: str = "10x",
    method: str = "magnitude",
    preset: str | None = None,
    out: str | Path,
    task: TaskName | None = None,
    size: int | None = None,
    aspect: float | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    batch: int | None = None,
    resume: bool = False,
    progress: bool = True,
    **fields: Any,
) -> Compressed:
    """Make a small generator from a trained one: pruned, recovered, measured, exported and verified, with a report.

    Args:
        model: artifact of pocketgan, published checkpoint, ``file.py:factory@WEIGHTS``, or a generator in memory. A generator
            that is not pocketgan's may need fields: ``foreign__range="0..255"``, ``foreign__keep=("decoder.4",)``.
        data: folder in a known layout, or a built-in set: ``shapes``, ``textures``.
        budget: upper bound of the student's cost: ``12x`` fewer exact MACs, ``2.6G`` exact MACs, ``2.6Gpaper``,
            ``0.5Mparams``.
        method: name of ``pocketgan methods``.
        preset: published settings of the method, below everything given here: dmad has ``paper`` and ``release``.
        out: run directory.
        task: ``paired``, ``unpaired``, ``labels``, ``unconditional``, ``multimodal`` or ``inputs``; None is the task that
            generator and data are made for.
        size, aspect: width, and width over height, of the images; None is as in the model's file, else 256 and 1.
        steps: steps of every training (search and recovery).
        epochs, batch, resume, progress: as in `train`.
        fields: other fields of `pocketgan.pipeline.config.CompressConfig`, with ``__`` for the dot: ``recovery__lr=1e-4``.

    Returns:
        The student (on the CPU, in evaluation mode), the facts of ``result.json``, and the run directory.

    Raises:
        ValueError: before any work, for data, names, fields, budgets and sizes that do not fit.
    """
    from pocketgan.pipeline.compress import compress as run
    from pocketgan.pipeline.resolve import resolve_config

    chosen = {"budget": budget, "method": method, **of_all_trainings(steps=steps, epochs=epochs, batch=batch)}
    given = chosen | _dotted(fields)
    config, loaded = resolve_config(model, str(data), given, preset=preset, task=task, size=size, aspect=aspect)
    return run(config, Path(out), resume=resume, reporter=reporter(progress), teacher=loaded)


def compare(
    model: str | Path,
    data: str | Path,
    *,
    methods: Sequence[str],
    budgets: Sequence[str] = ("10x",),
    objectives: Sequence[str] = (),
    weights: Sequence[str] = (),
    vary: Mapping[str, Sequence[Any]] | None = None,
    seeds: int = 1,
    out: str | Path,
    task: TaskName | None = None,
    size: int | None = None,
    aspect: float | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    batch: int | None = None,
    resume: bool = False,
    progress: bool = True,
    **fields: Any,
) -> tuple[list[Path], list[str]]:
    """Compress one generator with every combination of methods, budgets, objectives and seeds; write one report.

    Args:
        model: artifact of pocketgan, published checkpoint, or ``file.py:factory@WEIGHTS``.
        data: folder in a known layout, or a built-in set.
        methods: names of ``pocketgan methods``.
        budgets: budgets as in `compress`.
        objectives: objectives such as ``output+features``; empty for the default.
        weights: ``reconstruct``, ``inherit``, ``fresh``: the weights from which recovery starts; empty for the default.
        vary: values of any other fields, every combination a run: ``{"method_options.least": [0, 0.5]}``.
        seeds: number of seeds.
        out: directory for the runs and the report.
        task, size, aspect, steps, epochs, batch: as in `compress`.
        resume: True to do only the missing runs; methods, budgets, objectives and seeds may have been added.
        progress, fields: as in `compress`.

    Returns:
        The run directories that are complete, and a line for each run that failed.

    Raises:
        ValueError: before any work, for a model, names or fields that do not fit.
    """
    from pocketgan.pipeline.compare import CompareConfig, varied
    from pocketgan.pipeline.compare import compare as run
    from pocketgan.pipeline.resolve import resolve_config

    given = of_all_trainings(steps=steps, epochs=epochs, batch=batch) | _dotted(fields)
    base, loaded = resolve_config(model, str(data), given, task=task, size=size, aspect=aspect)
    choices = ";".join(f"{field}={','.join(map(_text, values))}" for field, values in (vary or {}).items())
    config = CompareConfig(
        base=base,
        methods=tuple(methods),
        budgets=tuple(budgets),
        objectives=tuple(objectives),
        weights=tuple(weights),  # type: ignore[arg-type]
        variants=varied(choices),
        seeds=seeds,
    )
    return run(config, Path(out), resume=resume, reporter=reporter(progress), teacher=loaded)


def load(path: str | Path, *, factory: Callable[[], nn.Module] | None = None) -> nn.Module:
    """Load the network in an artifact or a published checkpoint.

    Args:
        path: ``.safetensors`` of pocketgan, published checkpoint, or ``file.py:factory@FILE``.
        factory: function that makes the foreign generator from which the artifact was pruned.

    Returns:
        The network on the CPU, in evaluation mode, with its ``spec``.

    Raises:
        ValueError: for any other file.
    """
    import pocketgan.pipeline  # noqa: F401  (fills the registries)
    from pocketgan.pipeline.load_generator import load as read
    from pocketgan.pipeline.load_generator import load_cut

    return read(path).model if factory is None else load_cut(Path(path), factory).model


def _dotted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields whose dots are written ``__``, under their names."""
    return {key.replace("__", "."): value for key, value in fields.items()}


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value)
