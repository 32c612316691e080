"""Data, checks and facts that training, compression and measurement share."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import Shape, image_channels, latent_inputs, output_channels
from pocketgan.core.run import Run
from pocketgan.core.spec import MODELS, stride_of
from pocketgan.core.tasks import TaskName, traits_of
from pocketgan.data.check import check
from pocketgan.data.config import DataConfig
from pocketgan.data.images import ImageData, open_data
from pocketgan.data.loader import batch_slice, eval_batches, train_batches
from pocketgan.evaluation import EvaluationConfig, Result, cost_result, evaluate, latencies
from pocketgan.metrics.cost import CostModel
from pocketgan.models.layers import folded
from pocketgan.training.config import TrainingConfig
from pocketgan.training.distributed import processes
from pocketgan.utils.progress import Reporter

Batches = Callable[[int], Iterator[dict[str, Tensor]]]
SAMPLE_ROWS = 4


def batches_of(data: ImageData, training: TrainingConfig, seed: int) -> Batches:
    """Training batches from any step on; of several processes, this one's slices of them."""
    slice_of = (processes().rank, processes().count)
    return lambda start: train_batches(data, batch=training.batch, seed=seed, start=start, slice_of=slice_of)


def open_run(
    path: Path, config: Any, *, resume: bool, reporter: Reporter | None, changed: bool = False, joins: bool = False
) -> Run:
    """`Run.open` in the main process; in the others, once that is done, the same directory for reading."""
    world = processes()
    if world.is_main:
        run = Run.open(path, config, resume=resume, reporter=reporter, changed=changed, joins=joins)
    else:
        run = Run(path, writes=False)
    world.barrier()
    return run


def exists_on_main(file: Path) -> bool:
    """True if the main process sees ``file``: where a stage may be skipped, all processes skip it or none."""
    return bool(processes().broadcast_int(int(file.exists())))


def first_batch(data: ImageData, count: int = SAMPLE_ROWS) -> dict[str, Tensor]:
    """First few images, unaugmented."""
    return dict(next(iter(eval_batches(data, batch=min(count, len(data)), workers=0))).images)


def open_splits(config: DataConfig, task: TaskName) -> tuple[ImageData, ImageData]:
    """Training and test images; the headers of their files are read first.

    Raises one ``ValueError`` that names the first files that cannot be used, and why.
    """
    check(config, task=task, full=False).raise_if_bad()
    return open_data(config, task, "train"), open_data(config, task, "test")


def descriptions(data: ImageData, test: ImageData) -> tuple[str, ...]:
    """Description of the data as they were read: a line for each split."""
    return data.describe(), test.describe()


def check_stride(model: nn.Module, shape: Shape) -> None:
    """Raise ``ValueError`` if height and width do not fit the network's stride, or its fixed output size."""
    generated = getattr(getattr(model, "spec", None), "output_shape", None)
    if generated is not None and generated != shape:
        height, width = generated
        raise ValueError(f"{_asked(shape)}: this network generates images of {width}x{height} only; take size={width}")
    stride, (height, width) = stride_of(model), shape
    if width % stride:
        below, above = _multiples(width, stride)
        raise ValueError(f"size={width} is no multiple of {stride}, the generator's stride: take {below} or {above}")
    if height % stride:
        below, above = _multiples(height, stride)
        raise ValueError(
            f"{_asked(shape)} makes images {height} high, no multiple of {stride}, the generator's stride: take "
            f"aspect={width / below:.5g} or {width / above:.5g}, for {below} or {above}"
        )


def for_network(model: nn.Module, data: ImageData) -> ImageData:
    """Data with the channels of the generator's input and output. Raises ``ValueError`` where the images cannot have them."""
    check_latents(model, data.task)
    if not latent_inputs(model):
        _check_label_channels(model, data)
    reads_images = data.labels is None and not traits_of(data.task).reads_latents
    inputs = {"input": image_channels(model)} if reads_images else {}
    return data.with_channels({**inputs, "target": output_channels(model)})


def check_evaluation_channels(model: nn.Module, config: EvaluationConfig) -> None:
    """Raise ``ValueError`` for metrics on networks that look at RGB where the generator makes neither RGB nor gray."""
    channels = output_channels(model)
    for name, value in (("features", config.features), ("segmenter", config.segmenter)):
        if value is not None and channels not in (1, 3):
            raise ValueError(
                f"evaluation.{name}={value}: it looks at RGB or gray images, the generator makes {channels} channels; leave it "
                "out, and images are compared by psnr and ssim"
            )


def _check_label_channels(model: nn.Module, data: ImageData) -> None:
    if data.labels is None or image_channels(model) == data.labels.channels:
        return
    parts = [f"{len(data.labels.classes)} classes", *["void"] * data.labels.void, *["instance edges"] * data.labels.edges]
    raise ValueError(
        f"the generator reads {image_channels(model)} channels, {data.config.path} has {data.labels.channels} "
        f"({' + '.join(parts)}): give data.classes as it was trained with"
    )


def check_latents(model: nn.Module, task: TaskName) -> None:
    """Raise ``ValueError`` if the task has no latents for a generator that reads some, or the other way round."""
    latents, traits = set(latent_inputs(model)), traits_of(task)
    if ("input" in latents, bool(latents)) == (traits.reads_latents, traits.reads_latents or traits.has_styles):
        return
    fitting = "unconditional" if "input" in latents else "multimodal" if latents else "paired, unpaired, labels or inputs"
    reads = f"reads {' and '.join(sorted(latents))} as latents" if latents else "reads images alone"
    raise ValueError(f"task={task}: the generator {reads}; take task={fitting}")


def check_size(what: str, model: nn.Module, shape: Shape) -> CostModel:
    """Costs of the network at that height and width.

    Raises ``ValueError`` if images of that size shrink to nothing on their way through the network.
    """
    try:
        return CostModel(folded(model), shape)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{_asked(shape)} is too small for the {what} ({reason}): take larger images or fewer layers"
        ) from None


def _multiples(length: int, stride: int) -> tuple[int, int]:
    """Multiples of ``stride`` on both sides of ``length``."""
    return length // stride * stride or stride, -(-length // stride) * stride


def _asked(shape: Shape) -> str:
    """Settings that make that height and width."""
    height, width = shape
    return f"size={width}" if height == width else f"size={width}, aspect={width / height:.4g}"


def measured(
    generators: Mapping[str, nn.Module],
    test: ImageData,
    config: EvaluationConfig,
    device: torch.device,
    run: Run,
    *,
    teacher: str | None = None,
) -> tuple[dict[str, Result], dict[str, Any]]:
    """Costs, quality on the test images and latency of generators; and the scores of the unchanged input and the real images.

    The input is measured where it is an image, the real images under a segmenter. The first images are kept in the run.
    """
    traits, shape = traits_of(test.task), test.config.shape
    first = next(iter(generators.values()))
    comparable = not traits.reads_labels and not traits.reads_latents and image_channels(first) == output_channels(first)
    unchanged = {"input": nn.Identity()} if comparable else {}
    keep, reporter = run.path / "images", run.reporter
    found = evaluate({**generators, **unchanged}, test, config, device=device, teacher=teacher, keep=keep, reporter=reporter)
    speed, results = latencies(generators, shape, config), {}
    for name, generator in generators.items():
        results[name] = cost_result(generator, shape)
        results[name].add(found[name])
        results[name].latency_ms = speed[name]
    others = {name: found[name] for name in ("input", "real") if name in found}
    return results, {
        name: {"quality": scores.quality, **({"classes": scores.classes} if scores.classes else {})}
        for name, scores in others.items()
    }


def make_discriminator(name: str, options: dict[str, Any], in_channels: int, shape: Shape) -> nn.Module:
    """Fresh discriminator for ``in_channels``; one that scores a single size is made for that of the images."""
    return MODELS[name](**{"in_channels": in_channels, **accepted_kwargs(name, size=shape[1]), **options}).build()


def accepted_kwargs(name: str, **options: Any) -> dict[str, Any]:
    """Options that the factory of the model of that name takes."""
    known = signature(MODELS[name]).parameters
    return {option: value for option, value in options.items() if option in known}


def resolved_steps(training: TrainingConfig, length: int) -> TrainingConfig:
    """Same training with epochs of ``length`` images turned into steps.

    Raises ``ValueError`` if the processes cannot share its batch equally.
    """
    batch_slice(training.batch, 0, processes().count)
    if training.epochs is None:
        return training
    steps = max(1 if training.epochs else 0, round(training.epochs * length / training.batch))
    return replace(training, epochs=None, steps=steps)


def versions() -> dict[str, str]:
    """Versions of the libraries that the figures depend on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("pocketgan", "torch", "numpy", "onnxruntime")}


def machine(device: torch.device) -> dict[str, object]:
    """Device, processor, threads and system of this process."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    facts = {"device": device.type, "name": name, "threads": torch.get_num_threads(), "system": platform.platform()}
    world = processes()
    return facts | {"processes": world.count} if world.is_distributed else facts


def processor() -> str:
    """Processor's model name where the system has it."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
