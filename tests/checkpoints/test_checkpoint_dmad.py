"""Checkpoints of DMAD: several networks in a file, and lists of widths, which alone tell the removed blocks."""

import published
import pytest
import torch

from pocketgan.checkpoints import load_checkpoint, to_published

CFG = [3, 5, 7, 4, 7, 0, 7, 2, 7, 6, 4]
"""Stem, two downsamplings, three blocks of which the second is gone, two upsamplings."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model_best.pth"


def saved(path, cfg_a=CFG, cfg_b=None, *, mobile=False):
    """A CycleGAN as DMAD saves it."""
    net = published.trained(published.resnet(3, 5, 7, 6, 4, (4, 2), mobile=mobile))
    other = published.trained(published.resnet(2, 4, 6, 4, 2, (3,)), seed=1)
    discriminator = published.trained(published.patchgan([3, 5, 7]))
    states = {"G_A": net, "G_B": other, "D_A": discriminator, "D_B": discriminator}
    data = {key: value.state_dict() for key, value in states.items()}
    torch.save({**data, "epoch": 200, "cfg": (cfg_a, cfg_b), "fid": (62.4, 139.3)}, path)
    return net


@pytest.mark.parametrize("mobile", [False, True])
def test_the_list_tells_which_block_was_removed(path, mobile):
    net = saved(path, mobile=mobile)
    loaded = load_checkpoint(path, network="G_A")
    assert (loaded.family, loaded.role) == ("DMAD", "generator")
    assert loaded.message.endswith("; found under 'G_A'; DMAD's list of 11 widths agrees; by it block1 had been removed")
    spec = loaded.model.spec
    assert (spec.blocks, spec.separable) == (3, mobile)
    assert list(spec.widths.values()) == [3, 5, 7, 4, 0, 2, 6, 4]
    state, back = net.state_dict(), to_published(loaded.model)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(loaded.model(image), net(image.clone()))


def test_other_networks_of_the_file(path):
    saved(path)
    discriminator = load_checkpoint(path, network="D_A")
    assert (discriminator.family, discriminator.role) == ("pytorch-CycleGAN-and-pix2pix", "discriminator")
    assert "DMAD" not in load_checkpoint(path, network="G_B").message
    with pytest.raises(ValueError, match=r"holds 4 networks, under 'G_A', 'G_B', 'D_A', 'D_B'"):
        load_checkpoint(path)


def test_the_last_upsampling_may_be_without_a_mask(path):
    saved(path, CFG[:-1], [2, 4, 6, 3, 6, 4])
    assert "DMAD's list of 10 widths agrees; by it block1" in load_checkpoint(path, network="G_A").message
    assert load_checkpoint(path, network="G_B").message.endswith("DMAD's list of 6 widths agrees")


def test_a_list_that_contradicts_the_tensors_is_named(path):
    saved(path, [9, *CFG[1:]], [2, 4, 6, 3, 6, 3, 6, 4, 2])
    loaded = load_checkpoint(path, network="G_A")
    assert "DMAD's list of widths contradicts the tensors: stem 9 (tensors 3); the tensors are right" in loaded.message
    assert loaded.model.spec.widths["stem"] == 3
    loaded = load_checkpoint(path, network="G_B")
    assert "contradicts the tensors: it has 2 blocks, they have 1; the tensors are right" in loaded.message
    assert loaded.model.spec.blocks == 1
    saved(path, [3, 5])
    assert "DMAD's list of 2 widths is that of another network and was not used" in load_checkpoint(path, network="G_A").message


@pytest.mark.parametrize("cfg", [[3, 5, 7] + [0, 7] * 10**5, [3, 5, 10**400, 4, 7, 2, 7, 6, 4], [3, 5, -7, 4, 7, 2, 7, 6, 4]])
def test_a_list_that_no_network_has_is_not_read(path, cfg):
    saved(path, cfg)
    assert "DMAD" not in load_checkpoint(path, network="G_A").message


def test_unet(path):
    down, up = [2, 3, 5, 3], [2, 7, 2]
    net = published.trained(published.unet(down, up))
    filters = [*down, *reversed(up)]
    channels = [*down, *(f + filters[i] for f, i in zip(filters[4:], (2, 1, 0), strict=True))]
    discriminator = published.patchgan([3, 5, 7], "batch", 6).state_dict()
    torch.save({"G": net.state_dict(), "D": discriminator, "epoch": 3, "cfg": (filters, channels), "fid": 50.2}, path)
    loaded = load_checkpoint(path, network="G")
    assert loaded.message.endswith("; found under 'G'; DMAD's list of 7 widths agrees")
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in to_published(loaded.model).items())
    torch.save({"G": net.state_dict(), "cfg": ([*filters[:-1], 9], channels)}, path)
    assert "contradicts the tensors: up2 9 (tensors 2)" in load_checkpoint(path).message


def test_masks_of_a_search_are_refused(path):
    state = published.resnet(3, 5, 7, 5, 3, (7,)).state_dict() | {"model.3.mask_weight": torch.zeros(3)}
    torch.save({"G": state}, path)
    with pytest.raises(ValueError, match=r"holds the masks of a DMAD search \(mask_weight\): it is no network yet\. Cut it by"):
        load_checkpoint(path)
