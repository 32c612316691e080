"""Make a foreign generator one of ours: fold, probe, trace, and hold the result against the laws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketgan.core.reading import State, check_tensors, read_states
from pocketgan.core.shape import Shape
from pocketgan.foreign.laws import check_laws
from pocketgan.foreign.probe import channels_read, generate, proposed_layers, stride_of
from pocketgan.foreign.spec import Adapted, ForeignSpec, PixelFormat, attach_dims_, copied, norm_of, normalize_, parts_of
from pocketgan.foreign.trace import trace

TRACED = 64
"""Side of the image that is traced and on which the laws are checked, where the network takes it so small."""


def wrap_foreign(
    model: nn.Module,
    *,
    factory: str,
    shape: Shape,
    images: PixelFormat | None = None,
    keep: Sequence[str] = (),
) -> nn.Module:
    """A copy of ``model``, in evaluation mode, with named widths and a `ForeignSpec` as its ``.spec``.

    Args:
        model: with its trained weights.
        factory: the name under which the function that makes it was given (`pocketgan.foreign.factory.give`).
        shape: height and width that it is meant for.
        images: what it reads and generates; by default RGB in [-1, 1].
        keep: layers, or patterns, that are left whole.

    Raises:
        ValueError: it cannot be copied; it generates no image of the image's size; a name in ``keep`` is none of its layers;
            a law does not hold.
    """
    images = images or PixelFormat()
    model = normalize_(copied(model), images).float().eval()
    channels = channels_read(model, shape)
    if images.bgr and channels != 3:
        raise ValueError(f"bgr=true: the generator reads {channels} channels, and only three have an order of colors")
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
        gate_sites=traced.gate_sites,
        kept=traced.kept,
        layers=proposed_layers(model, image),
        stride=stride,
        in_channels=channels,
        images=images,
        norm=norm_of(model),
    )
    attach_dims_(model, spec)
    model.spec = spec  # type: ignore[assignment]
    check_laws(model, image)
    return model


def load_weights(model: nn.Module, file: Path) -> None:
    """Fill a foreign model from a ``.safetensors`` or ``.pth`` file with the names of its own ``state_dict``, in place.

    A prefix before all of them (``module.`` of ``DataParallel``, ``_orig_mod.`` of ``torch.compile``) is seen through, and of
    several networks in the file the one is taken that has all its names. Nothing in the file is ever run. Raises ``ValueError``
    as `read_state` does, and for a file that does not fit: what is missing, unknown, of another shape, or twice.
    """
    own = model.state_dict()
    candidates = {
        f"{key}.{prefix}".strip("."): _under(prefix, state)
        for key, state in read_states(file)[0].items()
        for prefix in _prefixes(state, own)
    }
    whole = {place: state for place, state in candidates.items() if not _missing(state, own)}
    if len(whole) > 1:
        places = ", ".join(f"'{place}'" for place in whole)
        raise ValueError(
            f"{file} holds {len(whole)} networks that fit, under {places}: save the one that you mean to its own file"
        )
    state = next(iter(whole.values()), min(candidates.values(), key=lambda state: len(_missing(state, own))))
    faults = {
        "missing": _missing(state, own),
        "unknown": [name for name in state if name not in own],
        "of another shape": [name for name in own if name in state and own[name].shape != state[name].shape],
    }
    if any(faults.values()):
        said = "; ".join(f"{len(names)} {kind}: {', '.join(names[:4])}" for kind, names in faults.items() if names)
        raise ValueError(f"{file} does not fit what the factory makes. {said}")
    check_tensors(file, {name: tensor for name, tensor in state.items() if own[name].is_floating_point()})
    model.load_state_dict({**own, **state})


def _prefixes(state: State, own: State) -> list[str]:
    """What may stand before the names of ``own`` in ``state``: nothing, if they are there so, else what stands before most."""
    if not _missing(state, own):
        return [""]
    before = Counter(head for name in state for head in _heads(name) if name.removeprefix(head) in own)
    most = max(before.values(), default=0)
    return [prefix for prefix, count in before.items() if count == most] or [""]


def _heads(name: str) -> list[str]:
    """``a.``, ``a.b.`` and so on of ``a.b.c``."""
    return [name[: at + 1] for at, letter in enumerate(name) if letter == "."]


def _under(prefix: str, state: State) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _missing(state: State, own: State) -> list[str]:
    return [name for name in own if name not in state and not name.endswith("num_batches_tracked")]


def _example(model: nn.Module, channels: int, stride: int, shape: Shape) -> Tensor:
    """An image to trace with: small where that is possible, of noise, so that nothing cancels."""
    generator = torch.Generator().manual_seed(0)

    def noise(sides: Iterable[int]) -> Tensor:
        return torch.rand(1, channels, *sides, generator=generator) * 2 - 1

    small = noise(min(side, max(stride, TRACED // stride * stride)) for side in shape)
    try:
        generate(model, small)
    except (RuntimeError, ValueError):  # a map that is too small for its padding or norm, or what the other size says again
        whole = noise(shape)
        generate(model, whole)
        return whole
    return small
