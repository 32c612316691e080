"""Make image-to-image GANs small enough to run anywhere, with the images still good.

``pocketgan.compress(model, data, budget="10x", out="runs/small")`` is the whole of it; `load` and `inspect` go with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from pocketgan.core.tasks import TaskName
    from pocketgan.pipeline.compress import Compressed

__all__ = ["compress", "inspect", "load"]


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
    resume: bool = False,
    progress: bool = True,
    **fields: Any,
) -> Compressed:
    """Make a small generator from a trained one; measured, exported, verified, with a report in ``out``.

    Args:
        model: an artifact of ours, a published checkpoint, ``file.py:factory@WEIGHTS``, or any generator in memory. What is
            to be known of one that is not ours are fields, too: ``foreign__range="0..255"``, ``foreign__keep=("decoder.4",)``.
        data: a folder in one of the ecosystem's layouts, or a built-in set: ``shapes``, ``textures``.
        budget: ``2.6G`` exact MACs, ``2.6Gpaper``, ``0.5Mparams``, or ``12x`` fewer exact MACs. Never exceeded.
        method: a name of ``pocketgan methods``.
        preset: published settings of the method, under everything given here: dmad has ``paper`` and ``release``.
        out: the run directory.
        task: ``paired``, ``unpaired``, ``labels``, ``unconditional``, ``multimodal`` or ``inputs``; by default what generator
            and data are made for.
        size: width of the images; by default what the model's file says, else 256.
        aspect: width over height; by default what the model's file says, else 1.
        resume: go on with the run in ``out``.
        progress: show a bar, or lines where there is no terminal.
        fields: any field of `pocketgan.pipeline.config.CompressConfig`, dotted ones with ``__``: ``recovery__steps=4000``.

    Returns:
        The student (CPU, evaluation mode), the measured facts, and the run directory.

    Raises:
        ValueError: before any work, for data, names, budgets and sizes that do not fit.
    """
    from pocketgan.pipeline.compress import compress as run
    from pocketgan.pipeline.resolve import resolve_config
    from pocketgan.utils.progress import ConsoleReporter, Reporter

    given = {"budget": budget, "method": method} | {key.replace("__", "."): value for key, value in fields.items()}
    config, loaded = resolve_config(model, str(data), given, preset=preset, task=task, size=size, aspect=aspect)
    reporter = ConsoleReporter() if progress else Reporter()
    return run(config, Path(out), resume=resume, reporter=reporter, teacher=loaded)


def load(path: str | Path, *, factory: Callable[[], nn.Module] | None = None) -> nn.Module:
    """The network in an artifact of ours or in a published checkpoint: CPU, evaluation mode, with its ``.spec``.

    ``factory`` makes the generator that the artifact was cut from, where that is none of ours; with a factory in a file,
    ``path`` may be ``file.py:factory@FILE``. Raises ``ValueError``, saying what it found, for anything else.
    """
    import pocketgan.pipeline  # noqa: F401
    from pocketgan.pipeline.load_generator import load as read
    from pocketgan.pipeline.load_generator import load_cut

    return read(path).model if factory is None else load_cut(Path(path), factory).model


def inspect(model: str | Path | nn.Module, *, size: int | None = None, aspect: float | None = None) -> dict[str, Any]:
    """Groups with widths, costs in both counts and layers, the totals, and the floor that no budget can go below.

    Of any generator: of one that is not ours also what stays whole, and why. For one image of width ``size`` and width over
    height ``aspect``: by default what the model's file says, else 256 and 1.
    """
    from torch import nn

    from pocketgan.pipeline.measure import inspect as look

    return look(model if isinstance(model, nn.Module) else str(model), size=size, aspect=aspect)
