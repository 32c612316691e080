"""`Spec`: complete description of a network by its architecture, options and named widths."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from inspect import signature
from typing import Any, ClassVar, NamedTuple

import pydantic
import torch
from torch import Tensor, nn

from pocketgan.core.config import from_json, to_json
from pocketgan.core.inputs import MAX_SIDE, Input, Shape
from pocketgan.utils.registry import Entry, Registry, check_at_least, listed, unknown

ARCHITECTURES: Registry[type[Spec]] = Registry("architecture")
"""Spec classes by the name that artifacts carry."""

MAX_WIDTH, MAX_GROUPS, MAX_ELEMENTS = 2**22, 2**12, 4 * 10**9
"""Channels of a group, groups of a network, and numbers in its parameters and buffers, at most."""

_PARTS, _POSITIVE, _OTHERS = (0, 256), (1, 2**16), (0, 2**16)
LIMITS: Mapping[str, tuple[float, float]] = {
    "size": (1, MAX_SIDE),
    "dropout": (0, 1),
    "kernels": (1, 31),
    **dict.fromkeys(("blocks", "depth", "layers", "mapping", "scales"), _PARTS),
    **dict.fromkeys(("in_channels", "out_channels", "stride", "factor"), _POSITIVE),
}
"""Least and most of the options of networks, by name; those of all others are 0 and 65,536."""


def check_options(label: str, options: Mapping[str, object]) -> None:
    """Raise ``ValueError`` for a number out of `LIMITS`, before a network is described, or memory taken, by it."""
    for name, value in options.items():
        least, most = LIMITS.get(name, _OTHERS)
        numbers = value if isinstance(value, tuple | list) else (value,)
        if len(numbers) > _PARTS[1]:
            raise ValueError(f"{label} {name} has {len(numbers):,} entries: the most is {_PARTS[1]}")
        for number in numbers:
            if isinstance(number, int | float) and not least <= number <= most:
                raise ValueError(f"{label} {name}={listed([str(number)])}: allowed are {least:,} to {most:,}")


class Models(Registry[Callable[..., "Spec"]]):
    """Functions from a few options to a `Spec`, whose options are checked before the call."""

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Decorator that adds a function under ``name``."""

        def add(make: Entry) -> Entry:
            assert callable(make)
            super(Models, self).register(name)(_checked(name, make))
            return make

        return add


def _checked(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
    """``make`` with a ``ValueError`` for an unknown option, a value of a wrong type and one out of bounds."""
    known = signature(make).parameters

    @wraps(make)
    def bounded(*values: Any, **options: Any) -> Any:
        check_options(name, dict(zip(known, values, strict=False)) | options)
        return make(*values, **options)

    validated = cache(lambda: pydantic.validate_call(bounded))

    @wraps(make)
    def checked(*values: Any, **options: Any) -> Any:
        for option in options:
            if option not in known:
                raise unknown(f"option of {name}", option, known)
        try:
            return validated()(*values, **options)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where, value = ".".join(map(str, first["loc"])), listed([repr(first["input"])])
            raise ValueError(f"{name} {where}={value}: {first['msg']}") from None

    return checked


MODELS = Models("model")
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
        check_options(self.name, {field.name: getattr(self, field.name) for field in dataclasses.fields(self)})
        groups = self.groups()
        if len(groups) > MAX_GROUPS:
            raise ValueError(f"a {self.name} of {len(groups):,} groups of channels: the most is {MAX_GROUPS:,}")
        for group in self.widths:
            if group not in groups:
                raise unknown(f"{self.name} group", group, groups)
        missing = [group for group in groups if group not in self.widths]
        if missing:
            raise ValueError(f"{self.name} needs a width for every group; missing: {listed(missing)}")
        optional = self.optional()
        check_at_least(self.widths, f"{self.name} width", **{group: int(group not in optional) for group in groups})
        for group in groups:
            if self.widths[group] > MAX_WIDTH:
                raise ValueError(f"{self.name} width {group}={listed([str(self.widths[group])])}: the most is {MAX_WIDTH:,}")
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
        # Of fewer channels no network comes near the most: kernels and the number of layers are limited.
        if place.type != "meta" and sum(self.widths.values()) > 1024 and (elements := self.elements()) > MAX_ELEMENTS:
            raise ValueError(f"a {self.name} of {elements:,} numbers: the most is {MAX_ELEMENTS:,}, take smaller widths")
        with place:
            model = self.module()
        if place.type != "meta":
            self.init_(model)
        self.finish_(model)
        model.spec = self  # type: ignore[assignment]
        return model

    def elements(self) -> int:
        """Number of numbers in parameters and buffers, without taking memory."""
        with torch.device("meta"):
            return sum(tensor.numel() for tensor in self.module().state_dict().values())

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
    if not isinstance(data, Mapping):
        raise ValueError(f"the description of a network is an object of fields, not {listed([repr(data)])}")
    fields = dict(data)
    return from_json(ARCHITECTURES[str(fields.pop("architecture", None))], fields)


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
