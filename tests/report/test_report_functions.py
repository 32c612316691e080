import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.report.curves import curves, smooth, thin
from pocketgan.report.measures import by_preference, higher_is_better, metric_name, quality_text
from pocketgan.report.numbers import change, duration, milliseconds, plain, si, tick


def test_smoothing_is_the_normalized_weighted_mean() -> None:
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    decay = 1 - 1 / (0.6 * 5)
    expected = []
    for n in range(1, 6):
        weights = [decay ** (n - 1 - i) for i in range(n)]
        expected.append(sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights))
    assert smooth(values, memory=0.6) == pytest.approx(expected)


def test_smoothing_keeps_a_constant_and_skips_values_that_are_not_finite() -> None:
    assert smooth([2.5] * 50) == pytest.approx([2.5] * 50)
    through = smooth([2.0, math.nan, 2.0, math.inf, 2.0], memory=1.0)
    assert [value for value in through if not math.isnan(value)] == pytest.approx([2.0] * 3)


@settings(max_examples=30)
@given(st.integers(0, 3000), st.integers(2, 500))
def test_thin_keeps_the_ends(count: int, most: int) -> None:
    kept = thin(count, most=most)
    assert len(kept) == min(count, most)
    assert kept == sorted(set(kept))
    assert not count or (kept[0], kept[-1]) == (0, count - 1)


def test_curves_by_stage_and_name() -> None:
    log = [
        {"stage": "train", "step": 1, "losses": {"G": 2, "D": 3.0}, "validation": {"psnr": 20.0}},
        {"stage": "train", "step": 2, "losses": {"G": 1.5, "D": None}},
        {"stage": "search", "step": 1, "search": {"macs": 100}},
        {"stage": "train", "losses": {"G": 9}},
    ]
    found = curves(log)
    assert {stage: list(names) for stage, names in found.items()} == {
        "train": ["G", "D", "validation/psnr"],
        "search": ["search/macs"],
    }
    assert (found["train"]["G"].steps, found["train"]["G"].values) == ([1, 2], [2.0, 1.5])
    assert found["train"]["G"].dense
    assert not found["train"]["validation/psnr"].dense


@pytest.mark.parametrize(
    ("value", "text"),
    [(11_378_179, "11.38 M"), (49_550_000_000, "49.55 G"), (999_960, "1.000 M"), (832, "832"), (0, "0"), (1e3, "1.000 k")],
)
def test_si(value: float, text: str) -> None:
    assert si(value) == text


@given(st.floats(1e-3, 1e14))
def test_si_is_within_half_of_its_last_digit(value: float) -> None:
    amount, _, prefix = si(value).partition(" ")
    scale = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[prefix]
    assert float(amount) * scale == pytest.approx(value, rel=5.1e-4)


def test_other_numbers() -> None:
    assert si(4_853_210, "B") == "4.853 MB"
    assert [milliseconds(value) for value in (0.1234, 3.217, 1234.5)] == ["0.123 ms", "3.22 ms", "1234 ms"]
    assert [plain(value) for value in (0.00213, -0.5, 1e-7)] == ["0.002130", "−0.5000", "1e−07"]
    assert [tick(value) for value in (1500, 0.25, 2e8, -3)] == ["1.5k", "0.25", "200M", "−3"]
    assert [duration(value) for value in (4.25, 41.6, 200, 7500)] == ["4.2 s", "42 s", "3 min 20 s", "2 h 05 min"]
    words = ("fewer", "more")
    assert [change(a, b, words) for a, b in ((10.1, 1), (1, 1.25), (2, 2), (None, 1), (0, 1))] == [
        "10.1× fewer",
        "1.25× more",
        "the same",
        "–",
        "–",
    ]


def test_metrics() -> None:
    assert metric_name("kernel[mobilenet@1a2b]") == "Kernel distance [mobilenet@1a2b]"
    assert metric_name("recall[clean,test]") == "Recall [clean,test]"
    assert [metric_name(name) for name in ("psnr", "psnr_to_teacher")] == ["PSNR to target", "PSNR to teacher"]
    assert metric_name("my_own") == "my_own"
    assert quality_text("psnr", -0.456) == "−0.46 dB"
    directions = {
        "psnr": True,
        "ssim": True,
        "miou": True,
        "precision[clean,test]": True,
        "recall[a]": True,
        "frechet[a]": False,
        "kernel[a]": False,
        "FID[clean,test]": False,
        "fid": False,
        "kid": False,
    }
    assert {name: higher_is_better(name) for name in directions} == directions
    assert higher_is_better("taste") is None
    assert by_preference(["ssim", "taste", "psnr_to_teacher", "kernel[a]", "psnr"]) == [
        "psnr",
        "kernel[a]",
        "ssim",
        "psnr_to_teacher",
    ]
