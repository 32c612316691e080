"""Generators that pocketgan did not write, as networks with named widths like its own."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm

from pocketgan.core.dims import FIXED, NORMS, Dim, channel_map
from pocketgan.core.spec import ARCHITECTURES, Spec
from pocketgan.foreign.factory import call_factory, registered_factory
from pocketgan.pruning.elastic import leading
from pocketgan.pruning.selection import resize
from pocketgan.utils.registry import check_at_least

Parts = tuple[tuple[str, int, int], ...]
"""``(group, full width, numbers per channel)`` one after the other; the group ``""`` stays."""


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """Values and channel order of a foreign generator's images, if not RGB in [-1, 1]."""

    range: tuple[float, float] = (-1.0, 1.0)
    """The values of black and white."""
    bgr: bool = False
    """True if blue comes first."""

    def __post_init__(self) -> None:
        low, high = self.range
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"range={low:g}..{high:g}: black comes first and is the lower, for example 0..255")

    @classmethod
    def parse(cls, text: str, bgr: bool) -> PixelFormat:
        """The format of ``0..255``: the values of black and white. Raises ``ValueError`` for another form."""
        try:
            low, high = map(float, text.split(".."))
        except ValueError:
            raise ValueError(f"range={text}: write black..white, for example 0..255 or 0..1") from None
        return cls(range=(low, high), bgr=bgr)


class PixelAdapter(nn.Module):
    """A generator with images of another format, converted before and after it from and to RGB in [-1, 1]."""

    def __init__(self, net: nn.Module, images: PixelFormat):
        super().__init__()
        self.net, self.bgr = net, images.bgr
        low, high = images.range
        self.center, self.scale = (high + low) / 2, (high - low) / 2

    def to_native(self, x: Tensor) -> Tensor:
        """An image, N x C x H x W in [-1, 1], in the generator's format."""
        return (x.flip(1) if self.bgr else x) * self.scale + self.center

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W in [-1, 1] -> the same."""
        image: Tensor = (self.net(self.to_native(x)) - self.center) / self.scale
        return image.flip(1) if self.bgr else image


@ARCHITECTURES.register("foreign")
@dataclass(frozen=True, kw_only=True)
class ForeignSpec(Spec):
    """A generator made by a function, with the widths that were traced in it (`pocketgan.foreign.wrap`).

    The groups are named after the layers that make them first.
    """

    name: ClassVar[str] = "foreign"

    factory: str
    """The name of the function, ``file.py:factory`` or ``package.module:factory``."""
    dims: Mapping[str, Mapping[str, Parts]]
    """``{module: {attribute: its named width}}``."""
    axes: Mapping[str, Mapping[str, tuple[str | None, ...]]]
    """``{module: {bare tensor: the attribute that sizes each axis}}``."""
    gate_sites: Mapping[str, str]
    """``{module after which a gate sits: the layer it gates}``."""
    kept: Mapping[str, str]
    """``{layer: reason why its channels all stay}``."""
    layers: tuple[str, ...]
    """The layers to distill."""
    stride: int
    """Heights and widths of images are multiples of this."""
    in_channels: int
    out_channels: int = 3
    images: PixelFormat = field(default_factory=PixelFormat)
    norm: Literal["instance", "instance_affine"] = "instance_affine"
    """``instance``: some norms have no scale; ``instance_affine``: all have one, if need be added to the factory's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, self.name, stride=1, in_channels=1, out_channels=1)

    def groups(self) -> tuple[str, ...]:
        return tuple(self.full_widths)

    @property
    def full_widths(self) -> dict[str, int]:
        """The widths of the factory's network."""
        every = (parts for attributes in self.dims.values() for parts in attributes.values())
        return {group: width for parts in every for group, width, _ in parts if group != FIXED}

    @property
    def taps(self) -> tuple[str, ...]:
        return self.layers

    def module(self) -> nn.Module:
        """The factory's network, cut to the leading channels of every group.

        Raises ``ValueError`` if the factory was not named in this process, or makes another network by now.
        """
        target = torch.get_default_device()
        with torch.device("cpu"):  # a factory may look at values
            model = normalize_(call_factory(registered_factory(self.factory), self.factory), self.images)
            attach_dims_(model, self)
            if self.norm == "instance_affine":
                add_norm_scales_(model)
            table = channel_map(model)

            def fill(name: str, tensor: Tensor) -> Tensor:
                return leading(tensor, table.get(name, {}), self.widths).clone().to(target)

            return resize(model, self.widths, fill)

    def elements(self) -> int:
        """Return 0: the user's function takes what it takes."""
        return 0

    def init_(self, model: nn.Module) -> None:
        """Keep the factory's values at full widths; else reset each layer, as the scale of random values depends on widths."""
        if dict(self.widths) != self.full_widths:
            for module in model.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()


def copy_model(model: nn.Module) -> nn.Module:
    """A copy of a user's network on the CPU; of tensors that a forward left in it (caches, normed weights) only the values.

    Raises ``ValueError`` for a network that cannot be copied.
    """
    left = (value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor))
    memo = {id(value): value.detach().clone() for value in left if not value.is_leaf}
    try:
        return copy.deepcopy(model, memo).cpu()
    except Exception as error:  # whatever the copy of a user's attributes raises
        raise ValueError(
            f"the generator cannot be copied ({type(error).__name__}: {error}), and that is how it is cut: let it hold no "
            "locks, files or tensors with gradients beside its parameters"
        ) from error


def normalize_(model: nn.Module, images: PixelFormat) -> nn.Module:
    """Prepare a generator in place: weight and spectral norm become plain weights, every constant enters ``state_dict``.

    A generator with images of another format is wrapped in a `PixelAdapter`.
    """
    for module in model.modules():
        _fold_parametrizations_(module)
        module._non_persistent_buffers_set.clear()
    return model if images == PixelFormat() else PixelAdapter(model, images)


def _fold_parametrizations_(module: nn.Module) -> None:
    """Replace the tensors that a weight is computed from (weight norm, spectral norm) by the weight, in place."""
    if parametrize.is_parametrized(module):
        training = module.training
        module.eval()  # in training spectral norm would iterate
        for tensor in list(module.parametrizations):  # type: ignore[arg-type]
            parametrize.remove_parametrizations(module, str(tensor), leave_parametrized=True)
        module.train(training)
    for hook in list(module._forward_pre_hooks.values()):
        match type(hook).__name__:
            case "WeightNorm":
                remove_weight_norm(module, hook.name)  # type: ignore[attr-defined]
            case "SpectralNorm":
                remove_spectral_norm(module, hook.name)  # type: ignore[attr-defined]
                # torch leaves hooks behind that ask every state for the tensors that are gone
                for hooks in (module._state_dict_hooks, module._load_state_dict_pre_hooks):
                    for key, left in list(hooks.items()):
                        if type(getattr(left, "hook", left)).__name__.startswith("SpectralNorm"):
                            del hooks[key]


def attach_dims_(model: nn.Module, spec: ForeignSpec) -> None:
    """Write the named widths into the modules, in place.

    Raises ``ValueError`` for another model than the one that the widths were traced in.
    """
    modules = dict(model.named_modules())
    for name, attributes in spec.dims.items():
        for attribute, parts in attributes.items():
            dim, width = Dim(parts), getattr(modules.get(name), attribute, None)
            bare = any(attribute in axes for axes in spec.axes.get(name, {}).values())
            if name not in modules or (width != int(dim) and not (bare and width is None)):
                raise ValueError(
                    f"{spec.factory} makes another generator than the one that was compressed: {name}.{attribute} is {width}, "
                    f"it was {int(dim)}"
                )
            setattr(modules[name], attribute, dim)
    for name, axes in spec.axes.items():
        modules[name].AXES = {**getattr(modules[name], "AXES", {}), **axes}
        modules[name].PASS_THROUGH = True
    model.GATES = dict(spec.gate_sites)  # type: ignore[assignment]


def add_norm_scales_(model: nn.Module) -> None:
    """Add a scale of 1 and a shift of 0 to every norm without them, in place; the network computes the same."""
    for module in model.modules():
        if isinstance(module, NORMS) and module.weight is None:
            size = int(module.num_channels if isinstance(module, nn.GroupNorm) else module.num_features)
            module.affine = True
            module.weight, module.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))
