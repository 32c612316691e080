"""The figures of runs that were made by hand, for benchmarks/results: no images, no paths.

python benchmarks/collect.py NAME RUN... [--out FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from _common import figures, publish


def main() -> None:
    named = sys.argv[1 : sys.argv.index("--out")] if "--out" in sys.argv else sys.argv[1:]
    name, *runs = named
    publish(name, {"runs": [figures(Path(run)) for run in runs]}, packages=("pocketgan", "torch", "numpy", "onnxruntime"))


if __name__ == "__main__":
    main()
