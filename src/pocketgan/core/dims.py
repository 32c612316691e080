"""Named widths: layers whose channels must agree do not have equal widths, they have the same width, said by name.

A module tells the rest of the house four things about itself, all of them plain data:

- its `Dim` attributes (``conv.in_channels``, ``norm.num_features``, ...): which named widths size it;
- ``AXES`` ``{tensor: (attribute or None, ...)}``: which attribute sizes which axis of a bare tensor (stock layers: below);
- ``BRANCHES`` ``{child: (attribute, ...)}``: the child exists only while none of those widths is 0 (a concatenation is 0
  once all of its groups are); the module then has ``remove_branches_()``, which drops what is no longer there and folds
  what it contributed;
- ``GATES`` ``{child: producing child}``: a gate on what the producer makes sits at the output of ``child``; a producer with
  ``PASS_THROUGH`` passes on the channels that it reads, as a depthwise convolution or a norm does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from torch import Tensor, nn

FIXED = ""
"""In the place of a group's name: channels that belong to none, which all stay (an image that is joined to features)."""


class Part(NamedTuple):
    """A run of channels inside a `Dim`: all channels of one group (or `FIXED`), ``each`` numbers a channel."""

    group: str
    width: int
    each: int


def _refused(operation: str) -> Callable[..., Any]:
    """An operator of `Dim` that says why it is not there."""

    def refuse(self: Dim, other: object = "", modulo: object = None) -> NoReturn:
        raise self._lossy(operation, other)

    return refuse


class Dim(int):
    """An integer width that remembers which channel groups it is made of, in order.

    ``a + b`` is the width of a concatenation, ``a * k`` that of a layer that holds ``k`` consecutive numbers per channel
    of ``a``. As it is an ``int``, every stock layer takes it and keeps it as its ``in_channels``, ``num_features``, ...
    Arithmetic that would lose the names raises ``TypeError``; ``int(dim)`` says on purpose that they are not wanted.
    """

    parts: tuple[Part, ...]

    def __new__(cls, parts: Iterable[tuple[str, int, int]]) -> Dim:
        """A width made of ``(group, its width, numbers per channel)``."""
        kept = tuple(Part(*part) for part in parts)
        self = super().__new__(cls, sum(part.width * part.each for part in kept))
        self.parts = kept
        return self

    @classmethod
    def of(cls, group: str, width: int) -> Dim:
        """The width of one group."""
        return cls([(group, int(width), 1)])

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups, in order, a repeated one as often as it occurs."""
        return tuple(part.group for part in self.parts if part.group != FIXED)

    @property
    def units(self) -> Dim:
        """Every group once, with one number a channel: what is decided for the channels, however often they occur."""
        return Dim((group, width, 1) for group, width in {part[:2]: None for part in self.parts if part.group != FIXED})

    def resized(self, widths: Mapping[str, int]) -> Dim:
        """The same composition at other widths; groups that ``widths`` does not name keep theirs."""
        return Dim(Part(group, int(widths.get(group, width)), each) for group, width, each in self.parts)

    def __add__(self, other: int) -> Dim:
        if isinstance(other, Dim):
            return Dim(self.parts + other.parts)
        if isinstance(other, int) and other == 0:  # so that sum() works
            return self
        raise self._lossy("+", other)

    __radd__ = __add__

    def __mul__(self, k: int) -> Dim:
        if isinstance(k, Dim) or not isinstance(k, int) or k < 1:
            raise self._lossy("*", k)
        return Dim(Part(group, width, each * k) for group, width, each in self.parts)

    __rmul__ = __mul__

    def __floordiv__(self, k: int) -> Any:
        if isinstance(k, Dim) and [part[:2] for part in k.parts] == [part[:2] for part in self.parts]:
            channels = {divmod(own.each, other.each) for own, other in zip(self.parts, k.parts, strict=True)}
            if len(channels) == 1 and channels <= {(each, 0) for each, _ in channels}:
                return channels.pop()[0]  # input channels a filter: one in a depthwise layer
        if isinstance(k, int) and not isinstance(k, Dim) and k > 0 and all(each % k == 0 for _, _, each in self.parts):
            return Dim(Part(group, width, each // k) for group, width, each in self.parts)
        raise self._lossy("//", k)

    def __rfloordiv__(self, other: int) -> int:
        return other // int(self)  # a stock group norm asks how many of the channels before it make a group

    def _lossy(self, operation: str, other: object) -> TypeError:
        return TypeError(
            f"{self!r} {operation} {other!r} would lose the names of the groups; a concatenation is dim + dim, a "
            "repetition dim * int, a split dim // int of a repetition; say int(dim) where a bare number is meant"
        )

    # A remainder stays: stock layers ask whether their groups divide their channels.
    __sub__ = __rsub__ = __neg__ = _refused("-")
    __truediv__ = __rtruediv__ = _refused("/")
    __divmod__ = __rdivmod__ = _refused("divmod")
    __pow__ = __rpow__ = _refused("**")
    __lshift__ = __rlshift__ = _refused("<<")
    __rshift__ = __rrshift__ = _refused(">>")

    def __repr__(self) -> str:
        inner = " + ".join(f"{group}:{width}" + (f"*{each}" if each != 1 else "") for group, width, each in self.parts)
        return f"Dim({inner})"

    __str__ = int.__repr__

    def __deepcopy__(self, memo: object) -> Dim:
        return self

    def __reduce__(self) -> tuple[type[Dim], tuple[tuple[Part, ...]]]:
        return Dim, (self.parts,)


class Widths(Mapping[str, int]):
    """``{group: width}`` whose attributes and items are `Dim`."""

    def __init__(self, widths: Mapping[str, int]):
        self._dims = {group: Dim.of(group, width) for group, width in widths.items()}

    def __getitem__(self, group: str) -> Dim:
        return self._dims[group]

    def __getattr__(self, group: str) -> Dim:
        try:
            return self.__dict__["_dims"][group]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"no group named {group!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._dims)

    def __len__(self) -> int:
        return len(self._dims)


_NORM = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), ("num_features",))
_CONV = {"weight": ("out_channels", "in_channels"), "bias": ("out_channels",)}
_DECONV = {"weight": ("in_channels", "out_channels"), "bias": ("out_channels",)}

Axes = Mapping[str, tuple[str | None, ...]]

NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)
"""The norms of torch that channels pass through."""

_GROUP_NORM = dict.fromkeys(("weight", "bias"), ("num_channels",))

AXES: dict[type[nn.Module], Axes] = {
    nn.Conv2d: _CONV,
    nn.ConvTranspose2d: _DECONV,
    nn.Linear: {"weight": ("out_features", "in_features"), "bias": ("out_features",)},
    nn.BatchNorm2d: _NORM,
    nn.InstanceNorm2d: _NORM,
    nn.GroupNorm: _GROUP_NORM,
    nn.PReLU: {"weight": ("num_parameters",)},
}
"""Which attribute of a stock layer sizes which axis of which of its tensors."""


def is_depthwise(module: nn.Module) -> bool:
    """Whether a convolution passes channels on, each (or each run of them) by filters of its own.

    Decided by its ``groups`` and never by a width that may be 1.
    """
    return isinstance(getattr(module, "groups", 1), Dim)


def stock_kind(module: nn.Module) -> type[nn.Module] | None:
    """The stock layer that it is, or that its author derived it from; None for others, and for what torch itself derives."""
    kinds = type(module).__mro__[: 1 if type(module).__module__.startswith("torch.") else None]
    return next((kind for kind in kinds if kind in AXES), None)


def declared_axes(module: nn.Module) -> Axes:
    """What the module's author declared, else what is known of the stock layer that it is."""
    stock = stock_kind(module)
    return getattr(module, "AXES", None) or (AXES[stock] if stock is not None else {})


def axes_of(module: nn.Module) -> dict[str, dict[int, Dim]]:
    """``{tensor: {axis: Dim}}`` for the module's own tensors that have channels to lose."""
    table: dict[str, dict[int, Dim]] = {}
    for tensor, attributes in declared_axes(module).items():
        value = getattr(module, tensor, None)
        if value is None:
            continue
        dims = {axis: getattr(module, name) for axis, name in enumerate(attributes) if name is not None}
        if is_depthwise(module) and tensor == "weight":
            dims.pop(1)  # in_channels // groups: the same number, whatever the width
        for axis, dim in dims.items():
            if isinstance(dim, Dim):
                assert value.shape[axis] == dim, f"{tensor} axis {axis} is {value.shape[axis]}, declared {dim!r}"
                table.setdefault(tensor, {})[axis] = dim
    return table


def written_by(module: nn.Module) -> Dim | None:
    """The named width of what a layer makes: its ``out_channels``, or what sizes its tensors and reads nothing."""
    stated = (name for attributes in declared_axes(module).values() for name in attributes)
    named = (getattr(module, name, None) for name in ("out_channels", *stated) if name and not name.startswith("in_"))
    return next((dim for dim in named if isinstance(dim, Dim)), None)


def channel_map(model: nn.Module) -> dict[str, dict[int, Dim]]:
    """``{tensor name: {axis: Dim}}`` for every parameter and buffer of ``model`` that has channels to lose.

    Raises ``ValueError``, naming the layers, for a tensor that two layers share under different groups, for a grouped
    convolution that is not depthwise (neither can lose channels without changing what it computes) and for a layer with
    named widths whose tensors nobody has described.
    """
    table: dict[str, dict[int, Dim]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        groups = getattr(module, "groups", 1)
        named = dims_of(module) and any(True for _ in own_tensors(module))
        if named and not isinstance(groups, Dim) and groups != 1:
            raise ValueError(f"layer '{name}' is a convolution in {groups} groups, neither dense nor depthwise: keep it")
        if named and not declared_axes(module):
            raise ValueError(f"layer '{name}' ({type(module).__name__}) has named widths but no AXES: say what they size")
        table |= {f"{name}.{tensor}".lstrip("."): dims for tensor, dims in axes_of(module).items()}
    _check_ties(model, table)
    return table


def own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The parameters and buffers of the module itself, without those of its children."""
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _check_ties(model: nn.Module, table: Mapping[str, Mapping[int, Dim]]) -> None:
    owners: dict[int, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        for tensor, value in own_tensors(module):
            path = f"{name}.{tensor}".lstrip(".")
            owner = owners.setdefault(id(value), path)
            ours, theirs = ({axis: dim.parts for axis, dim in table.get(key, {}).items()} for key in (path, owner))
            if ours != theirs:
                raise ValueError(f"'{owner}' and '{path}' share one tensor but not their channel groups: untie them")


def widths_of(model: nn.Module) -> dict[str, int]:
    """``{group: width}`` of every group that the model's modules name, in the order in which they occur."""
    found: dict[str, int] = {}
    for module in model.modules():
        for dim in dims_of(module).values():
            for group, width, _ in dim.parts:
                if group == FIXED:
                    continue
                if found.setdefault(group, width) != width:
                    raise ValueError(f"group '{group}' is {found[group]} wide in one layer and {width} in another")
    return found


def set_widths_(model: nn.Module, widths: Mapping[str, int]) -> None:
    """Renumber every `Dim` attribute of every module, in place; tensors are not touched."""
    for module in model.modules():
        for name, dim in dims_of(module).items():
            setattr(module, name, dim.resized(widths))


def layers_of(model: nn.Module) -> dict[str, list[str]]:
    """``{group: the layers that it sizes}``, those that make its channels before those that only read them."""
    makes: dict[str, dict[str, None]] = {}
    reads: dict[str, dict[str, None]] = {}
    for name, module in model.named_modules():
        for attribute, dim in dims_of(module).items():
            for group in dim.groups:
                (reads if attribute.startswith("in_") else makes).setdefault(group, {})[name] = None
    return {group: list(makes.get(group, {}) | reads.get(group, {})) for group in widths_of(model)}


def dims_of(module: nn.Module) -> dict[str, Dim]:
    """The module's own attributes that are named widths."""
    return {name: value for name, value in vars(module).items() if isinstance(value, Dim)}


Needs = frozenset[frozenset[str]]
"""What a module needs to exist: of each of these sets, one group at least that is not empty."""

ALWAYS: Needs = frozenset()


def exists(needs: Needs, widths: Mapping[str, int]) -> bool:
    """Whether a module with those needs exists at these widths."""
    return all(any(widths[group] > 0 for group in groups) for groups in needs)


def branches_of(module: nn.Module) -> dict[str, Needs]:
    """``{child: its needs}``, for a module that states its ``BRANCHES``."""
    declared: Mapping[str, tuple[str, ...]] = getattr(module, "BRANCHES", {})
    return {child: frozenset(frozenset(getattr(module, name).groups) for name in names) for child, names in declared.items()}


def conditions(model: nn.Module) -> dict[str, Needs]:
    """``{module name: its needs}`` for every module of the model."""
    needs: dict[str, Needs] = {"": ALWAYS}
    for name, module in model.named_modules(remove_duplicate=False):
        own = needs[name]
        branches = branches_of(module)
        for child in module._modules:  # not named_children(), which leaves out the second name of a shared layer
            path = f"{name}.{child}".lstrip(".")
            needs[path] = own | branches.get(child, ALWAYS)
    return needs


def removable_groups(model: nn.Module) -> frozenset[str]:
    """The groups whose width may be 0, because a branch goes with them."""
    needs = (needs for module in model.modules() for needs in branches_of(module).values())
    return frozenset(group for own in needs for groups in own for group in groups)


def named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter and buffer once, with its name; a shared one under the first of its names."""
    yield from model.named_parameters()
    yield from model.named_buffers()
