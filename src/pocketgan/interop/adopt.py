"""Make a foreign generator one of ours: fold, probe, trace, and hold the result against the laws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketgan.core.reading import read_state
from pocketgan.core.shape import Shape
from pocketgan.interop.foreign import Adapted, ForeignSpec, Pictures, describe_, norm_of, parts_of, prepared
from pocketgan.interop.laws import check_laws
from pocketgan.interop.probe import channels_read, paint, proposed_layers, stride_of
from pocketgan.interop.trace import trace

TRACED = 64
"""Side of the image that is traced and on which the laws are checked, where the network takes it so small."""


def adopt(
    model: nn.Module,
    *,
    factory: str,
    shape: Shape,
    pictures: Pictures | None = None,
    keep: Sequence[str] = (),
    check: bool = True,
) -> nn.Module:
    """``model`` (changed in place, in evaluation mode) with named widths and a `ForeignSpec` as its ``.spec``.

    Args:
        model: with its trained weights, on the CPU.
        factory: the name under which the function that makes it was given (`pocketgan.interop.factory.give`).
        shape: height and width that it is meant for.
        pictures: what it reads and paints; by default RGB in [-1, 1].
        keep: layers, or patterns, that are left whole.
        check: hold it against the laws.

    Raises:
        ValueError: it paints no picture of the image's size; a name in ``keep`` is none of its layers; a law does not hold.
    """
    pictures = pictures or Pictures()
    model = prepared(model, pictures).cpu().float().eval()
    channels = channels_read(model, shape)
    if pictures.bgr and channels != 3:
        raise ValueError(f"bgr=true: the generator reads {channels} channels, and only three have an order of colours")
    stride = stride_of(model, channels, shape)
    image = _example(model, channels, stride, shape)
    traced = (
        trace(model.net, model.own(image), keep=keep).inside("net")
        if isinstance(model, Adapted)
        else trace(model, image, keep=keep)
    )
    spec = ForeignSpec(
        widths={group: width for own in traced.dims.values() for dim in own.values() for group, width, _ in dim.units.parts},
        factory=factory,
        dims=parts_of(traced.dims),
        axes=traced.axes,
        seats=traced.seats,
        kept=traced.kept,
        layers=proposed_layers(model, image),
        stride=stride,
        in_channels=channels,
        pictures=pictures,
        norm=norm_of(model),
    )
    describe_(model, spec)
    model.spec = spec  # type: ignore[assignment]
    if check:
        check_laws(model, image)
    return model


def load_weights(model: nn.Module, file: Path) -> None:
    """Fill a foreign model from a ``.safetensors`` or ``.pth`` file with the names of its own ``state_dict``, in place.

    A common prefix of all names (``module.`` of ``DataParallel``) is seen through. Nothing in the file is ever run. Raises
    ``ValueError`` as `read_state` does, and for a file that does not fit: what is missing, unknown, of another shape.
    """
    state = read_state(file).state
    own = model.state_dict()
    prefix = next((head for head in ("", "module.", "generator.", "netG.") if any(head + name in state for name in own)), "")
    state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    faults = {
        "missing": [name for name in own if name not in state and not name.endswith("num_batches_tracked")],
        "unknown": [name for name in state if name not in own],
        "of another shape": [name for name in own if name in state and own[name].shape != state[name].shape],
    }
    if any(faults.values()):
        said = "; ".join(f"{len(names)} {kind}: {', '.join(names[:4])}" for kind, names in faults.items() if names)
        raise ValueError(f"{file} does not fit what the factory makes. {said}")
    model.load_state_dict({**own, **state})


def _example(model: nn.Module, channels: int, stride: int, shape: Shape) -> Tensor:
    """An image to trace with: small where that is possible, of noise, so that nothing cancels."""
    small = tuple(min(side, max(stride, TRACED // stride * stride)) for side in shape)
    generator = torch.Generator().manual_seed(0)
    for sides in (small, shape):
        image = torch.rand(1, channels, *sides, generator=generator) * 2 - 1
        try:
            paint(model, image)
        except RuntimeError:  # a map that is too small for its padding
            continue
        return image
    return image
