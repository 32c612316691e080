"""Parameters and multiply-accumulates as a closed form in the widths.

A layer's cost is a coefficient times its input width times its output width, so the cost of a network is a polynomial of
degree two in its widths, times indicators for the branches that an empty group removes. The coefficients (kernel sizes,
positions) come from one forward on the meta device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from math import prod
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from pocketgan.core.dims import (
    ALWAYS,
    FIXED,
    NORMS,
    Dim,
    Needs,
    axes_of,
    conditions,
    declared_axes,
    exists,
    widths_of,
)
from pocketgan.core.inputs import Size, as_shape, input_shapes
from pocketgan.metrics.counting import counts, positions_in
from pocketgan.utils.registry import unknown

PRODUCTS = "(products)"
"""Layer name of multiplications in no layer: attention, or a convolution that a module calls itself."""


class Cost(NamedTuple):
    """Cost of one image."""

    params: int
    """Number of parameters."""
    macs: int
    """Exact multiply-accumulates of layers and matrix products: half the count of ``torch.utils.flop_counter``."""
    macs_paper: int
    """Count of the literature (torchprofile in 2020): a transposed convolution is charged for every *output* position, so
    stride 2 costs four times too much, and every output element of a norm costs one."""


@dataclass(frozen=True)
class Term:
    """``cost * reads * writes`` where its ``needs`` are met."""

    layer: str
    group: str
    """First group that the layer writes; `FIXED` if none."""
    cost: Cost
    reads: Dim | int
    writes: Dim | int
    needs: Needs

    def at(self, widths: Mapping[str, int]) -> Cost:
        """Value of the term at those widths."""
        if self.needs and not exists(self.needs, widths):
            return Cost(0, 0, 0)
        times = _at(self.reads, widths) * _at(self.writes, widths)
        params, macs, macs_paper = self.cost
        return Cost(params * times, macs * times, macs_paper * times)


def _at(dim: Dim | int, widths: Mapping[str, Any]) -> Any:
    # Without a Dim in between: a search asks for millions of these. The widths may be arrays.
    return sum(widths.get(group, width) * repeat for group, width, repeat in dim.parts) if isinstance(dim, Dim) else dim


class CostModel:
    """Cost of a network at any widths, for an input of the given side or (height, width).

    ``uncounted`` names modules with parameters but no ``AXES``: their parameters count, their multiplications only where
    they are matrix products.
    """

    def __init__(self, model: nn.Module, size: Size, *, in_channels: int | None = None):
        self.size = as_shape(size)
        self.widths = widths_of(model)
        self.terms, self.uncounted = _terms(model, self.size, in_channels)

    def __call__(self, widths: Mapping[str, int] | None = None) -> Cost:
        """Cost at ``widths``; groups not named have their full width. ``ValueError`` for an unknown group."""
        return _total(term.at(self._complete(widths)) for term in self.terms)

    def by_group(self, widths: Mapping[str, int] | None = None) -> dict[str, Cost]:
        """Cost by the group that each layer writes; `FIXED` for layers that write none."""
        complete = self._complete(widths)
        groups = (*self.widths, FIXED)
        return {group: _total(term.at(complete) for term in self.terms if term.group == group) for group in groups}

    def many(self, table: np.ndarray, *, chunk: int = 16384) -> np.ndarray:
        """Costs of many configurations at once: N x groups integers (order of ``widths``) -> N x 3 int64.

        Exact: every value stays below 2**53.
        """
        if table.ndim != 2 or table.shape[1] != len(self.widths):
            raise ValueError(f"the table is {table.shape}, expected N x {len(self.widths)}: {', '.join(self.widths)}")
        out = np.empty((len(table), 3), np.int64)
        for start in range(0, len(table), chunk):
            rows = np.ascontiguousarray(table[start : start + chunk].T, dtype=np.float64)
            columns, total = dict(zip(self.widths, rows, strict=True)), np.zeros((3, rows.shape[1]))
            for needs, dims, costs in self._products:
                products = np.empty((len(dims), rows.shape[1]))
                for row, (reads, writes) in zip(products, dims, strict=True):
                    row[:] = _at(reads, columns) * _at(writes, columns)
                part = costs.T @ products
                for groups in needs:
                    part *= np.any([columns[group] for group in groups], axis=0)
                total += part
            out[start : start + chunk] = total.T
        return out

    @cached_property
    def _products(self) -> list[tuple[Needs, list[tuple[Dim | int, Dim | int]], np.ndarray]]:
        """Terms by their needs: the distinct products of what they read and write, and the summed costs of each."""
        tables: dict[Needs, dict[object, tuple[tuple[Dim | int, Dim | int], list[Cost]]]] = {}
        for term in self.terms:
            dims = term.reads, term.writes
            key = tuple(dim.parts if isinstance(dim, Dim) else dim for dim in dims)
            tables.setdefault(term.needs, {}).setdefault(key, (dims, []))[1].append(term.cost)
        return [
            (needs, [dims for dims, _ in table.values()], np.array([_total(costs) for _, costs in table.values()], np.float64))
            for needs, table in tables.items()
        ]

    def _complete(self, widths: Mapping[str, int] | None) -> dict[str, int]:
        for group in widths or {}:
            if group not in self.widths:
                raise unknown("group", group, self.widths)
        return {**self.widths, **(widths or {})}


def _total(costs: Iterable[Cost]) -> Cost:
    return Cost(*(sum(column) for column in zip(Cost(0, 0, 0), *costs, strict=True)))


def _terms(model: nn.Module, size: tuple[int, int], in_channels: int | None) -> tuple[list[Term], tuple[str, ...]]:
    """Terms of all layers, and the names of the modules that no rule covers."""
    terms, uncounted, needs = [], [], conditions(model)
    shapes = input_shapes(model, size) if in_channels is None else ((1, in_channels, *size),)
    positions, counted = positions_in(model, shapes)
    for name, module in model.named_modules():
        if ".parametrizations." in f".{name}.":
            continue  # the original of a parametrized weight: its layer counts it
        parameters = dict(module.named_parameters(recurse=False))
        ins, outs = positions.get(name, (0, 0))

        def add(cost: Cost, reads: Dim | int, writes: Dim | int, name: str = name) -> None:
            group = writes.groups[0] if isinstance(writes, Dim) and writes.groups else FIXED
            terms.append(Term(name, group, cost, reads, writes, needs[name]))

        match module:
            case nn.Conv2d() | nn.ConvTranspose2d():
                kernel = prod(module.kernel_size)
                exact = ins if isinstance(module, nn.ConvTranspose2d) else outs
                add(Cost(kernel, kernel * exact, kernel * outs), module.in_channels // module.groups, module.out_channels)
                if module.bias is not None:
                    add(Cost(1, 0, 0), 1, module.out_channels)
            case nn.Linear():
                add(Cost(1, outs, outs), module.in_features, module.out_features)
                if module.bias is not None:
                    add(Cost(1, 0, 0), 1, module.out_features)
            case _ if isinstance(module, NORMS):
                features = module.num_channels if isinstance(module, nn.GroupNorm) else module.num_features
                add(Cost(len(parameters), 0, outs), 1, features)
            case _ if parameters:
                if not declared_axes(module):
                    uncounted.append(name)
                axes = axes_of(module)
                for tensor, parameter in parameters.items():
                    named = axes.get(tensor, {})
                    assert len(named) <= 2, f"{name}.{tensor} has more than two named axes: its size is no term"
                    bare = prod(length for axis, length in enumerate(parameter.shape) if axis not in named)
                    writes, reads = [*named.values(), 1, 1][:2]
                    add(Cost(bare, 0, 0), reads, writes)
    whole = widths_of(model)
    if counted != _total(term.at(whole) for term in terms).macs:
        terms.extend(_products(model, terms, counts(model, shapes)))
    return terms, tuple(uncounted)


def _products(model: nn.Module, terms: Sequence[Term], counted: Callable[[Mapping[str, int]], int]) -> list[Term]:
    """Multiplications in no layer, as terms in the widths.

    They are a polynomial of degree two, as every matrix product is: its coefficients are its differences when one width
    or two grow by a channel.
    """
    whole = widths_of(model)

    def rest(*grown: str) -> int:
        widths = {group: width + grown.count(group) for group, width in whole.items()}
        return counted(widths) - _total(term.at(widths) for term in terms).macs

    base = rest()
    first = {group: rest(group) - base for group in whole}
    moved = [group for group, slope in first.items() if slope]
    second = {(a, b): rest(a, b) - base - first[a] - first[b] for a, b in combinations_with_replacement(moved, 2)}
    quadratic = {(a, b): slope // 2 if a == b else slope for (a, b), slope in second.items() if slope}
    linear = dict(first)
    for (a, b), slope in quadratic.items():
        linear[a] -= slope * whole[b] + (slope * (whole[a] + 1) if a == b else 0)
        if a != b:
            linear[b] -= slope * whole[a]
    dims = {group: Dim.of(group, width) for group, width in whole.items()}
    result = [Term(PRODUCTS, a, Cost(0, slope, slope), dims[b], dims[a], ALWAYS) for (a, b), slope in quadratic.items()]
    result += [Term(PRODUCTS, a, Cost(0, slope, slope), 1, dims[a], ALWAYS) for a, slope in linear.items() if slope]
    left = base - _total(term.at(whole) for term in result).macs
    return [*result, *([Term(PRODUCTS, FIXED, Cost(0, left, left), 1, 1, ALWAYS)] if left else [])]
