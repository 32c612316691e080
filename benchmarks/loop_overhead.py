"""Microseconds that the training loop adds to a bare hand-written pix2pix step of the same networks.

python benchmarks/loop_overhead.py [--out FILE]

About half a minute.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _common import interleaved, parse, publish
from pocketgan.models import patchgan, resnet
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.loop import Trainer


def bare_step(g: nn.Module, d: nn.Module, g_opt: torch.optim.Adam, d_opt: torch.optim.Adam, a: Tensor, b: Tensor) -> None:
    """Hand-written step: D, then G, hinge and L1."""
    fake = g(a)
    real_logits, fake_logits = d(torch.cat([a, b], 1)), d(torch.cat([a, fake.detach()], 1))
    (0.5 * (F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean())).backward()  # type: ignore[no-untyped-call]
    d_opt.step()
    d_opt.zero_grad(set_to_none=True)
    d.requires_grad_(False)
    (-d(torch.cat([a, fake], 1)).mean() + 100 * F.l1_loss(fake, b)).backward()
    d.requires_grad_(True)
    g_opt.step()
    g_opt.zero_grad(set_to_none=True)


def compare(ngf: int, blocks: int, ndf: int, *, rounds: int) -> dict[str, float]:
    """Measure both for one size of network: 64 x 64, batch 1."""
    a, b = torch.randn(1, 3, 64, 64), torch.randn(1, 3, 64, 64)
    fit = Trainer(
        Pix2PixTask(resnet(ngf, blocks).build(), patchgan(ndf, in_channels=6).build()), TrainingConfig(), torch.device("cpu")
    )
    g, d = resnet(ngf, blocks).build(), patchgan(ndf, in_channels=6).build()
    g_opt, d_opt = (torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999), fused=True) for net in (g, d))
    times = interleaved(
        {"ours": lambda: fit.advance({"input": a, "target": b}), "bare": lambda: bare_step(g, d, g_opt, d_opt, a, b)},
        rounds=rounds,
    )
    added = times["ours"] - times["bare"]
    return {
        "ngf": ngf,
        "blocks": blocks,
        "ndf": ndf,
        "ours_ms": times["ours"] * 1e3,
        "bare_ms": times["bare"] * 1e3,
        "added_us": added * 1e6,
        "added_percent": 100 * added / times["bare"],
    }


def main() -> None:
    arguments = parse(__doc__)
    rows = [compare(2, 1, 2, rounds=200), compare(16, 6, 32, rounds=30), compare(32, 9, 64, rounds=15)]
    publish("loop_overhead", {"image": "1 x 3 x 64 x 64", "rows": rows}, arguments.out)


if __name__ == "__main__":
    main()
