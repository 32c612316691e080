"""`Spec`: complete description of a network by its architecture, options and named widths."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from pocketgan.core.config import from_json, to_json
from pocketgan.core.inputs import Input, Shape
from pocketgan.utils.registry import Registry, check_at_least, listed, unknown

ARCHITECTURES: Registry[type[Spec]] = Registry("architecture")
"""Spec classes by the name that artifacts carry."""

MAX_OPTION = 16_384
"""The largest number of blocks, levels, channels or pixels of a description, so that a file cannot ask for a giant."""

MODELS: Registry[Callable[..., Spec]] = Registry("model")
"""Functions from a few options (``ngf``, ``blocks``) to a complete `Spec`."""


class Preset(NamedTuple):
    """Call of one of `MODELS`."""

    name: str
    options: dict[str, Any]

    def spec(self) -> Spec:
        """Spec that the call makes."""
        return MODELS[self.name](**self.options)


@dataclass(frozen=True, kw_only=True)
class Spec(ABC):
    """Base class of the descriptions of networks. A subclass adds its options, `groups` and `module`.

    The full network is the spec with large numbers, the slim one the same spec with small numbers. A width of 0 is
    allowed only for the groups whose branch is removed with them (`optional`).
    """

    widths: Mapping[str, int]
    """``{group: number of channels}``, every group of the architecture exactly once."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for option, value in {**vars(self), **self.widths}.items():  # before the groups, whose number follows from them
            if type(value) is int and value > MAX_OPTION:
                raise ValueError(f"{self.name} {option}={listed([str(value)])}: the most is {MAX_OPTION:,}")
        groups = self.groups()
        for group in self.widths:
            if group not in groups:
                raise unknown(f"{self.name} group", group, groups)
        missing = [group for group in groups if group not in self.widths]
        if missing:
            raise ValueError(f"{self.name} needs a width for every group; missing: {', '.join(missing)}")
        check_at_least(self.widths, f"{self.name} width", **{group: int(group not in self.optional()) for group in groups})
        object.__setattr__(self, "widths", {group: int(self.widths[group]) for group in groups})

    @abstractmethod
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, from input to output."""

    def optional(self) -> frozenset[str]:
        """Groups whose width may be 0: the branch that they feed is then absent."""
        return frozenset()

    @abstractmethod
    def module(self) -> nn.Module:
        """Make the bare module at these widths, with torch's own initial values."""

    @property
    def taps(self) -> tuple[str, ...]:
        """Names of the modules whose outputs are distilled by default, from input to output."""
        return ()

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Inputs in the order of the forward; empty for one image of ``in_channels``."""
        return ()

    @property
    def output_shape(self) -> Shape | None:
        """Height and width of the output where the architecture fixes them; None where they are those of the input."""
        return None

    @property
    def tied_groups(self) -> Mapping[str, str]:
        """``{group: group whose width it follows}`` for methods that prune by scores that this group lacks."""
        return {}

    def mobile(self, ngf: int | None = None) -> Preset | None:
        """Network with separable convolutions that replaces this one as the teacher (GAN Compression), of ``ngf`` or its own.

        None where none was published, and where the network is separable already.
        """
        return None

    def build(self, *, device: str | torch.device | None = None) -> nn.Module:
        """Build the network at these widths, initialized as published; its ``.spec`` is this spec."""
        place = torch.device(device or "cpu")
        with place:
            model = self.module()
        if place.type != "meta":
            self.init_(model)
        self.finish_(model)
        model.spec = self  # type: ignore[assignment]
        return model

    def init_(self, model: nn.Module) -> None:
        """Initialize the weights in place: by `init_weights_`, unless the architecture was published with others."""
        init_weights_(model)

    def finish_(self, model: nn.Module) -> None:  # noqa: B027  (most networks are finished)
        """Add parametrizations or the like to the initialized network, in place."""

    def resized(self, widths: Mapping[str, int]) -> Spec:
        """Same description at other widths; groups not named keep theirs."""
        return dataclasses.replace(self, widths={**self.widths, **widths})

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data for `spec_from_json`."""
        return {"architecture": self.name, **to_json(self)}


def spec_from_json(data: Mapping[str, Any]) -> Spec:
    """Make the spec of `Spec.to_json`. Raises ``ValueError`` for an unknown architecture or field."""
    fields = dict(data)
    return from_json(ARCHITECTURES[fields.pop("architecture", None)], fields)


def spec_of(model: nn.Module) -> Spec:
    """Spec of a network. Raises ``ValueError`` for a module that has none."""
    spec = getattr(model, "spec", None)
    if not isinstance(spec, Spec):
        raise ValueError(f"{type(model).__name__} was not built from a spec, so it does not know its widths by name")
    return spec


def stride_of(model: nn.Module) -> int:
    """Number of which heights and widths must be multiples: of the network's spec, else of its class, else 1."""
    stride = getattr(getattr(model, "spec", None), "stride", None)
    return int(stride if stride is not None else getattr(model, "stride", 1))


def _normal_(weight: Tensor) -> object:
    return nn.init.normal_(weight, 0.0, 0.02)


def init_weights_(model: nn.Module, *, convolution: Callable[[Tensor], object] = _normal_) -> None:
    """Initialize as published: convolutions N(0, 0.02), biases 0, norm scales N(1, 0.02), norm shifts 0.

    pix2pix (Isola et al. 2017), section 6.2, and every system built on it; ``convolution`` replaces the first of these.
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
