import copy
import json
import operator
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pocketgan.core.dims import (
    Dim,
    Widths,
    channel_map,
    conditions,
    exists,
    is_depthwise,
    named_tensors,
    removable_groups,
    widths_of,
)

parts = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(1, 4)), min_size=1, max_size=4)
dims = parts.map(Dim)
factors = st.integers(1, 9)
few = settings(max_examples=30, deadline=None)


@few
@given(dims, dims, dims)
def test_concatenation_keeps_the_order_and_is_associative(a: Dim, b: Dim, c: Dim) -> None:
    assert (a + b).parts == a.parts + b.parts
    assert (a + b) == int(a) + int(b)
    assert ((a + b) + c).parts == (a + (b + c)).parts == sum([a, b, c]).parts
    assert (0 + a).parts == (a + 0).parts == a.parts


@few
@given(dims, dims, factors, factors)
def test_repetition_and_its_inverse(a: Dim, b: Dim, k: int, m: int) -> None:
    assert (a * k).parts == (k * a).parts
    assert a * k == int(a) * k
    assert (a * k * m).parts == (a * (k * m)).parts
    assert ((a + b) * k).parts == (a * k + b * k).parts
    assert (a * k // k).parts == a.parts


@few
@given(dims)
def test_a_width_over_itself_is_one_filter_a_channel(a: Dim) -> None:
    assert a // a == 1
    assert a // Dim(a.parts) == 1


@few
@given(parts, st.integers(0, 50))
def test_resizing_renumbers_one_group_and_no_other(given_parts: list[tuple[str, int, int]], width: int) -> None:
    resized = Dim(given_parts).resized({"a": width})
    assert resized.parts == tuple((g, width if g == "a" else w, repeat) for g, w, repeat in given_parts)
    assert resized == sum((width if g == "a" else w) * repeat for g, w, repeat in given_parts)


def test_a_generator_of_parts_is_read_once() -> None:
    twice = Dim(part for part in [("a", 3, 1), ("b", 5, 2)]) * 2
    assert twice == 26
    assert twice.parts == (("a", 3, 2), ("b", 5, 4))


@pytest.mark.parametrize(
    "operation",
    [
        lambda a: a + 1,
        lambda a: 1 + a,
        lambda a: a + 0.0,
        lambda a: a - 1,
        lambda a: 8 - a,
        lambda a: a - a,
        lambda a: -a,
        lambda a: a * a,
        lambda a: a * 1.5,
        lambda a: a * 0,
        lambda a: a / 2,
        lambda a: 2 / a,
        lambda a: a // 2,  # not a repetition
        lambda a: a // 0,
        lambda a: a // 1.0,
        lambda a: a // Dim.of("other", 7),  # the same number, another width
        lambda a: a**2,
        lambda a: 2**a,
        lambda a: a >> 1,
        lambda a: 1 << a,
        lambda a: divmod(a, 2),
    ],
)
def test_arithmetic_that_would_lose_the_names_is_refused(operation) -> None:
    with pytest.raises(TypeError, match=r"lose the names of the groups.*int\(dim\)"):
        operation(Dim.of("a", 7))


def test_a_dim_is_an_integer_to_other_code() -> None:
    dim = Dim.of("a", 3) + Dim.of("b", 4) * 2
    assert dim == 11
    assert hash(dim) == hash(11)
    assert f"{dim}" == str(dim) == json.dumps(dim) == "11"
    assert repr(dim) == "Dim(a:3 + b:4*2)"
    assert operator.index(dim) == 11
    assert dim % 4 == 3
    assert type(22 // dim) is int  # torch's group norm divides the channels that come by its groups
    assert 22 // dim == 2
    assert type(int(dim)) is int
    assert torch.zeros(dim).shape == (11,)


@few
@given(dims)
def test_copies_are_equal_dims(a: Dim) -> None:
    for twin in (copy.deepcopy(a), copy.copy(a), pickle.loads(pickle.dumps(a))):
        assert isinstance(twin, Dim)
        assert twin.parts == a.parts
        assert twin == a


def test_widths_give_dims_by_attribute_and_by_name() -> None:
    w = Widths({"a": 3, "b": 0})
    assert w.a.parts == w["a"].parts == (("a", 3, 1),)
    assert dict(w) == {"a": 3, "b": 0}
    assert len(w) == 2
    with pytest.raises(AttributeError, match="no group named 'c'"):
        _ = w.c


A, B, C = Dim.of("a", 5), Dim.of("b", 7), Dim.of("c", 4)

STOCK = {
    "conv": (nn.Conv2d(A, B, 3), {"weight": {0: "b", 1: "a"}, "bias": {0: "b"}}),
    "transposed": (nn.ConvTranspose2d(A, B, 3), {"weight": {0: "a", 1: "b"}, "bias": {0: "b"}}),
    "to-pixels": (nn.Conv2d(A, 3, 3), {"weight": {1: "a"}}),
    "depthwise": (nn.Conv2d(A, A, 3, groups=A), {"weight": {0: "a"}, "bias": {0: "a"}}),
    "depthwise-transposed": (nn.ConvTranspose2d(A, A, 3, groups=A), {"weight": {0: "a"}, "bias": {0: "a"}}),
    "linear": (nn.Linear(A, B, bias=False), {"weight": {0: "b", 1: "a"}}),
    "batch-norm": (nn.BatchNorm2d(A), {n: {0: "a"} for n in ("weight", "bias", "running_mean", "running_var")}),
    "instance-norm": (nn.InstanceNorm2d(A, affine=True), {"weight": {0: "a"}, "bias": {0: "a"}}),
    "plain-instance-norm": (nn.InstanceNorm2d(A), {}),
    "prelu": (nn.PReLU(A), {"weight": {0: "a"}}),
    "shared-prelu": (nn.PReLU(), {}),
    "nameless": (nn.Conv2d(3, 8, 3, groups=1), {}),
    "nameless-grouped": (nn.Conv2d(4, 8, 3, groups=2), {}),
}


@pytest.mark.parametrize(("layer", "wanted"), STOCK.values(), ids=STOCK)
def test_the_map_of_stock_layers(layer: nn.Module, wanted: dict[str, dict[int, str]]) -> None:
    found = {name: {axis: dim.groups for axis, dim in axes.items()} for name, axes in channel_map(layer).items()}
    assert found == {name: {axis: (group,) for axis, group in axes.items()} for name, axes in wanted.items()}


def test_a_depthwise_layer_of_width_one_is_known_by_its_groups() -> None:
    one, other = Dim.of("a", 1), Dim.of("b", 1)
    depthwise, dense = nn.Conv2d(one, one, 3, groups=one), nn.Conv2d(one, other, 3)
    assert is_depthwise(depthwise)
    assert not is_depthwise(dense)
    assert set(channel_map(depthwise)["weight"]) == {0}
    assert set(channel_map(dense)["weight"]) == {0, 1}


def test_a_grouped_convolution_is_refused_by_name() -> None:
    grouped = nn.Conv2d(4, 4, 3, groups=2)
    grouped.in_channels = grouped.out_channels = C  # as tracing names what it finds
    model = nn.Sequential(nn.Conv2d(3, C, 3), grouped)
    with pytest.raises(ValueError, match="layer '1' is a convolution in 2 groups"):
        channel_map(model)


def test_a_layer_without_axes_is_refused_by_name() -> None:
    class Scale(nn.Module):
        def __init__(self, channels: int):
            super().__init__()
            self.channels = channels
            self.factor = nn.Parameter(torch.ones(channels))

    model = nn.Sequential(nn.Conv2d(3, A, 1), Scale(A))
    with pytest.raises(ValueError, match=r"layer '1' \(Scale\) has named widths but no AXES"):
        channel_map(model)
    Scale.AXES = {"factor": ("channels",)}
    assert channel_map(model)["1.factor"][0].groups == ("a",)


def test_a_parametrized_layer_is_refused_until_it_is_folded() -> None:
    conv = nn.utils.parametrizations.spectral_norm(nn.Conv2d(A, B, 3))
    with pytest.raises(ValueError, match="no AXES"):
        channel_map(nn.Sequential(conv))
    nn.utils.parametrize.remove_parametrizations(conv, "weight")
    assert set(channel_map(nn.Sequential(conv))) == {"0.weight", "0.bias"}


@pytest.mark.parametrize("other", [nn.Linear(Dim.of("b", 5), 3), nn.Linear(5, 3)], ids=["other group", "no group"])
def test_a_tensor_shared_under_different_groups_is_refused_naming_the_layers(other: nn.Linear) -> None:
    model = nn.Module()
    model.first, model.second = nn.Linear(A, 3), other
    model.second.weight = model.first.weight
    with pytest.raises(ValueError, match=r"'first.weight' and 'second.weight' share one tensor.*untie"):
        channel_map(model)


def test_a_tensor_shared_under_the_same_group_is_mapped_under_both_names() -> None:
    model = nn.Module()
    model.first, model.second, model.third = nn.Linear(A, 3), nn.Linear(A, 3), nn.Linear(3, 3)
    model.second.weight, model.fourth = model.first.weight, model.first
    table = channel_map(model)
    assert {name: dims[1].groups for name, dims in table.items()} == dict.fromkeys(
        ("first.weight", "second.weight", "fourth.weight"), ("a",)
    )
    assert [name for name, _ in named_tensors(model)] == [
        "first.weight",
        "first.bias",
        "second.bias",
        "third.weight",
        "third.bias",
    ]


def test_one_group_at_two_widths_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(3, Dim.of("a", 5), 1), nn.Conv2d(Dim.of("a", 6), 3, 1))
    with pytest.raises(ValueError, match="group 'a' is 5 wide in one layer and 6 in another"):
        widths_of(model)


def test_branches_nest() -> None:
    class Outer(nn.Module):
        BRANCHES = {"inner": ("width",)}  # noqa: RUF012

        def __init__(self, width: Dim, inner: nn.Module):
            super().__init__()
            self.width, self.inner, self.always = width, inner, nn.Identity()

    model = Outer(A + B, Outer(C, nn.Identity()))
    either, inner = frozenset({"a", "b"}), frozenset({"c"})
    assert conditions(model) == {
        "": frozenset(),
        "inner": {either},
        "always": frozenset(),
        "inner.inner": {either, inner},
        "inner.always": {either},
    }
    assert removable_groups(model) == {"a", "b", "c"}
    assert exists(frozenset({either, inner}), {"a": 0, "b": 1, "c": 1})
    assert not exists(frozenset({either, inner}), {"a": 0, "b": 0, "c": 1})
    assert not exists(frozenset({either, inner}), {"a": 2, "b": 1, "c": 0})
