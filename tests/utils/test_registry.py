from dataclasses import dataclass

import pytest

from pocketgan.utils.registry import Registry, check_at_least, listed, unknown


def test_an_entry_is_found_by_its_name_in_the_order_of_joining() -> None:
    things: Registry[type] = Registry("thing")
    decorated = things.register("second")(int)
    things.register("first")(str)
    assert decorated is int
    assert things["second"] is int
    assert list(things) == ["second", "first"]
    assert len(things) == 2
    assert "first" in things
    assert "third" not in things
    assert things.get("first") is str


def test_a_name_is_given_once() -> None:
    things: Registry[type] = Registry("thing")
    things.register("one")(int)
    with pytest.raises(AssertionError, match="thing 'one' is registered twice"):
        things.register("one")(str)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    things: Registry[type] = Registry("thing")
    things.register("uniform")(int)
    things.register("magnitude")(int)
    with pytest.raises(ValueError, match=r"^no thing named 'unifrom'. Did you mean 'uniform'\? There is: magnitude, uniform$"):
        _ = things["unifrom"]


def test_a_name_like_no_other_gets_the_list_alone() -> None:
    assert str(unknown("thing", "zzz", ["b", "a"])) == "no thing named 'zzz'. There is: a, b"
    assert str(unknown("thing", "zzz", [])) == "no thing named 'zzz'. There is: none"


@dataclass
class Options:
    steps: int = 0
    batch: int | None = 1


def test_values_below_the_minimum_are_named() -> None:
    check_at_least(Options(), steps=0, batch=1)
    check_at_least(Options(batch=None), batch=1)
    check_at_least({"steps": 3, "other": -1}, steps=3)
    with pytest.raises(ValueError, match=r"^steps=-1: the least is 0$"):
        check_at_least(Options(steps=-1), steps=0, batch=1)
    with pytest.raises(ValueError, match=r"^munit batch=0: the least is 1$"):
        check_at_least({"batch": 0}, "munit", batch=1)
    with pytest.raises(ValueError, match="lr=nan: the least is 0"):
        check_at_least({"lr": float("nan")}, lr=0)


def test_names_of_files_are_listed_shortly_and_move_no_cursor() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdef")) == "a, b, c, d and 2 more"
    assert listed(["a" * 101]) == "a" * 60 + "..." + "a" * 30
    assert listed(["a\nb\x1b[2J\u202e"]) == "a?b?[2J?"
    assert "\n" not in str(unknown("thing", "a\nb", ["c\nd"]))
