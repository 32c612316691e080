"""Absurd descriptions of networks are refused in one line, before any memory is taken."""

import resource
import tracemalloc
from typing import Any

import pytest

import pocketgan.models  # fills the registries
from pocketgan.core.spec import ARCHITECTURES, MAX_ELEMENTS, MODELS, spec_from_json
from pocketgan.models import patchgan, resnet, sagan, stylegan2, unet

assert pocketgan.models
HUGE = 10**12


@pytest.mark.parametrize("name", MODELS)
def test_every_number_of_every_model_is_bounded(name: str) -> None:
    """No option makes memory grow: neither a number nor a list of numbers."""
    for option, default in MODELS[name]().to_json().items():
        values = (HUGE, -1) if type(default) is int else ([HUGE], [3] * 10**5) if isinstance(default, list) else ()
        for value in values:
            data = {**MODELS[name]().to_json(), option: value}
            tracemalloc.start()
            with pytest.raises(ValueError, match=rf"{option}|power"):
                spec_from_json(data)
            assert tracemalloc.get_traced_memory()[1] < 2**26
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet", {"blocks": HUGE}, r"resnet blocks=1000000000000: allowed are 0 to 256"),
        ("resnet", {"blocks": 10**4000}, r"resnet blocks=10+\.\.\.0+: allowed"),
        ("resnet", {"bloks": 3}, r"no option of resnet named 'bloks'. Did you mean 'blocks'\?"),
        ("resnet", {"blocks": "many"}, r"resnet blocks='many': Input should be a valid integer"),
        ("resnet", {"norm": "group"}, r"resnet norm='group': Input should be 'instance', 'instance_affine' or 'batch'"),
        ("resnet", {"dropout": float("nan")}, r"resnet dropout=nan: allowed are 0 to 1"),
        ("inception", {"kernels": [1, 1001]}, r"inception kernels=1001: allowed are 1 to 31"),
        ("multiscale", {"scales": 300}, r"multiscale scales=300: allowed are 0 to 256"),
        ("ms-image", {"scales": 256, "layers": 256}, r"a ms-image of 65,536 groups of channels: the most is 4,096"),
        ("inception", {"factor": 0}, r"inception factor=0: allowed are 1 to 65,536"),
        ("sagan", {"size": 2**20}, r"sagan size=1048576: allowed are 1 to 16,384"),
        ("patchgan", {"ndf": 10**6}, r"patchgan ndf=1000000: allowed are 0 to 65,536"),
    ],
)
def test_options_of_models_are_checked(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODELS[name](**options)


@pytest.mark.parametrize("data", [None, [], 3, "x", {}, {"architecture": ["resnet"]}, {"architecture": {}, "widths": 3}])
def test_what_describes_no_network_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"description of a network is an object|no architecture named"):
        spec_from_json(data)


def test_a_width_is_bounded() -> None:
    with pytest.raises(ValueError, match=r"resnet width stem=1000000000000: the most is 4,194,304"):
        resnet(4, blocks=1).resized({"stem": HUGE})


def test_a_network_that_no_machine_holds_is_refused_before_it_is_built() -> None:
    spec = resnet(10_000, blocks=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=rf"a resnet of [\d,]+ numbers: the most is {MAX_ELEMENTS:,}, take smaller widths"):
        spec.build()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB


def test_the_count_is_that_of_the_network() -> None:
    for spec in (resnet(4, blocks=2), unet(3, depth=3), sagan(4, size=32), stylegan2(size=16, channel_base=64), patchgan(4)):
        assert spec.elements() == sum(tensor.numel() for tensor in spec.build().state_dict().values()) - spectral(spec)


def spectral(spec: Any) -> int:
    """Vectors that spectral norm adds once the network is built."""
    return sum(t.numel() for name, t in spec.build(device="meta").state_dict().items() if name.endswith(("._u", "._v")))


def test_published_networks_are_within_the_bounds() -> None:
    assert {type(make()).name for make in MODELS.values()} == set(ARCHITECTURES) - {"foreign"}
