"""Figures of finished runs as one file for benchmarks/results, without images and paths.

python benchmarks/collect.py NAME RUN... [--out FILE]

A second.
"""

from __future__ import annotations

from pathlib import Path

from _common import PACKAGES, figures, parse, publish


def main() -> None:
    arguments = parse(__doc__, "name", "runs...")
    runs = [figures(Path(run)) for run in arguments.runs]
    publish(arguments.name, {"runs": runs}, arguments.out, packages=PACKAGES)


if __name__ == "__main__":
    main()
