"""What distances between sets of images are measured on, and the statistics that are published for it."""

from __future__ import annotations

from pathlib import Path

from pocketgan.metrics.features import Extractor, OnnxFeatures
from pocketgan.pretrained.fid import InceptionFeatures

INCEPTION = "inception"


def make_extractor(text: str) -> Extractor:
    """The extractor that ``--features`` names.

    ``inception``, ``inception:PROTOCOL`` or ``inception:PROTOCOL:FILE`` (weights of one's own), PROTOCOL ``clean`` or
    ``legacy``, by default ``clean``; else an ONNX file (RGB in [0, 1] to N x D). Raises ``ValueError`` or ``FileNotFoundError``
    for what cannot be had.
    """
    if not is_inception(text):
        return OnnxFeatures(text)
    _, protocol, file = (*text.split(":", 2), "", "")[:3]
    return InceptionFeatures(protocol or "clean", file or None)


def is_inception(text: str) -> bool:
    """Whether ``--features`` names Inception, by whatever protocol and weights."""
    return text.partition(":")[0] == INCEPTION


def published_statistics(root: Path, side: str) -> Path | None:
    """The statistics of the real images of a side, A or B, that the published repositories keep with a data set.

    Looked for in ``root`` and ``root/real_stat``: ``<name of root>_B.npz`` (GAN Compression, CAT, OMGD) and
    ``real_stat_B.npz`` (DMAD); else any one ``*_B.npz`` in ``real_stat``. Raises ``ValueError`` if several fit.
    """
    shelf = root / "real_stat"
    names = (f"{root.resolve().name}_{side}.npz", f"real_stat_{side}.npz")
    found = [place / name for place in (root, shelf) for name in names if (place / name).is_file()]
    found = found or sorted(shelf.glob(f"*_{side}.npz"))
    if len(found) > 1:
        raise ValueError(f"several statistics of side {side}: {', '.join(map(str, found))}: say which with --stats")
    return found[0] if found else None
