"""Configurations per second of the cost model on one core, and of building each and counting with torch's FlopCounterMode.

python benchmarks/costing.py [--out FILE]

About half a minute.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from _common import parse, publish
from pocketgan.core.spec import Spec
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet, resnet, unet

COUNT, BUILT = 1_000_000, 5


def count_by_building(spec: Spec, widths: dict[str, int]) -> int:
    """MACs of a configuration: built on the meta device, counted by torch in a forward pass."""
    model = spec.resized(widths).build(device="meta")
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 256, 256, device="meta"))
    return int(counter.get_total_flops() // 2)


def measure(name: str, spec: Spec) -> dict[str, object]:
    """Measure a million random configurations of one network."""
    cost = CostModel(spec.build(device="meta"), 256)
    rng = np.random.default_rng(0)
    table = np.stack([rng.integers(1, width + 1, COUNT) for width in cost.widths.values()], axis=1)
    start = time.perf_counter()
    counts = cost.many(table)
    seconds = time.perf_counter() - start
    rows = [dict(zip(cost.widths, row.tolist(), strict=True)) for row in table[:BUILT]]
    start = time.perf_counter()
    built = [count_by_building(spec, row) for row in rows]
    building = time.perf_counter() - start
    assert built == counts[:BUILT, 1].tolist()
    return {
        "network": name,
        "groups": len(cost.widths),
        "configurations_per_second": COUNT / seconds,
        "built_and_counted_per_second": BUILT / building,
    }


def main() -> None:
    arguments = parse(__doc__)
    specs: dict[str, Spec] = {"resnet": resnet(), "mobile-resnet": mobile_resnet(), "unet": unet()}
    publish("costing", {"rows": [measure(name, spec) for name, spec in specs.items()]}, arguments.out)


if __name__ == "__main__":
    main()
