"""Conversion of a foreign generator into one of ours: fold norms of weights, probe, trace, and check the laws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketgan.core.dims import NORMS
from pocketgan.core.inputs import Shape
from pocketgan.core.state_dict import read_states
from pocketgan.core.tensors import State, check_tensors, faults_of, faults_text, is_count
from pocketgan.foreign.laws import check_laws
from pocketgan.foreign.probe import find_stride, generate, input_channels, proposed_layers
from pocketgan.foreign.spec import ForeignSpec, PixelAdapter, PixelFormat, attach_dims_, copy_model, normalize_
from pocketgan.foreign.trace import trace
from pocketgan.utils.registry import unknown

TRACED = 64
"""Side of the image for the trace and the laws, if the network accepts one so small."""


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
        factory: the registered name of the function that makes it (`pocketgan.foreign.factory.register_factory`).
        shape: height and width of the images that it is meant for.
        images: the format of its images; by default RGB in [-1, 1].
        keep: layers, or patterns, whose channels all stay.

    Raises:
        ValueError: it cannot be copied; its output is no image of the input's size; a name in ``keep`` is none of its layers;
            a law does not hold.
    """
    images = images or PixelFormat()
    model = normalize_(copy_model(model), images).float().eval()
    channels = input_channels(model, shape)
    if images.bgr and channels != 3:
        raise ValueError(f"bgr=true: the generator reads {channels} channels, and only three have an order of colors")
    stride = find_stride(model, channels, shape)
    image = _example(model, channels, stride, shape)
    generated = generate(model, image).shape[1]
    if images.bgr and generated not in (1, 3):
        raise ValueError(f"bgr=true: the generator makes {generated} channels, and only three have an order of colors")
    if isinstance(model, PixelAdapter):
        traced = trace(model.net, model.to_native(image), keep=keep).with_prefix("net")
    else:
        traced = trace(model, image, keep=keep)
    every = [dim for dims in traced.dims.values() for dim in dims.values()]
    plain_norms = any(isinstance(module, NORMS) and module.weight is None for module in model.modules())
    spec = ForeignSpec(
        widths={group: width for dim in every for group, width, _ in dim.units.parts},
        factory=factory,
        dims={name: {key: dim.parts for key, dim in dims.items()} for name, dims in traced.dims.items()},
        axes=traced.axes,
        gate_sites=traced.gate_sites,
        kept=traced.kept,
        layers=proposed_layers(model, image),
        stride=stride,
        in_channels=channels,
        out_channels=generated,
        images=images,
        norm="instance" if plain_norms else "instance_affine",
    )
    attach_dims_(model, spec)
    model.spec = spec  # type: ignore[assignment]
    check_laws(model, image)
    return model


def load_weights(model: nn.Module, file: Path, network: str | None = None) -> None:
    """Fill a foreign model from a ``.safetensors`` or ``.pth`` file with the names of its own ``state_dict``, in place.

    A prefix of all names (``module.`` of ``DataParallel``, ``_orig_mod.`` of ``torch.compile``) is removed, and of
    several networks in the file the one with all names is taken, or the one under the key or prefix ``network``. Nothing in
    the file is ever run. Raises ``ValueError`` as `read_state` does, and for a file that does not match: tensors missing,
    unknown, of another shape, or present twice.
    """
    expected = model.state_dict()
    candidates = {
        f"{key}.{prefix}".strip("."): {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
        for key, state in read_states(file)[0].items()
        for prefix in _prefixes(state, expected)
    }
    if network is not None and network not in candidates:
        raise ValueError(f"{file}: {unknown('network', network, (place for place in candidates if place))}")
    candidates = {place: state for place, state in candidates.items() if network in (None, place)}
    complete = {place: state for place, state in candidates.items() if not _missing(state, expected)}
    if len(complete) > 1:
        places = ", ".join(f"'{place}'" for place in complete)
        raise ValueError(
            f"{file} holds {len(complete)} networks that fit, under {places}: choose one by --network "
            f"{next(iter(complete))}, or save it to its own file"
        )
    state = next(iter(complete.values()), min(candidates.values(), key=lambda state: len(_missing(state, expected))))
    if faults := faults_of(state, expected):
        raise ValueError(f"{file} does not fit what the factory makes. {faults_text(faults)}")
    check_tensors(file, state, expected)
    model.load_state_dict({**expected, **state})


def _prefixes(state: State, expected: State) -> list[str]:
    """Possible prefixes of the expected names in ``state``: none if all are there, else those before the most names."""
    if not _missing(state, expected):
        return [""]
    heads = ((name, name[: at + 1]) for name in state for at, letter in enumerate(name) if letter == ".")
    counts = Counter(head for name, head in heads if name.removeprefix(head) in expected)
    most = max(counts.values(), default=0)
    return [prefix for prefix, count in counts.items() if count == most] or [""]


def _missing(state: State, expected: State) -> list[str]:
    return [name for name in expected if name not in state and not is_count(name)]


def _example(model: nn.Module, channels: int, stride: int, shape: Shape) -> Tensor:
    """An image to trace with: small if the network accepts it, and of noise, so that nothing cancels."""
    generator = torch.Generator().manual_seed(0)

    def noise(sides: Iterable[int]) -> Tensor:
        return torch.rand(1, channels, *sides, generator=generator) * 2 - 1

    small = noise(min(side, max(stride, TRACED // stride * stride)) for side in shape)
    try:
        generate(model, small)
    except (RuntimeError, ValueError):  # a map too small for its padding or norm, or an error that the full size repeats
        full = noise(shape)
        generate(model, full)
        return full
    return small
