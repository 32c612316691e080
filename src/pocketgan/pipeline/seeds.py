"""Seeds as people write them."""

from __future__ import annotations

import re


def parse_seeds(text: str) -> tuple[int, ...]:
    """``0-15`` (both ends are in), ``0,3,7``, or both, in that order. Raises ``ValueError`` for anything else."""
    seeds: list[int] = []
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if last < first:
            raise ValueError(f"seeds '{text}': '{part}' is no seed and no range; write 0-15, or 0,3,7")
        seeds += range(first, last + 1)
    return tuple(seeds)
