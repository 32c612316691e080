import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketgan.core.config import from_json, override, to_json

finite = st.floats(allow_nan=False, allow_infinity=False)


@dataclass(frozen=True)
class Adam:
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    kind: Literal["linear", "cosine"] = "linear"


@dataclass(frozen=True)
class Run:
    steps: int
    adam: Adam = field(default_factory=Adam)
    second: Adam | None = None
    weights: dict[str, float] = field(default_factory=dict)
    out: Path | None = None
    name: str = ""
    resume: bool = False


adams = st.builds(Adam, finite, st.tuples(finite, finite), st.sampled_from(["linear", "cosine"]))
runs = st.builds(
    Run,
    st.integers(),
    adams,
    st.none() | adams,
    st.dictionaries(st.text(), finite),
    st.none() | st.text("abc/.", min_size=1).map(Path),
    st.text(),
    st.booleans(),
)


few = settings(max_examples=20, deadline=None)


@few
@given(runs)
def test_json_both_ways(run: Run) -> None:
    text = json.dumps(to_json(run))
    assert from_json(Run, json.loads(text)) == run
    assert override(run, []) == run


@few
@given(runs, finite, st.text())
def test_an_override_sets_one_field_and_no_other(run: Run, lr: float, name: str) -> None:
    changed = override(run, [f"adam.lr={lr!r}", f"name={json.dumps(name)}"])
    assert changed.adam.lr == lr
    assert changed.name == name
    restored = override(changed, [f"adam.lr={run.adam.lr!r}", f"name={json.dumps(run.name)}"])
    assert restored == run


def test_missing_fields_take_their_defaults() -> None:
    assert from_json(Run, {"steps": 3}) == Run(3)


@pytest.mark.parametrize(
    ("assignment", "wanted"),
    [
        ("steps=7", Run(7)),
        ("adam.kind=cosine", Run(1, adam=Adam(kind="cosine"))),
        ("adam.betas=[0, 0.9]", Run(1, adam=Adam(betas=(0.0, 0.9)))),
        ("second.lr=0.5", Run(1, second=Adam(lr=0.5))),  # one that is not there yet takes its defaults
        ("second=null", Run(1)),
        ("weights.l1=10", Run(1, weights={"l1": 10.0})),
        ("out=a/b=c", Run(1, out=Path("a/b=c"))),
        ("resume=true", Run(1, resume=True)),
        ("name=", Run(1)),
    ],
)
def test_override_paths(assignment: str, wanted: Run) -> None:
    assert override(Run(1), [assignment]) == wanted


def test_overrides_apply_in_order() -> None:
    assert override(Run(1), ["steps=2", "steps=3"]).steps == 3


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("stepz=1", r"no field named 'stepz'. Did you mean 'steps'\?"),
        ("adam.rl=1", r"no field named 'adam.rl'.*There is: adam.betas, adam.kind, adam.lr"),
        ("adma.lr=1", r"no field named 'adma'. Did you mean 'adam'\?"),
        ("second.lrr=1", r"no field named 'second.lrr'. Did you mean 'second.lr'\?"),
        ("adam.lr", r"'adam.lr' is not an override: write field=value"),
        ("adam.lr=fast", r"adam.lr='fast': .*valid number"),
        ("adam.kind=step", r"adam.kind='step': .*'linear' or 'cosine'"),
        ("steps=1.5", r"steps=1.5: .*valid integer"),
        ("steps.more=1", r"'steps.more': steps is 1, there is no field inside"),
        ("adam.lr.x=1", r"'adam.lr.x': lr is 0.0002, there is no field inside"),
        ("adam=3", r"adam=3: "),
        ("adam.lr=-1e400", r"^adam.lr=-inf: it must be a finite number"),
        ("adam.betas=[0, NaN]", r"^adam.betas.1=nan: it must be a finite number"),
        ("adam.lr=" + "[" * 5000, r"^adam.lr=\[+\.\.\.\[+ is not JSON: it is nested too deeply"),
        ("adam.lr=" + "[" * 500 + "]" * 500, r"^adam.lr=\[+\.\.\.\]+ is nested deeper than 64 levels"),
        ("steps=" + "1" * 5000, r"^steps=1+\.\.\.1+ is not JSON: Exceeds the limit"),
    ],
)
def test_a_wrong_override_is_answered_in_one_line(assignment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        override(Run(1), [assignment])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"steps": "many"}, "steps='many': .*valid integer"),
        ({}, "steps"),
        ({"steps": 1, "adam": {"beta": 1}}, "no field named 'adam.beta'. Did you mean 'adam.betas'"),
        ({"steps": 1, "adam": {"betas": [1]}}, "adam.betas"),
    ],
)
def test_wrong_data_is_answered_in_one_line(data: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        from_json(Run, data)
    assert "\n" not in str(caught.value)


def test_data_that_is_no_object_of_fields() -> None:
    with pytest.raises(ValueError, match=r"a configuration is an object of fields, not \[1\]"):
        from_json(Run, [1])  # type: ignore[arg-type]


def test_a_wrong_combination_of_fields_is_told_by_its_own_words() -> None:
    with pytest.raises(ValueError, match=r"^the first is above the last$"):
        from_json(Range, {"first": 3, "last": 1})


@dataclass(frozen=True)
class Range:
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError("the first is above the last")
