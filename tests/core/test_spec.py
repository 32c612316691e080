import json

import pytest
import torch
from torch import nn

from pocketgan.core.spec import ARCHITECTURES, MODELS, Spec, init_weights_, spec_from_json, spec_of
from pocketgan.models import patchgan, resnet, unet
from pocketgan.models.unet import UnetSpec
from zoo import SPECS, every_example


@every_example
def test_a_spec_survives_json_and_rebuilds_the_same_shapes(spec: Spec) -> None:
    again = spec_from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert list(again.widths) == list(spec.widths) == list(spec.groups())
    shapes = [{n: t.shape for n, t in s.build(device="meta").state_dict().items()} for s in (spec, again)]
    assert shapes[0] == shapes[1]


def test_architectures_are_registered_under_the_name_they_write() -> None:
    assert all(cls.name == name for name, cls in ARCHITECTURES.items())
    assert {spec.name for spec in SPECS.values()} == set(ARCHITECTURES) - {"foreign"}  # whose registry is the users' own


@pytest.mark.parametrize("name", MODELS)
def test_presets_need_no_argument(name: str) -> None:
    spec = MODELS[name]()
    assert spec_of(spec.build(device="meta")) == spec


@every_example
def test_every_tap_is_a_module_of_the_network(spec: Spec) -> None:
    assert spec.taps
    assert set(spec.taps) <= {name for name, _ in spec.build(device="meta").named_modules()}


@every_example
def test_optional_groups_may_be_zero_and_no_others(spec: Spec) -> None:
    for group in set(spec.groups()) - spec.optional():
        with pytest.raises(ValueError, match=f"width {group}=0: the least is 1"):
            spec.resized({group: 0})
    empty = spec.resized(dict.fromkeys(spec.optional(), 0))
    assert all(empty.widths[group] == 0 for group in spec.optional())
    assert sum(p.numel() for p in empty.build().parameters()) <= sum(p.numel() for p in spec.build().parameters())


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"stam": 4}, r"no resnet group named 'stam'. Did you mean 'stem'\?"),
        ({"stem": 0}, "resnet width stem=0: the least is 1"),
        ({"block0": -1}, "resnet width block0=-1: the least is 0"),
    ],
)
def test_wrong_widths(widths: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resnet(4, blocks=1).resized(widths)


def test_missing_groups_are_named() -> None:
    with pytest.raises(ValueError, match=r"unet needs a width for every group; missing: down2, up2"):
        UnetSpec(widths={"down1": 4}, depth=2)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"up3": 0}, "unet up3=0 removes level 3, so these must be 0 too: down3, down4, up4"),
        ({"up3": 0, "down3": 0, "down4": 0}, "unet up3=0 removes level 3, so these must be 0 too: up4"),
        ({"down3": 0}, "unet down3=0 starves level 3: a level is removed by up3=0"),
        ({"down4": 0}, "unet down4=0 starves level 4: a level is removed by up4=0"),
    ],
)
def test_levels_of_a_unet_go_from_the_inside(widths: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unet(4, depth=4).resized(widths)


def test_a_unet_has_two_levels_at_least() -> None:
    with pytest.raises(ValueError, match="unet depth=1: the least is 2"):
        unet(4, depth=1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"architecture": "rasnet"}, r"no architecture named 'rasnet'. Did you mean 'resnet'\?"),
        ({"widths": {}}, "no architecture named 'None'"),
        ({"architecture": "pixel", "widths": {"conv1": 1, "conv2": 2}, "nrom": "batch"}, "Did you mean 'norm'"),
        ({"architecture": "pixel", "widths": {"conv1": 1, "conv2": 2}, "norm": "layer"}, "norm='layer'.*'instance'"),
        ({"architecture": "pixel", "widths": {"conv1": 1.5, "conv2": 2}}, "widths.conv1=1.5"),
        ({"architecture": "pixel", "widths": {"conv1": 1}}, "pixel needs a width for every group; missing: conv2"),
    ],
)
def test_wrong_descriptions_are_answered_in_one_line(data: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        spec_from_json(data)
    assert "\n" not in str(caught.value)


def test_a_foreign_module_has_no_spec() -> None:
    with pytest.raises(ValueError, match="Linear was not built from a spec"):
        spec_of(nn.Linear(1, 1))


def test_building_on_the_meta_device_allocates_nothing() -> None:
    assert all(tensor.is_meta for tensor in resnet(64).build(device="meta").state_dict().values())


def test_published_initialization() -> None:
    """N(0, 0.02) kernels, N(1, 0.02) scales, all else 0: by mean and deviation over some ten thousand numbers."""
    torch.manual_seed(0)
    model = patchgan(64, layers=2, norm="batch").build()
    kernels = torch.cat([p.detach().flatten() for _, p in model.named_parameters() if p.ndim > 1])
    scales = torch.cat([p.detach() for n, p in model.named_parameters() if n.endswith("norm.weight")])
    assert abs(float(kernels.mean())) < 1e-3
    assert float(kernels.std()) == pytest.approx(0.02, rel=0.02)
    assert float(scales.mean()) == pytest.approx(1, abs=5e-3)
    assert float(scales.std()) == pytest.approx(0.02, rel=0.2)
    assert not any(p.any() for n, p in model.named_parameters() if n.endswith("bias"))


def test_initialization_leaves_other_layers_alone() -> None:
    other = nn.PReLU(3)
    init_weights_(nn.Sequential(other, nn.InstanceNorm2d(3)))
    assert torch.equal(other.weight, torch.full((3,), 0.25))
