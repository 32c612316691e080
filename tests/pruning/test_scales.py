"""Scales of every producer: their places, an unchanged function, and folding."""

import pytest
import torch

from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Spec
from pocketgan.pruning.scales import ScaleGate, add_scales_, affine_norms, check_scales, fold_scales_away_, mean_scales, scales
from pocketgan.pruning.selection import shrink
from zoo import EXAMPLES, example_input, randomized

GENERATORS = {f"{name}-{v}": spec for name in ("resnet", "mobile-resnet", "unet") for v, spec in EXAMPLES[name].items()}


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("spec", GENERATORS.values(), ids=GENERATORS)
def test_scales_of_1_change_nothing_and_folding_keeps_the_image(spec: Spec, everywhere: bool) -> None:
    model = affine_norms(randomized(spec)).double().eval()
    x, names = example_input(spec, dtype=torch.float64), set(model.state_dict())
    with torch.no_grad():
        before = model(x)
        add_scales_(model, everywhere=everywhere)
        model.double()
        assert torch.equal(model(x), before)
        by_group = scales(model)
        assert set(by_group) == {group for group, width in widths_of(model).items() if width}
        for group, found in by_group.items():
            assert all(len(scale) == widths_of(model)[group] for scale in found)
            for scale in found:
                scale.mul_(torch.rand(len(scale), generator=torch.Generator().manual_seed(1)) + 0.5)
        scaled = model(x)
        assert not torch.equal(scaled, before)
        fold_scales_away_(model)
        assert (model(x) - scaled).abs().max() < 1e-6
    assert set(model.state_dict()) == names


def test_the_scale_of_a_norm_is_used_where_there_is_one() -> None:
    model = randomized(EXAMPLES["unet"]["depth-4-affine"])
    add_scales_(model)
    gated = {name.rpartition(".")[0] for name, module in model.named_modules() if isinstance(module, ScaleGate)}
    assert gated == {"down1.conv", "down4.conv"}  # the outermost and the innermost have no norm
    assert scales(model)["down2"][0] is model.down2.norm.weight


def test_a_shared_channel_has_the_mean_scale_of_its_producers() -> None:
    model = randomized(EXAMPLES["resnet"]["affine"])
    add_scales_(model)
    found = scales(model)["trunk"]
    assert len(found) == 4  # the second downsampling and three blocks
    expected = torch.stack([scale.detach().double().abs() for scale in found]).mean(0)
    torch.testing.assert_close(mean_scales(model)["trunk"], expected)


def test_equal_scales_are_refused() -> None:
    model = affine_norms(randomized(EXAMPLES["resnet"]["five-blocks"]))
    add_scales_(model)
    with pytest.raises(ValueError, match=r"all \d+ scales are 1 and rank no channel: train them first"):
        check_scales(mean_scales(model))


def test_a_folded_network_can_be_shrunk() -> None:
    spec = EXAMPLES["mobile-resnet"]["affine"]
    model, x = randomized(spec), example_input(spec)
    add_scales_(model, everywhere=True)
    fold_scales_away_(model)
    assert shrink(model, {"trunk": torch.arange(3)})(x).shape == model(x).shape
