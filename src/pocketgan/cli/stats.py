"""``pocketgan stats``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from pocketgan.cli.console import say


def run(
    data: Annotated[str, tyro.conf.Positional],
    /,
    *,
    side: Literal["A", "B"],
    features: str,
    out: Path,
    split: Literal["train", "test", "train+test"] = "test",
    size: int = 256,
    aspect: float = 1.0,
    center: int | None = None,
) -> None:
    """Mean and covariance of the features of real images, computed once, for the Frechet distance.

    Args:
        data: a folder in one of the ecosystem's layouts, or a built-in set: shapes, textures.
        side: which domain.
        features: inception, inception:legacy, or an ONNX file, RGB in [0, 1] to N x D features.
        out: the .npz file: mu, sigma, and which features of which images they are.
        split: which images; the published CycleGAN numbers compare with train+test.
        size: width that the images are brought to first, as in evaluation.
        aspect: width over height that they are brought to.
        center: side of the central square that is cut out of every image first; by default none.
    """
    from pocketgan.data.config import DataConfig
    from pocketgan.pipeline.measure import save_statistics
    from pocketgan.utils.progress import ConsoleReporter

    splits = tuple(split.split("+"))
    count = save_statistics(
        DataConfig(path=data, size=size, aspect=aspect, center=center),
        out,
        domain=side,
        splits=splits,  # type: ignore[arg-type]
        features=features,
        reporter=ConsoleReporter(),
    )
    say(f"{out}: {count} images")
