"""Search spaces: one number drives one or several named widths; all else is arithmetic on those numbers.

A configuration is a tuple of numbers, one a gene, written ``32_32_48_32_48_48_16_16`` as GAN Compression does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from pocketgan.metrics.cost import Cost, CostModel
from pocketgan.pruning.budget import Budget, check_floor
from pocketgan.utils.errors import unknown

Configuration = tuple[int, ...]
Table = npt.NDArray[np.int64]
"""N x genes: one configuration a row."""

CHUNK = 1 << 18
"""Configurations that are enumerated at a time: some 30 MiB of widths."""


@dataclass(frozen=True)
class Gene:
    """One number of a configuration: every group of ``groups`` becomes ``times`` that number wide.

    Raises ``ValueError`` for a gene without groups or choices, and for another count of ``times`` than of groups.
    """

    name: str
    groups: tuple[str, ...]
    choices: tuple[int, ...]
    """Largest first, as published: the weights of a first generation run along this order."""
    times: int | tuple[int, ...] = 1
    """Of all groups alike, or of each."""

    def __post_init__(self) -> None:
        if not self.groups or not self.choices:
            raise ValueError(f"gene '{self.name}' needs at least one group and one choice")
        if isinstance(self.times, tuple):
            if len(self.times) != len(self.groups):
                raise ValueError(f"gene '{self.name}' has times={self.times} for {len(self.groups)} groups: give one for each")
            if len(set(self.times)) == 1:  # one gene, however it was written
                object.__setattr__(self, "times", self.times[0])
        object.__setattr__(self, "choices", tuple(sorted(set(map(int, self.choices)), reverse=True)))

    @property
    def factors(self) -> dict[str, int]:
        """``{group: how many times the number it is wide}``."""
        times = self.times if isinstance(self.times, tuple) else (self.times,) * len(self.groups)
        return dict(zip(self.groups, times, strict=True))

    def read(self, widths: Mapping[str, int]) -> int:
        """The number that gives these widths. Raises ``ValueError`` if no one number does."""
        found = {divmod(widths[group], times) for group, times in self.factors.items()}
        number, rest = found.pop()
        if found or rest:
            shown = ", ".join(f"{group}={widths[group]}" for group in self.groups)
            times = f"all {self.times}" if isinstance(self.times, int) else ", ".join(map(str, self.times))
            raise ValueError(f"no one number '{self.name}' gives {shown}: it makes them {times} x itself")
        return number


@dataclass(frozen=True)
class Space:
    """All configurations of some genes of a network.

    Raises ``ValueError`` for a group that the network lacks or two genes drive, and for a choice it has no room for.
    """

    genes: tuple[Gene, ...]
    whole: Mapping[str, int] = field(hash=False)
    """The widths of the whole network; groups that no gene drives keep theirs."""
    optional: frozenset[str] = frozenset()
    """The groups that may be 0 wide, because a branch goes with them."""

    def __post_init__(self) -> None:
        driven = Counter(group for gene in self.genes for group in gene.groups)
        for group, times in driven.items():
            if group not in self.whole:
                raise unknown("group", group, self.whole)
            if times > 1:
                raise ValueError(f"group '{group}' is driven by {times} genes: one number decides its width")
        for gene in self.genes:
            for group, times in gene.factors.items():
                self._check(gene, group, times)

    def _check(self, gene: Gene, group: str, times: int) -> None:
        most, least = gene.choices[0] * times, gene.choices[-1] * times
        if most > self.whole[group]:
            raise ValueError(
                f"{gene.name}={gene.choices[0]} makes group '{group}' {most} wide, the network has {self.whole[group]}: "
                f"choices up to {self.whole[group] // times} fit"
            )
        if least < (0 if group in self.optional else 1):
            raise ValueError(f"{gene.name}={gene.choices[-1]}: group '{group}' may not be that narrow; the least is 1")

    @property
    def names(self) -> tuple[str, ...]:
        """The genes' names, in the order of the numbers of a configuration."""
        return tuple(gene.name for gene in self.genes)

    @property
    def size(self) -> int:
        """How many configurations there are."""
        return prod(len(gene.choices) for gene in self.genes)

    @property
    def largest(self) -> Configuration:
        """Every number at its largest."""
        return tuple(gene.choices[0] for gene in self.genes)

    @property
    def smallest(self) -> Configuration:
        """Every number at its least."""
        return tuple(gene.choices[-1] for gene in self.genes)

    def check(self, configuration: Configuration) -> Configuration:
        """The configuration itself. Raises ``ValueError`` for a wrong count of numbers or one that is no choice."""
        if len(configuration) != len(self.genes):
            raise ValueError(f"{format_widths(configuration)} has {len(configuration)} numbers, the space has {self._form}")
        for gene, number in zip(self.genes, configuration, strict=True):
            if number not in gene.choices:
                raise ValueError(f"{gene.name}={number} is not in the space; choices: {', '.join(map(str, gene.choices))}")
        return configuration

    @property
    def _form(self) -> str:
        return f"{len(self.genes)}: {'_'.join(self.names)}"

    def parse(self, text: str) -> Configuration:
        """The configuration that `format` wrote. Raises ``ValueError`` if it is not one of this space."""
        return self.check(parse_widths(text))

    def format(self, configuration: Configuration) -> str:
        """The configuration as published: ``32_32_48_32_48_48_16_16``."""
        return format_widths(self.check(configuration))

    def widths(self, configuration: Configuration) -> dict[str, int]:
        """``{group: width}`` of every group of the network."""
        widths = dict(self.whole)
        for gene, number in zip(self.genes, configuration, strict=True):
            widths |= {group: times * int(number) for group, times in gene.factors.items()}
        return widths

    def configuration(self, widths: Mapping[str, int]) -> Configuration:
        """The inverse of `widths`. Raises ``ValueError`` for widths that the space does not hold."""
        return self.check(tuple(gene.read(widths) for gene in self.genes))

    def at(self, index: int) -> Configuration:
        """The configuration number ``index`` of the enumeration, which begins with the largest."""
        return tuple(map(int, self.rows(np.array([index]))[0]))

    def index(self, configuration: Configuration) -> int:
        """The inverse of `at`."""
        index = 0
        for gene, number in zip(self.genes, self.check(configuration), strict=True):
            index = index * len(gene.choices) + gene.choices.index(number)
        return index

    def rows(self, indices: npt.NDArray[np.int64]) -> Table:
        """Many configurations of the enumeration at once. Raises ``ValueError`` for an index outside it."""
        digits = np.unravel_index(indices, tuple(len(gene.choices) for gene in self.genes))
        return self._numbers(digits)

    def sample(self, rng: np.random.Generator, count: int) -> Table:
        """Uniform configurations, every gene on its own."""
        return self._numbers(tuple(rng.integers(len(gene.choices), size=count) for gene in self.genes))

    def weighted(self, rng: np.random.Generator, count: int, weights: Mapping[str, npt.NDArray[np.float64]]) -> Table:
        """Configurations whose choices have the probabilities ``weights[gene]``, largest choice first."""
        names = self.names
        return self._numbers(tuple(rng.choice(len(weights[n]), size=count, p=weights[n]) for n in names))

    def _numbers(self, digits: tuple[npt.NDArray[np.int64], ...]) -> Table:
        columns = [np.array(gene.choices, np.int64)[digit] for gene, digit in zip(self.genes, digits, strict=True)]
        return np.stack(columns, axis=-1)

    def costs(self, table: Table, cost: CostModel) -> npt.NDArray[np.int64]:
        """N x 3: parameters, exact MACs and paper MACs of many configurations; nothing is built."""
        order = {group: column for column, group in enumerate(cost.widths)}
        widths = np.tile(np.array([self.whole[group] for group in order], np.int64), (len(table), 1))
        for gene, numbers in zip(self.genes, table.T, strict=True):
            widths[:, [order[group] for group in gene.groups]] = np.array([*gene.factors.values()]) * numbers[:, None]
        return cost.many(widths)


@dataclass(frozen=True)
class BudgetedSpace:
    """The part of a space that a budget allows.

    Raises ``ValueError`` that names the floor where that is nothing, and for a small space that has nothing between ``use``
    of the budget and the whole of it.
    """

    space: Space
    cost: CostModel
    budget: Budget | None = None
    """None allows everything."""
    use: float = 0.0
    """The least part of the budget that a configuration uses, at most as much as the largest of the space does."""

    def __post_init__(self) -> None:
        if not 0 <= self.use <= 1:
            raise ValueError(f"use={self.use}: the least part of the budget that is used, from 0 to 1")
        if self.budget is not None:  # cost rises with every width, so the smallest configuration is the cheapest
            check_floor(self.budget, self.cost, self.space.widths(self.space.smallest))
        if self.use and self.space.size <= CHUNK and not len(self.indices):
            raise ValueError(f"no configuration of the space uses {self.use:g} to 1 of the budget: give a smaller use")

    @cached_property
    def least(self) -> int:
        """What a configuration costs at least, in the count that the budget bounds."""
        if self.budget is None:
            return 0
        most = self.budget.of(self.cost(self.space.widths(self.space.largest)))
        return min(most, math.ceil(self.use * self.budget.limit))

    def allows(self, table: Table) -> npt.NDArray[np.bool_]:
        """Which of the configurations are within the budget."""
        if self.budget is None:
            return np.ones(len(table), bool)
        costs = self.space.costs(table, self.cost)[:, self.column]
        return (self.least <= costs) & (costs <= self.budget.limit)

    @property
    def column(self) -> int:
        """Which of the three counts the budget bounds; exact MACs without one."""
        return Cost._fields.index(self.budget.kind if self.budget else "macs")

    @cached_property
    def indices(self) -> npt.NDArray[np.int64]:
        """The indices of everything allowed, in the order of the enumeration: 5.8 million are a second's work."""
        found = []
        for start in range(0, self.space.size, CHUNK):
            chunk = np.arange(start, min(start + CHUNK, self.space.size))
            found.append(chunk[self.allows(self.space.rows(chunk))])
        return np.concatenate(found)


def parse_widths(text: str) -> Configuration:
    """``32_48_16`` as a tuple. Raises ``ValueError`` for anything but integers joined by ``_``."""
    parts = text.strip().split("_")
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"configuration '{text}' is not understood; write integers joined by _, like 32_32_48_32_48_48_16_16")
    return tuple(map(int, parts))


def format_widths(configuration: Configuration) -> str:
    """The tuple as ``32_48_16``."""
    return "_".join(map(str, configuration))
