"""What a generator is made of and what it costs."""

from __future__ import annotations

from typing import Any

from torch import nn

from pocketgan.compress.fit_budget import floor_widths
from pocketgan.core.dims import widths_of
from pocketgan.core.shape import plain
from pocketgan.core.spec import MODELS
from pocketgan.metrics.cost import CostModel
from pocketgan.models.spectral import folded
from pocketgan.pipeline.measure import shape
from pocketgan.pipeline.sources import Source, as_source


def inspect(
    model: str | nn.Module, *, size: int | None = None, aspect: float | None = None, multiple: int = 1
) -> dict[str, Any]:
    """Groups with widths and costs, totals, and the floor that no budget can go below, for one image.

    ``size`` is its width and ``aspect`` its width over height, by default those of the file.

    ``model``: a file, a name of `MODELS`, or a network of ours. Raises ``ValueError`` for anything else.
    """
    if isinstance(model, str) and model in MODELS:
        source = Source(MODELS[model]().build(device="meta"), None, f"{model}, as published", {})
    else:
        source = as_source(model)
    network = folded(source.model)  # what it is shipped as, and what can be cut
    cost = CostModel(network, shape(source, size, aspect))
    widths, shares = widths_of(network), cost.by_group()
    return {
        "message": source.message,
        "size": plain(cost.size),
        "groups": {group: {"width": widths.get(group), **share._asdict()} for group, share in shares.items()},
        "total": cost()._asdict(),
        "floor": cost(floor_widths(network, multiple=multiple))._asdict(),
        "uncounted": list(cost.uncounted),
    }
