"""Every network of the zoo with published names, saved under them and loaded: the same image, the same file."""

import pytest
import torch

from pocketgan.checkpoints import load_checkpoint, to_published
from pocketgan.checkpoints.convert import LAYOUTS
from zoo import SPECS, every_example, example_input, generate, randomized

NAMELESS = {
    *("mobile-resnet-affine", "mobile-resnet-depthwise-batch", "mobile-resnet-absent-block", "unet-absent-levels"),
    "munit-affine",
}
"""Variants without published names: norms with scales where the published ones have none, a U-Net without inner level."""

UNREAD = ("sagan", "sagan-discriminator", "stylegan2", "stylegan2-discriminator")
"""Networks without a layout."""

NAMES = {id(spec): name for name, spec in SPECS.items()}


def without_constants(model):
    """The model with constants of absent branches set to 0, which the published networks do not have."""
    for name, tensor in model.state_dict().items():
        if name.endswith("shift.value"):
            tensor.zero_()
    return model


@every_example
def test_published_names_round_trip(spec, tmp_path):
    model = without_constants(randomized(spec))
    if NAMES[id(spec)] in NAMELESS or spec.name in UNREAD:
        with pytest.raises(ValueError, match=r"no published network is like this|the published names have no U-Net"):
            to_published(model)
        return
    state = to_published(model)
    torch.save(state, tmp_path / "latest_net.pth")
    loaded = load_checkpoint(tmp_path / "latest_net.pth")
    again = to_published(loaded.model)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())
    image = example_input(spec)
    with torch.no_grad():
        assert torch.equal(generate(loaded.model, image), generate(model, image))
    normless = (spec.name, getattr(spec, "layers", None)) == ("multiscale", 1)
    if all(spec.widths.values()) and not normless:  # blocks that are gone leave no trace, nor do norms that are not there
        assert loaded.model.spec == spec


def test_every_layout_is_tried():
    covered = {layout.network for layout in LAYOUTS for spec in SPECS.values() if layout.matches(spec)}
    assert covered == {layout.network for layout in LAYOUTS}
