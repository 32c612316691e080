"""A `Spec` describes a network completely: what kind it is and how wide each named group is."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from pocketgan.core.config import from_json, to_json
from pocketgan.core.inputs import Input
from pocketgan.core.registry import Registry
from pocketgan.core.shape import Shape
from pocketgan.utils.errors import unknown

ARCHITECTURES: Registry[type[Spec]] = Registry("architecture")
"""Every kind of network, by the name that artifacts carry."""

MODELS: Registry[Callable[..., Spec]] = Registry("model")
"""Functions from a few friendly numbers (``ngf``, ``blocks``) to a complete `Spec`."""


class Preset(NamedTuple):
    """A call of one of `MODELS`."""

    name: str
    options: dict[str, Any]

    def spec(self) -> Spec:
        """What it describes."""
        return MODELS[self.name](**self.options)


@dataclass(frozen=True, kw_only=True)
class Spec(ABC):
    """Base of the descriptions of networks. A subclass adds its choices, `groups` and `module`.

    The full network is the spec with large numbers, the slim one the same spec with small numbers. A width of 0 is
    allowed only for the groups whose branch goes with them (`optional`).
    """

    widths: Mapping[str, int]
    """``{group: number of channels}``, every group of the architecture exactly once."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        groups = self.groups()
        for group in self.widths:
            if group not in groups:
                raise unknown(f"{self.name} group", group, groups)
        missing = [group for group in groups if group not in self.widths]
        if missing:
            raise ValueError(f"{self.name} needs a width for every group; missing: {', '.join(missing)}")
        for group, width in self.widths.items():
            least = 0 if group in self.optional() else 1
            if int(width) < least:
                raise ValueError(f"{self.name} width {group}={width}: the least is {least}")
        object.__setattr__(self, "widths", {group: int(self.widths[group]) for group in groups})

    @abstractmethod
    def groups(self) -> tuple[str, ...]:
        """The names of the groups, from input to output."""

    def optional(self) -> frozenset[str]:
        """The groups whose width may be 0: the branch that they feed is then absent."""
        return frozenset()

    @abstractmethod
    def module(self) -> nn.Module:
        """The bare module at these widths, with torch's own initial values."""

    @property
    def taps(self) -> tuple[str, ...]:
        """Names of the modules whose outputs are distilled by default, from input to output."""
        return ()

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What it reads, in the order of its forward; empty for one image of its ``in_channels``."""
        return ()

    @property
    def output_shape(self) -> Shape | None:
        """Height and width of its images where the architecture fixes them; None where they are those of what it reads."""
        return None

    @property
    def tied_groups(self) -> Mapping[str, str]:
        """``{group: the one whose width it goes along with}`` where a method narrows by scores that this group has none of."""
        return {}

    def mobile(self, ngf: int | None = None) -> Preset | None:
        """The network with separable convolutions that teaches in this one's place (GAN Compression), of that ngf or its own.

        None where none was published, and where it is that already.
        """
        return None

    def build(self, *, device: str | torch.device | None = None) -> nn.Module:
        """The network at these widths, initialized as published; it remembers this spec as ``.spec``."""
        with torch.device(device) if device is not None else torch.device("cpu"):
            model = self.module()
        if device is None or torch.device(device).type != "meta":
            self.init_(model)
        self.finish_(model)
        model.spec = self  # type: ignore[assignment]
        return model

    def init_(self, model: nn.Module) -> None:
        """Give the weights their first values, in place: `init_weights_`, unless the architecture was published with others."""
        init_weights_(model)

    def finish_(self, model: nn.Module) -> None:  # noqa: B027  (most networks are finished)
        """What is put on top of the weights, in place."""

    def resized(self, widths: Mapping[str, int]) -> Spec:
        """The same description at other widths; groups not named keep theirs."""
        return dataclasses.replace(self, widths={**self.widths, **widths})

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data from which `spec_from_json` makes an equal spec."""
        return {"architecture": self.name, **to_json(self)}


def spec_from_json(data: Mapping[str, Any]) -> Spec:
    """The spec that `Spec.to_json` described. Raises ``ValueError`` for an unknown architecture or field."""
    fields = dict(data)
    return from_json(ARCHITECTURES[fields.pop("architecture", None)], fields)


def spec_of(model: nn.Module) -> Spec:
    """The spec of a network of ours. Raises ``ValueError`` for a module that carries none."""
    spec = getattr(model, "spec", None)
    if not isinstance(spec, Spec):
        raise ValueError(f"{type(model).__name__} was not built from a spec, so it does not know its widths by name")
    return spec


def stride_of(model: nn.Module) -> int:
    """What heights and widths must be multiples of, as the network's spec says, or its class; 1 where neither does."""
    said = getattr(getattr(model, "spec", None), "stride", None)
    return int(said if said is not None else getattr(model, "stride", 1))


def _normal_(weight: Tensor) -> object:
    return nn.init.normal_(weight, 0.0, 0.02)


def init_weights_(model: nn.Module, *, convolution: Callable[[Tensor], object] = _normal_) -> None:
    """The published initialization: convolutions N(0, 0.02), biases 0, norm scales N(1, 0.02), norm shifts 0.

    pix2pix (Isola et al. 2017), section 6.2, and every system built on it; some fill the weight of a ``convolution`` otherwise.
    """
    for module in model.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            convolution(module.weight)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and weight is not None:
            nn.init.normal_(weight, 1.0, 0.02)
        else:
            continue
        if bias is not None:
            nn.init.zeros_(bias)
