"""Named widths: layers whose channels must agree share one width, which has a name.

A module declares up to four things, all of them plain data:

- its `Dim` attributes (``conv.in_channels``, ``norm.num_features``, ...): the named widths that size the module;
- ``AXES`` ``{tensor: (attribute or None, ...)}``: the attribute that sizes each axis of a bare tensor (stock layers: below);
- ``BRANCHES`` ``{child: (attribute, ...)}``: the child exists only while none of those widths is 0 (a concatenation is 0
  once all of its groups are); the module then has ``remove_branches_()``, which drops the absent children and folds their
  constant contribution;
- ``GATES`` ``{child: producing child}``: a gate on the producer's channels is applied to the output of ``child``; a
  producer with ``PASS_THROUGH`` keeps its input channels, as a depthwise convolution or a norm does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from torch import Tensor, nn

FIXED = "(fixed)"
"""Group of the channels that cannot be removed, such as those of an image that is concatenated to features."""


class Part(NamedTuple):
    """Part of a `Dim`: all channels of one group (or `FIXED`), ``repeat`` numbers a channel."""

    group: str
    width: int
    repeat: int


def _refused(operation: str) -> Callable[..., Any]:
    """Operator of `Dim` that raises the error of a lossy operation."""

    def refuse(self: Dim, other: object = "", modulo: object = None) -> NoReturn:
        raise self._lossy(operation, other)

    return refuse


class Dim(int):
    """Integer width that keeps the channel groups it is made of, in order.

    ``a + b`` is the width of a concatenation, ``a * k`` that of a layer that holds ``k`` consecutive numbers per channel
    of ``a``. As it is an ``int``, every stock layer takes it and keeps it as its ``in_channels``, ``num_features``, ...
    Arithmetic that would lose the names raises ``TypeError``; ``int(dim)`` drops them on purpose.
    """

    parts: tuple[Part, ...]

    def __new__(cls, parts: Iterable[tuple[str, int, int]]) -> Dim:
        """Make a width of ``(group, width of the group, numbers per channel)``."""
        kept = tuple(Part(*part) for part in parts)
        self = super().__new__(cls, sum(part.width * part.repeat for part in kept))
        self.parts = kept
        return self

    @classmethod
    def of(cls, group: str, width: int) -> Dim:
        """Width of one group."""
        return cls([(group, int(width), 1)])

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, in order, a repeated one as often as it occurs."""
        return tuple(part.group for part in self.parts if part.group != FIXED)

    @property
    def units(self) -> Dim:
        """Every group once, with one number a channel: the width of a mask, however often the channels occur."""
        return Dim((group, width, 1) for group, width in {part[:2]: None for part in self.parts if part.group != FIXED})

    def resized(self, widths: Mapping[str, int]) -> Dim:
        """Same composition at other widths; groups that ``widths`` does not name keep theirs."""
        return Dim(Part(group, int(widths.get(group, width)), repeat) for group, width, repeat in self.parts)

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
        return Dim(Part(group, width, repeat * k) for group, width, repeat in self.parts)

    __rmul__ = __mul__

    def __floordiv__(self, k: int) -> Any:
        if isinstance(k, Dim) and [part[:2] for part in k.parts] == [part[:2] for part in self.parts]:
            ratios = {divmod(a.repeat, b.repeat) for a, b in zip(self.parts, k.parts, strict=True)}
            if len(ratios) == 1 and all(remainder == 0 for _, remainder in ratios):
                return ratios.pop()[0]  # input channels a filter: one in a depthwise layer
        if isinstance(k, int) and not isinstance(k, Dim) and k > 0 and all(repeat % k == 0 for _, _, repeat in self.parts):
            return Dim(Part(group, width, repeat // k) for group, width, repeat in self.parts)
        raise self._lossy("//", k)

    def __rfloordiv__(self, other: int) -> int:
        return other // int(self)  # a stock group norm asks how many of the channels before it make a group

    def _lossy(self, operation: str, other: object) -> TypeError:
        return TypeError(
            f"{self!r} {operation} {other!r} would lose the names of the groups; a concatenation is dim + dim, a "
            "repetition dim * int, a split dim // int of a repetition; write int(dim) where a bare number is meant"
        )

    # % is allowed: stock layers check that their groups divide their channels.
    __sub__ = __rsub__ = __neg__ = _refused("-")
    __truediv__ = __rtruediv__ = _refused("/")
    __divmod__ = __rdivmod__ = _refused("divmod")
    __pow__ = __rpow__ = _refused("**")
    __lshift__ = __rlshift__ = _refused("<<")
    __rshift__ = __rrshift__ = _refused(">>")

    def __repr__(self) -> str:
        inner = " + ".join(f"{group}:{width}" + (f"*{repeat}" if repeat != 1 else "") for group, width, repeat in self.parts)
        return f"Dim({inner})"

    __str__ = int.__repr__

    def __deepcopy__(self, memo: object) -> Dim:
        return self

    def __reduce__(self) -> tuple[type[Dim], tuple[tuple[Part, ...]]]:
        return Dim, (self.parts,)


class Widths(dict[str, Dim]):
    """``{group: Dim}`` of ``{group: width}``, whose items are attributes, too."""

    def __init__(self, widths: Mapping[str, int]):
        super().__init__({group: Dim.of(group, width) for group, width in widths.items()})

    def __getattr__(self, group: str) -> Dim:
        if group not in self:
            raise AttributeError(f"no group named {group!r}")
        return self[group]


_NORM = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), ("num_features",))
_CONV = {"weight": ("out_channels", "in_channels"), "bias": ("out_channels",)}
_DECONV = {"weight": ("in_channels", "out_channels"), "bias": ("out_channels",)}

Axes = Mapping[str, tuple[str | None, ...]]

NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)
"""Norms of torch that keep the channels."""

AXES: dict[type[nn.Module], Axes] = {
    nn.Conv2d: _CONV,
    nn.ConvTranspose2d: _DECONV,
    nn.Linear: {"weight": ("out_features", "in_features"), "bias": ("out_features",)},
    nn.BatchNorm2d: _NORM,
    nn.InstanceNorm2d: _NORM,
    nn.GroupNorm: dict.fromkeys(("weight", "bias"), ("num_channels",)),
    nn.PReLU: {"weight": ("num_parameters",)},
}
"""``{stock layer: {tensor: attribute that sizes each axis}}``"""


def is_depthwise(module: nn.Module) -> bool:
    """True for a convolution that filters each channel (or run of channels) alone: by its ``groups``, not by a width of 1."""
    return isinstance(getattr(module, "groups", 1), Dim)


def stock_kind(module: nn.Module) -> type[nn.Module] | None:
    """Stock layer that a module is or derives from; None for other modules, and for those that torch itself derives."""
    kinds = type(module).__mro__[: 1 if type(module).__module__.startswith("torch.") else None]
    return next((kind for kind in kinds if kind in AXES), None)


def declared_axes(module: nn.Module) -> Axes:
    """``AXES`` of the module, else those of the stock layer that it is."""
    stock = stock_kind(module)
    return getattr(module, "AXES", None) or (AXES[stock] if stock is not None else {})


def axes_of(module: nn.Module) -> dict[str, dict[int, Dim]]:
    """``{tensor: {axis: Dim}}`` for the module's own tensors that have named channels."""
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
    """Named width of a layer's output: ``out_channels``, or the attribute that sizes its tensors and is no input's."""
    stated = (name for attributes in declared_axes(module).values() for name in attributes)
    named = (getattr(module, name, None) for name in ("out_channels", *stated) if name and not name.startswith("in_"))
    return next((dim for dim in named if isinstance(dim, Dim)), None)


def channel_map(model: nn.Module) -> dict[str, dict[int, Dim]]:
    """``{tensor name: {axis: Dim}}`` for every parameter and buffer of ``model`` that has named channels.

    Raises ``ValueError``, naming the layers, for a tensor that two layers share under different groups, for a grouped
    convolution that is not depthwise (neither can lose channels and compute the same) and for a layer with named widths
    whose tensors have no ``AXES``.
    """
    table: dict[str, dict[int, Dim]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        groups = getattr(module, "groups", 1)
        named = dims_of(module) and any(True for _ in own_tensors(module))
        if named and not isinstance(groups, Dim) and groups != 1:
            raise ValueError(f"layer '{name}' is a convolution in {groups} groups, neither dense nor depthwise: keep it")
        if named and not declared_axes(module):
            raise ValueError(f"layer '{name}' ({type(module).__name__}) has named widths but no AXES: declare what they size")
        table |= {f"{name}.{tensor}".lstrip("."): dims for tensor, dims in axes_of(module).items()}
    _check_ties(model, table)
    return table


def own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers of the module itself, without those of its children."""
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
    """``{group: width}`` of every group of the model, in the order of the modules."""
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
    """``{group: layers that it sizes}``, those that write its channels before those that only read them."""
    makes: dict[str, dict[str, None]] = {}
    reads: dict[str, dict[str, None]] = {}
    for name, module in model.named_modules():
        for attribute, dim in dims_of(module).items():
            for group in dim.groups:
                (reads if attribute.startswith("in_") else makes).setdefault(group, {})[name] = None
    return {group: list(makes.get(group, {}) | reads.get(group, {})) for group in widths_of(model)}


def dims_of(module: nn.Module) -> dict[str, Dim]:
    """Attributes of the module itself that are named widths."""
    return {name: value for name, value in vars(module).items() if isinstance(value, Dim)}


Needs = frozenset[frozenset[str]]
"""Condition for a module to exist: each of these sets has a group whose width is not 0."""

ALWAYS: Needs = frozenset()


def exists(needs: Needs, widths: Mapping[str, int]) -> bool:
    """True if a module with those needs exists at these widths."""
    return all(any(widths[group] > 0 for group in groups) for groups in needs)


def branches_of(module: nn.Module) -> dict[str, Needs]:
    """``{child: needs}`` of a module that declares ``BRANCHES``."""
    declared: Mapping[str, tuple[str, ...]] = getattr(module, "BRANCHES", {})
    return {child: frozenset(frozenset(getattr(module, name).groups) for name in names) for child, names in declared.items()}


def conditions(model: nn.Module) -> dict[str, Needs]:
    """``{module name: needs}`` for every module of the model."""
    needs: dict[str, Needs] = {"": ALWAYS}
    for name, module in model.named_modules(remove_duplicate=False):
        own = needs[name]
        branches = branches_of(module)
        for child in module._modules:  # not named_children(), which leaves out the second name of a shared layer
            path = f"{name}.{child}".lstrip(".")
            needs[path] = own | branches.get(child, ALWAYS)
    return needs


def removable_groups(model: nn.Module) -> frozenset[str]:
    """Groups whose width may be 0, because a branch is removed with them."""
    needs = (needs for module in model.modules() for needs in branches_of(module).values())
    return frozenset(group for own in needs for groups in own for group in groups)


def named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter and buffer once, with its name; a shared one under its first name."""
    yield from model.named_parameters()
    yield from model.named_buffers()
