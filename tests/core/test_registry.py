import pytest

from pocketgan.core.registry import Registry
from pocketgan.utils.errors import unknown


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
