"""Latency of an elastic network's forward against the slim network's, and of new widths against building the network.

python benchmarks/elastic.py [--out FILE]

About half a minute.
"""

from __future__ import annotations

import torch

from _common import interleaved, parse, publish
from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Spec
from pocketgan.models import mobile_resnet, resnet
from pocketgan.pruning.allocation import width_rounder
from pocketgan.pruning.elastic import Elastic


def measure(name: str, spec: Spec, factor: float) -> dict[str, object]:
    """Measure both at ``factor`` of all widths, 64 x 64, batch 4."""
    model = spec.build().eval()
    widths = width_rounder(model)({group: int(width * factor) for group, width in widths_of(model).items()})
    other = width_rounder(model)({group: int(width * factor) - 1 for group, width in widths_of(model).items()})
    elastic = Elastic(model).eval()
    elastic.resize_(widths)
    slim, image = elastic.extract(), torch.randn(4, 3, 64, 64)
    pair = [widths, other]

    def with_new_widths() -> object:
        pair.reverse()
        elastic.resize_(pair[0])
        return elastic(image)

    with torch.inference_mode():
        times = interleaved(
            {
                "slim": lambda: slim(image),
                "new_widths": with_new_widths,
                "elastic": lambda: elastic(image),
                "build": lambda: spec.resized(widths).build(),
            },
            rounds=30,
        )
    return {
        "network": name,
        "factor": factor,
        **{f"{key}_ms": value * 1e3 for key, value in times.items()},
        "elastic_over_slim": times["elastic"] / times["slim"],
    }


def main() -> None:
    arguments = parse(__doc__)
    rows = [measure("resnet ngf 32", resnet(32), f) for f in (0.25, 0.5)]
    rows += [measure("mobile-resnet ngf 32", mobile_resnet(32), f) for f in (0.25, 0.5)]
    publish("elastic", {"image": "4 x 3 x 64 x 64", "rows": rows}, arguments.out)


if __name__ == "__main__":
    main()
