"""The pages, and the code in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text()
    for page in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
}
"""``{path: text}`` of every page."""


def blocks(language: str) -> dict[str, str]:
    """``{page:line: text}`` of every code block in that language."""
    texts = {}
    for page, text in PAGES.items():
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            texts[f"{page}:{text.count(chr(10), 0, match.start()) + 2}"] = match[1]
    return texts


def commands() -> dict[str, list[str]]:
    """``{page:line: words}`` of every line in a shell block."""
    lines = {}
    for place, block in blocks("sh").items():
        page, _, first = place.rpartition(":")
        lines |= {f"{page}:{int(first) + index}": shlex.split(line) for index, line in enumerate(block.splitlines())}
    return lines


def table(page: str, column: str) -> dict[str, list[str]]:
    """``{first cell: the other cells}`` of the table whose header begins with that column; without code marks."""
    lines = PAGES[page].splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {column} |"))
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
        key = first.strip("`")
        rows[key if key not in rows else f"{key} {rest[0]}"] = rest
    return rows


def coded(text: str) -> set[str]:
    """All code spans."""
    return set(re.findall(r"`([^`]+)`", text))
