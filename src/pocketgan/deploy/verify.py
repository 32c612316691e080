"""Comparison of an exported file with eager PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.inputs import required_extra_inputs
from pocketgan.deploy.deployable import Deployable, frozen, reason_of
from pocketgan.utils.onnx_models import open_session

TOLERANCE = 1e-4
"""An 8-bit step of an image in [-1, 1] is 7.8e-3; rounding through deep instance norms stays below this."""

BatchShape = tuple[int, int, int]
"""Batch, height, width."""


@dataclass(frozen=True)
class Verification:
    """Largest absolute differences between a file and eager PyTorch on values in [-1, 1], and the largest one allowed."""

    differences: dict[BatchShape, float]
    tolerance: float | None
    """None where rounding is coarse by design: there ``least_psnr`` decides."""
    psnr: float = math.inf
    """The lowest of all shapes, in decibels."""
    least_psnr: float | None = None

    @property
    def max_abs_diff(self) -> float:
        """The largest difference of all shapes; NaN if any is."""
        return float(np.max(list(self.differences.values())))

    @property
    def passed(self) -> bool:
        """True if no difference is above the tolerance and no PSNR below its least (NaN does not pass)."""
        exact = self.tolerance is None or self.max_abs_diff <= self.tolerance
        return exact and (self.least_psnr is None or self.psnr >= self.least_psnr)

    def summary(self) -> dict[str, object]:
        """Entries of ``result.json``: the maximum, the tolerance and the difference at each shape, e.g. ``1x256x256``."""
        shapes = {"x".join(map(str, shape)): value for shape, value in self.differences.items()}
        found: dict[str, object] = {"max_abs_diff": self.max_abs_diff, "tolerance": self.tolerance, "differences": shapes}
        return found if self.least_psnr is None else found | {"psnr": self.psnr, "least_psnr": self.least_psnr}


def verify_onnx(model: bytes, generator: nn.Module, *, label: str) -> Verification:
    """Check an ONNX model for form (``onnx.checker``) and against ``Deployable(generator)`` on random images.

    Tried are the size stored in the model, and smaller, oblong and odd sizes.

    Args:
        model: the content of a file that `pocketgan.export` wrote.
        generator: the network that was exported.
        label: name of the model in errors.

    Raises:
        ValueError: the model is malformed, makes another shape, or differs by more than `TOLERANCE`.
    """
    import onnx

    inputs = 1 + len(required_extra_inputs(generator))
    session = open_session(model, threads=torch.get_num_threads(), label=label, inputs=inputs)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ValueError(f"{label} is not a valid ONNX model: {str(error).splitlines()[0]}") from error
    names = [value.name for value in session.get_inputs()]
    facts = session.get_modelmeta().custom_metadata_map
    height, width = map(int, facts["pocketgan.size"].split("x"))
    least = facts.get("pocketgan.min_side")  # absent where a latent is read and images have one size
    shapes = probe_shapes((height, width), int(least)) if least else [(1, height, width), (3, height, width)]

    def run(*inputs: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})[0])

    return compare(run, generator, shapes=shapes, label=label, size=(height, width))


def shapes_of(generator: nn.Module, size: tuple[int, int]) -> list[BatchShape]:
    """The batches and sizes at which a file of ``generator`` is tried."""
    model = Deployable(frozen(generator))
    return probe_shapes(size, model.min_side) if model.latent is None else [(1, *size), (3, *size)]


def compare(
    run: Callable[..., Tensor],
    generator: nn.Module,
    *,
    shapes: Iterable[BatchShape],
    label: str,
    tolerance: float | None = TOLERANCE,
    least_psnr: float | None = None,
    size: tuple[int, int] | None = None,
) -> Verification:
    """Compare any engine's ``run`` (all inputs of a generator -> N x D x H x W, float32) with ``Deployable(generator)``.

    ``size`` is that of reference images, for a generator that reads its styles off those.

    Raises:
        ValueError: another shape, or a difference above ``tolerance`` or a PSNR below ``least_psnr``; the message starts
            with ``label``.
    """
    reference = Deployable(frozen(generator))
    differences, ratios = {}, []
    for batch, height, width in shapes:
        inputs = _probe_inputs(reference, batch, (height, width), size or (height, width))
        with _failures("PyTorch", (batch, height, width)), torch.inference_mode():
            expected = reference(*inputs)
        with _failures(label, (batch, height, width)):
            output = run(*inputs)
        if output.shape != expected.shape:
            raise ValueError(
                f"{label} makes {list(output.shape)} of {list(inputs[0].shape)}, but PyTorch {list(expected.shape)}"
            )
        differences[batch, height, width] = float((output - expected).abs().max())
        ratios.append(-10 * math.log10(max(float((output - expected).square().mean()) / 4, 1e-30)))  # values span 2
    result = Verification(differences, tolerance, float(np.min(ratios)), least_psnr)
    if result.least_psnr is not None and not result.psnr >= result.least_psnr:
        raise ValueError(
            f"{label} is {result.psnr:.1f} dB from PyTorch, and must be {result.least_psnr:.0f} or more; it must not be shipped"
        )
    if tolerance is not None and not result.passed:
        worst = max(differences, key=lambda shape: np.nan_to_num(differences[shape], nan=np.inf))
        raise ValueError(
            f"{label} differs from PyTorch by {differences[worst]:.2g} at batch x height x width"
            f" {'x'.join(map(str, worst))}, more than the {tolerance:.2g} allowed; it must not be shipped"
        )
    return result


@contextmanager
def _failures(engine: str, shape: BatchShape) -> Iterator[None]:
    """Any error of an engine or of the network's own code as a ``ValueError`` that names the engine and the shape."""
    try:
        yield
    except Exception as error:
        where = "x".join(map(str, shape))
        raise ValueError(f"{engine} fails at batch x height x width {where}: {reason_of(error)}") from error


def _probe_inputs(model: Deployable, batch: int, image: tuple[int, int], reference: tuple[int, int]) -> tuple[Tensor, ...]:
    """Random tensors for all inputs of the model."""
    generator = torch.Generator().manual_seed(0)
    first = (batch, model.in_channels, *(image if model.latent is None else ()))
    shapes = (first, *(item.shape(batch, reference) for item in model.extra_inputs))
    return tuple(probe(shape) if len(shape) == 4 else torch.randn(shape, generator=generator) for shape in shapes)


def probe(shape: tuple[int, ...], *, seed: int = 0) -> Tensor:
    """Random images N x C x H x W in [-1, 1]: smooth blobs, as in photographs, and noise in every pixel."""
    batch, channels, height, width = shape
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, channels, 4, 4, generator=generator)
    smooth = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    return (0.5 * smooth + 0.1 * torch.randn(shape, generator=generator)).clamp(-1, 1)


def probe_shapes(size: tuple[int, int], min_side: int) -> list[BatchShape]:
    """The size itself; then smaller ones, to be quick: another batch that is not square, and two odd sizes."""
    height, width = size
    half, third = max(height // 2, min_side), max(width // 3, min_side)
    return [(1, height, width), (3, half, third + 2), (1, half | 1, third | 1), (2, third + 3, half | 1)]
