"""The proof that an exported file computes what eager PyTorch computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.inputs import required_extra_inputs
from pocketgan.export.deployable import Deployable, frozen
from pocketgan.utils.onnx_session import open_session, read_model

# An 8-bit step of an image in [-1, 1] is 7.8e-3; rounding through deep instance norms stays below 1e-4.
TOLERANCE = 1e-4

Shape = tuple[int, int, int]
"""Batch, height, width."""


@dataclass(frozen=True)
class Verification:
    """Largest absolute differences between a file and eager PyTorch.

    Attributes:
        differences: by (batch, height, width), on values in [-1, 1].
        tolerance: what was allowed.
    """

    differences: dict[Shape, float]
    tolerance: float

    @property
    def max_abs_diff(self) -> float:
        """The largest difference of all shapes; NaN if any is."""
        return float(np.max(list(self.differences.values())))

    @property
    def passed(self) -> bool:
        """Whether no difference is above the tolerance (NaN does not pass)."""
        return self.max_abs_diff <= self.tolerance

    def summary(self) -> dict[str, object]:
        """For ``result.json``: the maximum, the tolerance and the difference at each shape, e.g. ``1x256x256``."""
        shapes = {"x".join(map(str, shape)): value for shape, value in self.differences.items()}
        return {"max_abs_diff": self.max_abs_diff, "tolerance": self.tolerance, "differences": shapes}


def verify_onnx(
    path: str | Path, generator: nn.Module, *, shapes: Iterable[Shape] | None = None, tolerance: float = TOLERANCE
) -> Verification:
    """Check an ONNX file for form (``onnx.checker``) and against ``Deployable(generator)`` on random images.

    Args:
        path: the file.
        generator: what was exported.
        shapes: (batch, height, width) to try; by default the size that the file was made for, and smaller, oblong and
            odd ones.
        tolerance: the largest absolute difference allowed, on values in [-1, 1].

    Raises:
        ValueError: the file is malformed, makes another shape, or differs by more than ``tolerance``.
    """
    return verify_model(read_model(path), generator, shapes=shapes, tolerance=tolerance, label=str(path))


def verify_model(
    model: bytes, generator: nn.Module, *, shapes: Iterable[Shape] | None, tolerance: float, label: str
) -> Verification:
    """As ``verify_onnx``, for a model that is not written yet; ``label`` is its name in errors."""
    import onnx

    reads = 1 + len(required_extra_inputs(generator))
    session = open_session(model, threads=torch.get_num_threads(), label=label, inputs=reads)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ValueError(f"{label} is not a valid ONNX model: {str(error).splitlines()[0]}") from error
    names = [value.name for value in session.get_inputs()]
    facts = session.get_modelmeta().custom_metadata_map
    size = tuple(map(int, facts["pocketgan.size"].split("x"))) if "pocketgan.size" in facts else None
    if shapes is None:
        if size is None:
            raise ValueError(f"{label} does not say for which size it was made; name the shapes to verify")
        height, width = size
        alone = "pocketgan.min_side" not in facts  # it generates one size, from numbers
        least = int(facts.get("pocketgan.min_side", 1))
        shapes = [(1, height, width), (3, height, width)] if alone else probe_shapes((height, width), min_side=least)

    def run(*given: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: x.numpy() for name, x in zip(names, given, strict=True)})[0])

    return compare(run, generator, shapes=shapes, tolerance=tolerance, label=label, size=size)  # type: ignore[arg-type]


def compare(
    run: Callable[..., Tensor],
    generator: nn.Module,
    *,
    shapes: Iterable[Shape],
    tolerance: float,
    label: str,
    size: tuple[int, int] | None = None,
) -> Verification:
    """Hold any engine's ``run`` (all that a generator reads -> N x D x H x W, float32) against ``Deployable(generator)``.

    ``size`` is that of reference images, where it reads styles off those.

    Raises:
        ValueError: another shape, or a difference above ``tolerance``; the message starts with ``label``.
    """
    reference = Deployable(frozen(generator))
    differences = {}
    for batch, height, width in shapes:
        given = _probes(reference, batch, (height, width), size or (height, width))
        with torch.inference_mode():
            expected = reference(*given)
        got = run(*given)
        if got.shape != expected.shape:
            raise ValueError(f"{label} makes {list(got.shape)} of {list(given[0].shape)}, but PyTorch {list(expected.shape)}")
        differences[batch, height, width] = float((got - expected).abs().max())
    result = Verification(differences, tolerance)
    if not result.passed:
        worst = max(differences, key=lambda shape: np.nan_to_num(differences[shape], nan=np.inf))
        raise ValueError(
            f"{label} differs from PyTorch by {differences[worst]:.2g} at batch x height x width"
            f" {'x'.join(map(str, worst))}, more than the {tolerance:.2g} allowed; it must not be shipped"
        )
    return result


def _probes(model: Deployable, batch: int, image: tuple[int, int], reference: tuple[int, int]) -> tuple[Tensor, ...]:
    """One of everything that it reads."""
    numbers = torch.Generator().manual_seed(0)

    def of(shape: tuple[int, ...]) -> Tensor:
        return probe(shape) if len(shape) == 4 else torch.randn(shape, generator=numbers)

    first = (batch, model.in_channels, *(image if model.numbers is None else ()))
    return of(first), *(of(each.shape(batch, reference)) for each in model.more)


def probe(shape: tuple[int, int, int, int], *, seed: int = 0) -> Tensor:
    """A random image N x C x H x W in [-1, 1]: smooth blobs, as in photographs, and noise in every pixel."""
    batch, channels, height, width = shape
    source = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, channels, 4, 4, generator=source)
    smooth = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    return (0.5 * smooth + 0.1 * torch.randn(shape, generator=source)).clamp(-1, 1)


def probe_shapes(size: tuple[int, int], *, min_side: int) -> list[Shape]:
    """The size itself; then smaller, to be quick: another batch and no square, and two odd sizes."""
    height, width = size
    half, third = max(height // 2, min_side), max(width // 3, min_side)
    return [(1, height, width), (3, half, third + 2), (1, half | 1, third | 1), (2, third + 3, half | 1)]
