"""What a generator is made of and what it costs."""

from __future__ import annotations

from typing import Any

from torch import nn

from pocketgan.core.dims import layers_of, widths_of
from pocketgan.core.shape import plain, shape_of
from pocketgan.core.spec import MODELS, spec_of
from pocketgan.metrics.cost import CostModel
from pocketgan.models.spectral import folded
from pocketgan.pipeline.config import ForeignConfig
from pocketgan.pipeline.load_generator import PUBLISHED, LoadedGenerator, as_generator
from pocketgan.pipeline.measure import shape
from pocketgan.pruning.fit_budget import floor_widths


def inspect(
    model: str | nn.Module,
    *,
    size: int | None = None,
    aspect: float | None = None,
    multiple: int = 1,
    foreign: ForeignConfig | None = None,
) -> dict[str, Any]:
    """Groups with widths and costs, totals, and the floor that no budget can go below, for one image.

    ``size`` is its width and ``aspect`` its width over height, by default those of the file.

    ``model``: a file, a ``file.py:factory@WEIGHTS``, a name of `MODELS`, or a network. Raises ``ValueError`` for anything
    else, and for a foreign generator that cannot be cut.
    """
    if isinstance(model, str) and model in MODELS:
        source = LoadedGenerator(MODELS[model]().build(device="meta"), None, f"{model}, as published", {})
    else:
        source = as_generator(model, foreign, shape_of(size or PUBLISHED, aspect or 1.0))
    network = folded(source.model)  # what it is shipped as, and what can be cut
    cost = CostModel(network, shape(source, size, aspect))
    widths, shares, layers = widths_of(network), cost.by_group(), layers_of(network)
    spec = spec_of(network)
    return {
        "message": source.message,
        "size": plain(cost.size),
        "groups": {
            group: {"width": widths.get(group), **share._asdict(), "layers": layers.get(group, [])}
            for group, share in shares.items()
        },
        "total": cost()._asdict(),
        "floor": cost(floor_widths(network, multiple=multiple))._asdict(),
        "uncounted": list(cost.uncounted),
        "kept": dict(getattr(spec, "kept", {})),
        "distilled": list(spec.taps),
    }
