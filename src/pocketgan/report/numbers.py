"""Numbers as text: units, four significant digits, one sign for minus."""

from __future__ import annotations

import math

NOTHING = "–"
LARGEST = 1e100
"""Magnitude from which on the limits and ticks of an axis overflow."""
STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def finite(value: float | None) -> bool:
    """True if ``value`` is a number that an axis can show: finite, and less than `LARGEST`."""
    return value is not None and abs(value) < LARGEST


def si(value: float, unit: str = "") -> str:
    """Four significant digits with a decimal prefix: 11378179 is ``11.38 M``; no prefix below a thousand."""
    if not math.isfinite(value):
        return str(value)
    # 999960 rounds to 1000.0 k, so the prefix is chosen after rounding.
    rounded = float(f"{value:.4g}")
    for size, prefix in STEPS:
        if abs(rounded) >= size:
            return f"{plain(rounded / size)} {prefix}{unit}"
    return f"{value:.4g} {unit}".strip()


def tick(value: float) -> str:
    """Shortest form, for the axes of a plot: ``1.5k``, ``0.25``, ``200M``."""
    if abs(value) < 1e3 or not math.isfinite(value):
        return f"{value:.4g}".replace("-", "−")
    amount, _, prefix = si(value).partition(" ")
    return f"{float(amount.replace('−', '-')):g}{prefix}".replace("-", "−")


def times(ratio: float) -> str:
    """Ratio with three significant digits: ``10.1×``, ``1.04×``, ``132×``."""
    places = 0 if ratio >= 100 else 1 if ratio >= 2 else 2
    return f"{ratio:.{places}f}×"


def change(before: float | None, after: float | None, words: tuple[str, str]) -> str:
    """Ratio of ``before`` and ``after`` in words: ``10.1× fewer``, or ``1.20× more`` for an increase.

    ``words`` are the words for a decrease and an increase. A dash if either value is missing or not positive.
    """
    if before is None or after is None or not (before > 0 and after > 0):
        return NOTHING
    if before == after:
        return "the same"
    return f"{times(before / after)} {words[0]}" if before > after else f"{times(after / before)} {words[1]}"


def milliseconds(value: float) -> str:
    """Three significant digits and no exponent: ``0.123 ms``, ``12.3 ms``, ``1234 ms``."""
    return f"{plain(value, 3)} ms"


def plain(value: float, digits: int = 4) -> str:
    """``digits`` significant digits or all digits before the point; an exponent only below 1e-4 and from 1e6 on."""
    if not math.isfinite(value) or value == 0 or not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits}g}".replace("-", "−")
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}".replace("-", "−")


def duration(seconds: float) -> str:
    """Duration as ``42 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if not math.isfinite(seconds):
        return f"{seconds} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def pixels(size: object) -> str:
    """Image size, width first: 64 and (height and width) ``[64, 80]`` are ``64×64`` and ``80×64``."""
    if isinstance(size, list | tuple):
        return "×".join(str(side) for side in reversed(size))
    return f"{size}×{size}"
