"""Functions behind the measuring and writing commands; `pocketgan` exports them, and the commands call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import nn

    from pocketgan.core.tasks import TaskName
    from pocketgan.data.config import DataConfig, Direction
    from pocketgan.deploy import Exported
    from pocketgan.evaluation import Result
    from pocketgan.pipeline.config import TrainConfig
    from pocketgan.utils.progress import Reporter

T = TypeVar("T")


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    targets: str | Path | None = None,
    task: TaskName | None = None,
    size: int | None = None,
    aspect: float | None = None,
    direction: Direction = "AtoB",
    center: int | None = None,
    classes: int | str | None = None,
    metrics: Sequence[str] | None = None,
    features: str | None = None,
    teacher: str | Path | None = None,
    keep: Sequence[str] = (),
    range: str = "-1..1",
    bgr: bool = False,
    network: str | None = None,
    device: str = "auto",
    progress: bool = True,
    overrides: Sequence[str] = (),
    **options: Any,
) -> Result:
    """Measure costs and image quality of a generator on the test images.

    Args:
        model: artifact of pocketgan, published checkpoint, or ``file.py:factory@WEIGHTS``.
        data: folder in a known layout, or a built-in set; with ``targets`` a folder or pattern of inputs.
        targets: folder or pattern of the targets, matched to the inputs by name.
        task: task of the data; None is the generator's if it reads latents, else ``paired``.
        size, aspect: width, and width over height, of the images; None is as in the model's file, else 256 and 1.
        direction: ``BtoA`` if side B is the input.
        center: side of a central square that is cut out of every image first.
        classes: meaning of the values of label maps, where the folder does not state it.
        metrics: names such as ``psnr``, ``ssim``, ``fid``, ``kernel``; None is all that data and features allow.
        features: ``inception``, ``inception:legacy``, or an ONNX file, for the distances between sets of images.
        teacher: another generator; the student's images are compared with those of the teacher, too.
        keep, range, bgr, network: as in `inspect`, of a generator given as ``file.py:factory``.
        device: ``auto``, ``cpu``, ``cuda``, ...
        progress: True to show progress on the error stream.
        overrides: other fields of the data: ``data.range=auto``.
        options: other fields of `pocketgan.evaluation.EvaluationConfig`: ``reals``, ``stats``, ``segmenter``, ``generated``.

    Returns:
        Costs, quality by metric, and standard errors.

    Raises:
        ValueError: if nothing can be measured, or for names and sizes that do not fit.
    """
    from pocketgan.data.config import DataConfig
    from pocketgan.evaluation import EvaluationConfig
    from pocketgan.pipeline.config import ForeignConfig
    from pocketgan.pipeline.measure import measure

    second = None if targets is None else str(targets)
    config = DataConfig(path=str(data), targets=second, direction=direction, center=center, classes=classes)
    return measure(
        str(model),
        data_config(config, overrides),
        EvaluationConfig(metrics=None if metrics is None else tuple(metrics), features=features, **options),
        task=task,
        size=size,
        aspect=aspect,
        teacher=None if teacher is None else str(teacher),
        foreign=ForeignConfig(keep=tuple(keep), range=range, bgr=bgr, network=network),
        device=device,
        reporter=reporter(progress),
    )


def export(
    model: str | Path,
    out: str | Path,
    *,
    target: str = "onnxruntime",
    size: int | None = None,
    aspect: float | None = None,
    drop_style: bool = False,
    verify: bool = True,
    keep: Sequence[str] = (),
    range: str = "-1..1",
    bgr: bool = False,
    network: str | None = None,
) -> Exported:
    """Write a generator to a file for a device, after comparing the file's images with PyTorch's.

    Args:
        model: artifact of pocketgan, published checkpoint, or ``file.py:factory@WEIGHTS``.
        out: file to write.
        target: runtime and precision: ``onnxruntime``, ``openvino:f32``, ``openvino:bf16``; without a precision, f32.
        size, aspect: as in `evaluate`: of the images that the file is meant for.
        drop_style: True to leave out the style encoder of a MUNIT; the file then reads styles as latents.
        verify: False to write without the comparison.
        keep, range, bgr, network: as in `inspect`, of a generator given as ``file.py:factory``.

    Returns:
        The path, the number of bytes and the largest difference to PyTorch.

    Raises:
        ValueError: if the file's images differ from PyTorch's, or for a model that cannot be exported.
    """
    from pocketgan.pipeline.config import ForeignConfig
    from pocketgan.pipeline.measure import export

    foreign = ForeignConfig(keep=tuple(keep), range=range, bgr=bgr, network=network)
    return export(
        str(model), Path(out), target=target, size=size, aspect=aspect, foreign=foreign, drop_style=drop_style, verify=verify
    )


def generate(
    models: Sequence[str | Path],
    out: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    interpolate: Sequence[int] | None = None,
    source: str | Path | None = None,
    reference: str | Path | None = None,
    progress: bool = True,
    **options: Any,
) -> int:
    """Write images of generators that read latents (SAGAN, StyleGAN2) or styles (MUNIT).

    Args:
        models: artifacts or published checkpoints, one row each; a teacher and its student show the same image for a seed.
        out: ``.png`` for one sheet, ``.gif`` or ``.webp`` for a video of an interpolation, no ending for a folder.
        seeds: one image each; None is 0 to 7.
        interpolate: seeds between which the images go, instead of ``seeds``.
        source: input image, or a folder of them, for MUNIT.
        reference: image whose style is used instead of seeds, for MUNIT.
        progress: True to show progress on the error stream.
        options: other fields of `pocketgan.pipeline.generate.GenerateConfig`: ``columns``, ``truncation``, ``frames``, ``fps``.

    Returns:
        The number of images.

    Raises:
        ValueError: for generators that read no latents, and for options that contradict each other.
    """
    from pocketgan.pipeline.generate import GenerateConfig
    from pocketgan.pipeline.generate import generate as run

    config = GenerateConfig(
        seeds=None if seeds is None else tuple(seeds),
        interpolate=None if interpolate is None else tuple(interpolate),
        source=None if source is None else str(source),
        reference=None if reference is None else str(reference),
        **options,
    )
    return run([str(model) for model in models], Path(out), config, reporter=reporter(progress))


def inspect(
    model: str | Path | nn.Module,
    *,
    size: int | None = None,
    aspect: float | None = None,
    multiple: int = 1,
    keep: Sequence[str] = (),
    range: str = "-1..1",
    bgr: bool = False,
    network: str | None = None,
) -> dict[str, Any]:
    """Channel groups, widths and costs of a generator for one image.

    Args:
        model: artifact, published checkpoint, ``file.py:factory@WEIGHTS``, a name of ``pocketgan models``, or a network.
        size, aspect: as in `evaluate`.
        multiple: divisor of the widths at the floor.
        keep: layers of a foreign generator that stay whole: names or patterns.
        range: values of black and white of a foreign generator: ``0..255``.
        bgr: True if a foreign generator reads and writes blue first.
        network: key or prefix of one network in a file of several.

    Returns:
        ``groups`` with widths, layers and costs in both counts, ``total``, ``floor`` (the lower limit of a budget), ``kept``
        (layers of a foreign generator that stay whole, with the reason) and ``distilled`` (the default layers).

    Raises:
        ValueError: for a file that is not understood, and for a foreign generator that cannot be pruned.
    """
    from torch import nn

    from pocketgan.pipeline.config import ForeignConfig
    from pocketgan.pipeline.measure import inspect as run

    if multiple < 1:
        raise ValueError(f"multiple={multiple} must be at least 1")
    foreign = ForeignConfig(keep=tuple(keep), range=range, bgr=bgr, network=network)
    named = model if isinstance(model, nn.Module) else str(model)
    return run(named, size=size, aspect=aspect, multiple=multiple, foreign=foreign)


def latency(
    models: Sequence[str | Path],
    *,
    runtimes: Sequence[str] = ("torch", "onnxruntime"),
    batch: int = 1,
    size: int | None = None,
    aspect: float | None = None,
    threads: int = 1,
    repeats: int = 50,
    keep: Sequence[str] = (),
    range: str = "-1..1",
    bgr: bool = False,
    network: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure milliseconds on the CPU, with all models and runtimes interleaved.

    Args:
        models: artifacts, published checkpoints, or ``file.py:factory@WEIGHTS``.
        runtimes: names of runtimes: ``torch``, ``onnxruntime``.
        batch: images in a call.
        size, aspect: width, and width over height, of the images; None is as in the models' files.
        threads: threads of each runtime.
        repeats: rounds; each runs every model once in every runtime.
        keep, range, bgr, network: as in `inspect`, of all models given as ``file.py:factory``.

    Returns:
        ``{model: {runtime: {"median": ..., "p10": ..., "p90": ..., ...}}}``.

    Raises:
        ValueError: for unknown runtimes, and for models of different sizes if no size is given.
    """
    from pocketgan.evaluation import EvaluationConfig
    from pocketgan.pipeline.config import ForeignConfig
    from pocketgan.pipeline.measure import measure_latency_of

    config = EvaluationConfig(runtimes=tuple(runtimes), threads=threads, repeats=repeats)
    foreign = ForeignConfig(keep=tuple(keep), range=range, bgr=bgr, network=network)
    names = [str(model) for model in models]
    return measure_latency_of(names, config, size=size, aspect=aspect, batch=batch, foreign=foreign)


def train_config(
    data: str, task: TaskName, arch: str | None, fields: Mapping[str, Any], overrides: Sequence[str] = ()
) -> TrainConfig:
    """Complete configuration of a training: the task's published defaults, then ``fields``, then ``overrides``."""
    from pocketgan.data.config import DataConfig
    from pocketgan.pipeline.config import TrainConfig
    from pocketgan.tasks import TASKS

    own = TASKS[task].defaults_for(arch)
    config = TrainConfig(task=task, data=DataConfig(path=data), arch=arch or own.arch, training=own.training)
    return configured(config, fields, overrides)


def configured(config: T, fields: Mapping[str, Any], overrides: Sequence[str]) -> T:
    """``config`` with ``{dotted field: value}`` where the value is not None, and then the overrides."""
    from pocketgan.core.config import override
    from pocketgan.pipeline.config import assignments

    given = {path: value for path, value in fields.items() if value is not None}
    return override(config, [*assignments(given), *overrides])


def data_config(config: DataConfig, overrides: Sequence[str]) -> DataConfig:
    """``config`` with overrides such as ``data.range=auto``. Raises ``ValueError`` for a field that is none of the data's."""
    from pocketgan.core.config import override

    for text in overrides:
        if not text.startswith("data."):
            raise ValueError(f"'{text}' is no field of the data: write data.FIELD=VALUE, such as data.range=auto")
    return override(config, [text.removeprefix("data.") for text in overrides])


def of_all_trainings(**fields: Any) -> dict[str, Any]:
    """``{path: value}`` of those fields in every training of a compression."""
    stages = ("recovery", "search", "full.teacher", "full.distill")
    return {f"{stage}.{name}": value for stage in stages for name, value in fields.items()}


def reporter(progress: bool) -> Reporter:
    """Progress on the error stream, or none."""
    from pocketgan.utils.progress import ConsoleReporter, Reporter

    return ConsoleReporter() if progress else Reporter()
