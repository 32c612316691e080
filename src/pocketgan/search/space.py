"""Search spaces: a gene drives one or several named widths; all else is arithmetic on genes.

A configuration is a tuple of values, one per gene, written ``32_32_48_32_48_48_16_16`` as in GAN Compression.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pocketgan.metrics.cost import Cost, CostModel
from pocketgan.pruning.budget import Budget, check_floor
from pocketgan.utils.registry import listed, unknown

Configuration = tuple[int, ...]
Table = npt.NDArray[np.int64]
"""N x genes: one configuration per row."""

MAX_ENUMERATED = 10**9
"""Configurations that are gone through one by one, at most: three minutes."""
CHUNK = 1 << 18
"""Configurations that are enumerated at a time: some 30 MiB of widths."""


@dataclass(frozen=True)
class Gene:
    """Variable of a configuration: each group is ``factors[group]`` times its value wide.

    Raises ``ValueError`` for a gene without groups or choices.
    """

    name: str
    factors: Mapping[str, int] = field(hash=False)
    """``{group: factor}``"""
    choices: tuple[int, ...]
    """Largest first, as published: the weights of a first generation follow this order."""

    def __post_init__(self) -> None:
        if not self.factors or not self.choices:
            raise ValueError(f"gene '{self.name}' needs at least one group and one choice")
        object.__setattr__(self, "choices", tuple(sorted(set(map(int, self.choices)), reverse=True)))


@dataclass(frozen=True)
class Space:
    """All configurations of some genes of a network.

    Raises ``ValueError`` for a group that the network lacks or two genes drive, and for a choice outside the widths allowed.
    """

    genes: tuple[Gene, ...]
    full: Mapping[str, int] = field(hash=False)
    """Widths of the full network; groups without a gene keep theirs."""
    optional: frozenset[str] = frozenset()
    """Groups that may be 0 wide, because a branch is removed with them."""

    def __post_init__(self) -> None:
        driven = Counter(group for gene in self.genes for group in gene.factors)
        for group, times in driven.items():
            if group not in self.full:
                raise unknown("group", group, self.full)
            if times > 1:
                raise ValueError(f"group '{group}' is driven by {times} genes: one gene decides its width")
        for gene in self.genes:
            most, least = gene.choices[0], gene.choices[-1]
            for group, factor in gene.factors.items():
                if most * factor > self.full[group]:
                    raise ValueError(
                        f"{gene.name}={most} makes group '{group}' {most * factor} wide, the network has {self.full[group]}: "
                        f"choices up to {self.full[group] // factor} fit"
                    )
                if least * factor < (0 if group in self.optional else 1):
                    raise ValueError(f"{gene.name}={least}: group '{group}' may not be that narrow; the least is 1")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the genes, in the order of a configuration."""
        return tuple(gene.name for gene in self.genes)

    @property
    def size(self) -> int:
        """Number of configurations."""
        return math.prod(len(gene.choices) for gene in self.genes)

    @property
    def largest(self) -> Configuration:
        """Every gene at its largest choice."""
        return tuple(gene.choices[0] for gene in self.genes)

    @property
    def smallest(self) -> Configuration:
        """Every gene at its smallest choice."""
        return tuple(gene.choices[-1] for gene in self.genes)

    def widths(self, configuration: Configuration) -> dict[str, int]:
        """``{group: width}`` of every group of the network."""
        widths = dict(self.full)
        for gene, value in zip(self.genes, configuration, strict=True):
            widths |= {group: factor * int(value) for group, factor in gene.factors.items()}
        return widths

    def rows(self, indices: npt.NDArray[np.int64]) -> Table:
        """Configurations by index of the enumeration, which begins with the largest. ``ValueError`` for an index outside."""
        return self._values(np.unravel_index(indices, tuple(len(gene.choices) for gene in self.genes)))

    def sample(self, rng: np.random.Generator, count: int) -> Table:
        """Uniform configurations, every gene independently."""
        return self._values(tuple(rng.integers(len(gene.choices), size=count) for gene in self.genes))

    def weighted(self, rng: np.random.Generator, count: int, weights: Mapping[str, npt.NDArray[np.float64]]) -> Table:
        """Configurations whose choices have the probabilities ``weights[gene]``, largest choice first."""
        return self._values(tuple(rng.choice(len(weights[n]), size=count, p=weights[n]) for n in self.names))

    def _values(self, digits: tuple[npt.NDArray[np.int64], ...]) -> Table:
        columns = [np.array(gene.choices, np.int64)[digit] for gene, digit in zip(self.genes, digits, strict=True)]
        return np.stack(columns, axis=-1)

    def costs(self, table: Table, cost: CostModel) -> npt.NDArray[np.int64]:
        """N x 3: parameters, exact MACs and paper MACs of the configurations, without building networks."""
        order = {group: column for column, group in enumerate(cost.widths)}
        widths = np.tile(np.array([self.full[group] for group in order], np.int64), (len(table), 1))
        for gene, values in zip(self.genes, table.T, strict=True):
            widths[:, [order[group] for group in gene.factors]] = np.array([*gene.factors.values()]) * values[:, None]
        return cost.many(widths)


@dataclass(frozen=True)
class BudgetedSpace:
    """Part of a space within a budget.

    Raises ``ValueError`` that names the floor if it is empty, and for a small space without a configuration between ``use``
    of the budget and the budget.
    """

    space: Space
    cost: CostModel
    budget: Budget | None = None
    """None allows everything."""
    use: float = 0.0
    """Smallest part of the budget that a configuration uses, at most as much as the largest configuration does."""

    def __post_init__(self) -> None:
        if not 0 <= self.use <= 1:
            raise ValueError(f"use={self.use}: the least part of the budget that is used, from 0 to 1")
        if self.budget is not None:  # cost rises with every width, so the smallest configuration is the cheapest
            check_floor(self.budget, self.cost, self.space.widths(self.space.smallest))
        if self.use and self.space.size <= CHUNK and not len(self.indices):
            raise ValueError(f"no configuration of the space uses {self.use:g} to 1 of the budget: give a smaller use")

    @cached_property
    def least(self) -> int:
        """Smallest allowed cost, in the count that the budget bounds."""
        if self.budget is None:
            return 0
        most = self.budget.of(self.cost(self.space.widths(self.space.largest)))
        return min(most, math.ceil(self.use * self.budget.limit))

    def allows(self, table: Table) -> npt.NDArray[np.bool_]:
        """True for each configuration within the budget."""
        if self.budget is None:
            return np.ones(len(table), bool)
        costs = self.space.costs(table, self.cost)[:, self.column]
        return (self.least <= costs) & (costs <= self.budget.limit)

    @property
    def column(self) -> int:
        """Index of the count that the budget bounds; exact MACs without a budget."""
        return Cost._fields.index(self.budget.kind if self.budget else "macs")

    @cached_property
    def indices(self) -> npt.NDArray[np.int64]:
        """Indices of all allowed configurations, in the order of the enumeration: 5.8 million take a second."""
        if self.space.size > MAX_ENUMERATED:
            raise ValueError(
                f"the space has {self.space.size:.3g} configurations, too many to go through: at most {MAX_ENUMERATED:.3g}; "
                "give the genes fewer choices, or take another strategy, budget or use"
            )
        chunks = (np.arange(k, min(k + CHUNK, self.space.size)) for k in range(0, self.space.size, CHUNK))
        return np.concatenate([chunk[self.allows(self.space.rows(chunk))] for chunk in chunks])


def parse_widths(text: str) -> Configuration:
    """Parse ``32_48_16``. Raises ``ValueError`` for anything but integers joined by ``_``."""
    parts = text.strip().split("_")
    if not all(re.fullmatch(r"\d{1,9}", part) for part in parts):
        raise ValueError(
            f"configuration '{listed([text])}' is not understood; write integers joined by _, like 32_32_48_32_48_48_16_16"
        )
    return tuple(map(int, parts))


def format_widths(configuration: Configuration) -> str:
    """Format as ``32_48_16``."""
    return "_".join(map(str, configuration))
