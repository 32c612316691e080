"""One word for one thing, the field's own: words that were retired do not come back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sources import PACKAGE, ROOT, listed, short, text

RETIRED = {
    "judge|judged|judges|judging|judgement|judgment": "evaluate, evaluation; the network is the discriminator",
    "critic|critics": "(teacher) discriminator",
    "picture|pictures|pictured": "image",
    "paint|painted|painter|painters|paints": "generate, generated, generator",
    "game|games": "task",
    "player|players": "network: generator, discriminator",
    "told": "given, passed, reported",
    "verb|verbs": "command",
    "house|houses": "package, project",
    "witness|witnesses": "feature extractor",
    "pupil|pupils": "student",
    "taught": "distilled, trained",
    r"rehears\w*": "dry build",
    r"colour\w*": "color",
    r"cent(?:re|res|red|ring)": "center, centered, centering",
    r"(?:optimis|equalis|normalis|binaris|initialis|recognis)\w*": "-ize, as torch spells it",
}
"""``{pattern of whole words: replacement}``. A part of an identifier, ``teacher_critic`` or ``TeacherCritic``, is a word."""

RETIRED_CLASSES = {"Styled": "MunitTask", "Latents": "UnconditionalTask"}

ALLOWED: dict[str, set[str]] = {}
"""``{file: words}`` that stand for something else there: a keyword of another library, the title of a paper."""


def documents() -> Iterator[Path]:
    """All texts that users and developers read: source, pages, benchmarks."""
    yield from (path for path in sorted(PACKAGE.rglob("*")) if path.suffix in (".py", ".html", ".css", ".js"))
    yield from sorted((ROOT / "docs").rglob("*.md"))
    yield from sorted((ROOT / "docs").glob("*.py"))
    yield from sorted((ROOT / "benchmarks").rglob("*.md"))
    yield from sorted((ROOT / "benchmarks").glob("*.py"))
    yield from (ROOT / "README.md", ROOT / "pyproject.toml")


@cache
def pattern() -> re.Pattern[str]:
    words = "|".join(f"(?P<w{number}>{words})" for number, words in enumerate(RETIRED))
    return re.compile(rf"(?<![A-Za-z])(?:{words})(?![A-Za-z])", re.IGNORECASE)


def split_words(line: str) -> str:
    """The line with the words of CamelCase names apart."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", line)


def retired(content: str, allowed: frozenset[str] = frozenset()) -> Iterator[str]:
    """Line, word and replacement of every retired word."""
    replacements = list(RETIRED.values())
    for number, line in enumerate(content.splitlines(), start=1):
        for hit in pattern().finditer(split_words(line)):
            assert hit.lastgroup is not None
            if hit.group().lower() not in allowed:
                yield f"{number}: {hit.group()!r}; instead: {replacements[int(hit.lastgroup[1:])]}"
        named = re.match(r"\s*class (\w+)", line)
        if named is not None and named.group(1) in RETIRED_CLASSES:
            yield f"{number}: class {named.group(1)}; instead: {RETIRED_CLASSES[named.group(1)]}"


def test_retired_words_stay_retired() -> None:
    wrong = [
        f"{short(path)}:{line}" for path in documents() for line in retired(text(path), frozenset(ALLOWED.get(short(path), ())))
    ]
    assert not wrong, listed(wrong)


def test_every_exception_is_needed() -> None:
    for file, words in ALLOWED.items():
        content = split_words(text(ROOT / file)).lower()
        assert all(re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", content) for word in words), file


def test_the_check_finds_what_it_looks_for() -> None:
    content = (
        "teacher_critic\nclass TeacherCritic:\ncritical housed\nThe Painter's; normalised\nclass Styled(Task):\nJUDGE = 1\n"
    )
    assert [line.split(";")[0] for line in retired(content)] == [
        *("1: 'critic'", "2: 'Critic'", "4: 'Painter'", "4: 'normalised'", "5: class Styled", "6: 'JUDGE'"),
    ]
    assert list(retired("a picture", frozenset({"picture"}))) == []
