"""Reconstruction: weights of a pruned network in closed form, such that its layers compute what the teacher's do.

Layer by layer from input to output, the weights W of every convolution and linear layer are those that map the *student's*
inputs X, errors of the layers before included, to the *teacher's* outputs Y of the kept channels, by a ridge regression towards
the inherited weights W0:

    W = W0 + (X'X + lambda I)^-1 X'(Y - X W0)

No gradient, no training step. Rows of X are unfolded patches at sampled positions of a few images. Channel pruning by least
squares is He et al. 2017 ("Channel Pruning for Accelerating Very Deep Neural Networks", section 3.1) and ThiNet (Luo et al.
2017, section 3.2.3). Here every layer reads the student's own activations, and held-out images choose lambda.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from pocketgan.core.dims import Dim, written_by
from pocketgan.core.hooks import Hook, evaluation_mode, forward_hooks
from pocketgan.core.inputs import ModelInputs, as_tuple, run
from pocketgan.pruning.selection import Selection, positions

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for lambda, as parts of the mean diagonal of X'X."""
MAX_ROWS, MAX_FLOPS = 2**18, 2**38
"""Rows of X of one layer by default, and multiplications and additions of its X'X, at most."""
HOLDOUT_EVERY = 8
"""Images of which the first is held out to choose lambda; the last regression uses all."""
ROUNDING = 1e-5
"""Relative error below which a layer computes what the teacher's does. It then keeps its weights, to the bit."""

Layer = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class LayerError:
    """Errors of one layer on the held-out images, relative to the root mean square of the teacher's output."""

    inherited: float
    reconstructed: float
    ridge: float | None
    """Chosen part of the mean diagonal; None where no regression was better than the inherited weights."""


@torch.no_grad()
def reconstruct_(
    student: nn.Module,
    teacher: nn.Module,
    selection: Selection,
    images: Sequence[ModelInputs],
    *,
    seed: int = 0,
    rows: int = MAX_ROWS,
) -> dict[str, LayerError]:
    """Set the weights of ``student``, which is ``teacher`` shrunk to ``selection``, in place.

    The teacher sees the ``images``, batches of inputs of equal size, one batch at a time; the student sees all at once, so that
    each layer is solved in the order in which the network calls its layers. Weights stay as they are in layers that are called
    more than once in a forward, that are parametrized, or whose output is no linear function of their weights. ``seed`` draws
    the positions, ``rows`` for a layer at most. Returns the errors by layer, in this order.
    """
    targets = _teacher_outputs(student, teacher, selection, images, seed, rows)
    errors: dict[str, LayerError] = {}

    def solve(name: str) -> Hook:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            errors[name] = _solve_(layer, inputs[0], targets.pop(name))

        return hook

    hooks = [(layer, solve(name)) for name, layer in student.named_modules() if name in targets]
    everything = tuple(torch.cat(parts) for parts in zip(*map(as_tuple, images), strict=True))
    with evaluation_mode(student), forward_hooks(hooks, before=True):
        run(student, everything)
    return errors


@torch.no_grad()
def images_of(model: nn.Module, batches: Sequence[ModelInputs]) -> Tensor:
    """Images that a network makes of all batches, N x C x H x W, on the CPU, limited to [-1, 1]."""
    with evaluation_mode(model):
        return torch.cat([run(model, batch).float().cpu().clamp(-1, 1) for batch in batches])


@dataclass
class _Target:
    """The teacher's outputs of one layer: kept channels at sampled positions."""

    places: list[Tensor] = field(default_factory=list)
    """Of every batch: flat indices of its positions, the same for its images."""
    outputs: list[Tensor] = field(default_factory=list)
    """Of every batch: images x positions x channels."""
    is_linear: bool = True


def _teacher_outputs(
    student: nn.Module, teacher: nn.Module, selection: Selection, images: Sequence[ModelInputs], seed: int, rows: int
) -> dict[str, _Target]:
    count = sum(len(as_tuple(batch)[0]) for batch in images)
    ours, random = dict(student.named_modules()), torch.Generator().manual_seed(seed)
    targets: dict[str, _Target] = {}

    def keep(name: str) -> Hook:
        target, unknowns = targets[name], _unknowns(ours[name])
        most = max(1, min(rows, MAX_FLOPS // (2 * unknowns**2)) // count)

        def hook(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            flat = _flat(output)
            places = torch.randperm(flat.shape[1], generator=random)[:most].to(output.device)
            if not target.places:
                target.is_linear = _is_linear(layer, inputs[0][0], flat[0], places[:64])
            kept = positions(dim, selection) if isinstance(dim := written_by(layer), Dim) else None
            flat = flat[:, places]
            target.places.append(places)
            target.outputs.append(flat if kept is None else flat[:, :, kept.to(output.device)])

        return hook

    hooks = []
    for name, layer in teacher.named_modules():
        if isinstance(layer, LAYERS) and isinstance(ours.get(name), LAYERS) and not is_parametrized(layer):
            targets[name] = _Target()
            hooks.append((layer, keep(name)))
    with evaluation_mode(teacher), forward_hooks(hooks):
        for batch in images:
            run(teacher, batch)
    return {name: target for name, target in targets.items() if target.is_linear and len(target.outputs) == len(images)}


def _flat(output: Tensor) -> Tensor:
    """Images x positions x channels of the output of a convolution, or of a linear layer on one vector or on many."""
    if output.ndim == 4:
        return output.flatten(2).transpose(1, 2)
    return output.reshape(len(output), -1, output.shape[-1])


def _unknowns(layer: Any) -> int:
    """Weights of one output."""
    if isinstance(layer, nn.Linear):
        return int(layer.in_features)
    return int(layer.in_channels) // int(layer.groups) * int(layer.kernel_size[0] * layer.kernel_size[1])


def _is_linear(layer: Any, x: Tensor, y: Tensor, places: Tensor) -> bool:
    """True if the layer's output ``y`` of one image is what its rows and weights give."""
    expected = (layer_rows(layer, x, places) @ _weights(layer)).transpose(0, 1).flatten(1)
    return bool(torch.allclose(expected, y[places], rtol=1e-2, atol=1e-3 * float(y.abs().max())))


@dataclass
class _Sums:
    """Sums over rows by group of a layer: X'X, X'R, R'R of the residuals R = Y - X W0, and Y'Y."""

    xx: Tensor
    xr: Tensor
    rr: float = 0.0
    yy: float = 0.0

    @classmethod
    def like(cls, weights: Tensor) -> _Sums:
        """Zeros for ``weights`` of groups x unknowns x outputs."""
        groups, unknowns, _ = weights.shape
        return cls(weights.new_zeros(groups, unknowns, unknowns, dtype=torch.float64), torch.zeros_like(weights).double())

    def add(self, x: Tensor, y: Tensor, weights: Tensor) -> None:
        """Add rows ``x`` (groups x rows x unknowns) with their targets ``y`` (groups x rows x outputs)."""
        residual = y - x @ weights
        self.xx += x.transpose(1, 2) @ x
        self.xr += x.transpose(1, 2) @ residual
        self.rr += float(residual.double().square().sum())
        self.yy += float(y.double().square().sum())

    def error(self, change: Tensor) -> float:
        """Squared error of the weights W0 + ``change``."""
        return max(0.0, float(self.rr - 2 * (change * self.xr).sum() + (change * (self.xx @ change)).sum()))

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(self.xx + other.xx, self.xr + other.xr, self.rr + other.rr, self.yy + other.yy)

    def solved(self, ridge: float) -> Tensor:
        """Change of the weights by the regression with ``ridge`` times the mean diagonal of X'X."""
        diagonal = self.xx.diagonal(dim1=1, dim2=2)
        loading = ridge * diagonal.mean(1, keepdim=True).clamp_min(1e-30)
        change: Tensor = torch.linalg.solve(self.xx + torch.diag_embed(loading.expand_as(diagonal)), self.xr)
        return change


def _solve_(layer: Any, x: Tensor, target: _Target) -> LayerError:
    """Set the weights of one layer of the student, whose input for all images is ``x``."""
    weights, groups = _weights(layer), _groups(layer)
    fit, held = _Sums.like(weights), _Sums.like(weights)
    pairs = [(places, y) for places, outputs in zip(target.places, target.outputs, strict=True) for y in outputs]
    for index, (image, (places, y)) in enumerate(zip(x, pairs, strict=True)):
        sums = held if index % HOLDOUT_EVERY == 0 and len(x) > 1 else fit
        sums.add(layer_rows(layer, image, places), y.reshape(len(y), groups, -1).transpose(0, 1), weights)
    whole = fit + held
    scale = max(held.yy, 1e-30)
    inherited = (held.rr / scale) ** 0.5
    if whole.rr <= ROUNDING**2 * whole.yy:
        return LayerError(inherited, inherited, None)
    errors = {ridge: held.error(fit.solved(ridge)) for ridge in RIDGES}
    best = min(errors, key=errors.__getitem__)
    if errors[best] >= held.rr:
        return LayerError(inherited, inherited, None)
    _set_weights_(layer, weights + whole.solved(best).to(weights))
    return LayerError(inherited, (errors[best] / scale) ** 0.5, best)


def _groups(layer: Any) -> int:
    return 1 if isinstance(layer, nn.Linear) else int(layer.groups)


def _gains(layer: Any) -> tuple[Tensor | float, float]:
    """Factors of weight and bias: those of an equalized learning rate, else 1."""
    rate = getattr(layer, "rate", 1.0)
    return getattr(layer, "gain", 1.0) * rate, rate


def _weights(layer: Any) -> Tensor:
    """Groups x unknowns x outputs: the weights of all inputs and kernel places, and the bias where there is one."""
    (gain, rate), groups = _gains(layer), _groups(layer)
    weight: Tensor = layer.weight * gain
    ahead, behind = weight.shape[0] // groups, weight.shape[1]
    if isinstance(layer, nn.ConvTranspose2d):  # inputs x outputs of a group x kernel
        stacked = weight.reshape(groups, ahead, behind, -1).transpose(2, 3).reshape(groups, -1, behind)
    else:  # outputs x inputs of a group x kernel
        stacked = weight.reshape(groups, ahead, -1).transpose(1, 2)
    if layer.bias is None:
        return stacked.contiguous()
    return torch.cat([stacked, (layer.bias * rate).reshape(groups, 1, -1)], 1)


def _set_weights_(layer: Any, weights: Tensor) -> None:
    """Inverse of `_weights`."""
    gain, rate = _gains(layer)
    if layer.bias is not None:
        layer.bias.copy_(weights[:, -1].flatten() / rate)
        weights = weights[:, :-1]
    if isinstance(layer, nn.ConvTranspose2d):
        ahead = layer.weight.shape[0] // _groups(layer)
        weights = weights.reshape(len(weights), ahead, -1, weights.shape[2])
    layer.weight.copy_(weights.transpose(-2, -1).reshape(layer.weight.shape) / gain)


def layer_rows(layer: Any, x: Tensor, places: Tensor) -> Tensor:
    """Rows of X for one image ``x`` at the flat output positions ``places``: groups x positions x unknowns.

    Unknowns are the inputs of a group times the kernel places, and a one for the bias where there is one.
    """
    if isinstance(layer, nn.Linear):
        rows = x.reshape(-1, x.shape[-1])[places][None]
    else:
        patches = _patches(layer, x, places)
        rows = patches.reshape(_groups(layer), -1, *patches.shape[1:]).transpose(1, 2).flatten(2)
    return rows if layer.bias is None else F.pad(rows, (0, 1), value=1.0)


def _patches(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, places: Tensor) -> Tensor:
    """Inputs that each output position reads, zeros where there is none: channels x positions x kernel places."""
    transposed = isinstance(layer, nn.ConvTranspose2d)
    before = (layer.padding[0], layer.padding[1]) if transposed else layer._reversed_padding_repeated_twice[2::-2]
    if not transposed and layer.padding_mode != "zeros":
        x, before = F.pad(x[None], layer._reversed_padding_repeated_twice, mode=layer.padding_mode)[0], (0, 0)
    width = _output_width(layer, x.shape[2])
    index, inside = [], []
    for axis, place in enumerate((places // width, places % width)):
        kernel = torch.arange(layer.kernel_size[axis], device=x.device) * layer.dilation[axis]
        stride, size = layer.stride[axis], x.shape[1 + axis]
        if transposed:  # a convolution of the input with zeros between its pixels
            stuffed = place[:, None] + int(before[axis]) - kernel
            at, real = stuffed.div(stride, rounding_mode="floor"), stuffed % stride == 0
        else:
            at = place[:, None] * stride - int(before[axis]) + kernel
            real = torch.ones_like(at, dtype=torch.bool)
        index.append(at.clamp(0, size - 1))
        inside.append(real & (at >= 0) & (at < size))
    patches = x[:, index[0][:, :, None], index[1][:, None, :]]
    return (patches * (inside[0][:, :, None] & inside[1][:, None, :])).flatten(2)


def _output_width(layer: Any, width: int) -> int:
    """Width of the output for an input of ``width``, which is padded already where the padding is not zeros."""
    reach, stride = int(layer.dilation[1]) * (int(layer.kernel_size[1]) - 1), int(layer.stride[1])
    if isinstance(layer, nn.ConvTranspose2d):
        return (width - 1) * stride - 2 * int(layer.padding[1]) + reach + int(layer.output_padding[1]) + 1
    padded = width + (sum(layer._reversed_padding_repeated_twice[:2]) if layer.padding_mode == "zeros" else 0)
    return int(padded - reach - 1) // stride + 1
