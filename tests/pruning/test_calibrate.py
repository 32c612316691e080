"""Running statistics after calibration: those of all batches together."""

import pytest
import torch
from torch import nn

from pocketgan.models import resnet
from pocketgan.pruning.calibrate import calibrate_, has_statistics, tracked
from zoo import randomized


def batches(count: int, channels: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2 + i, channels, 8, 8, generator=generator) * (i + 1) + i for i in range(count)]


def test_statistics_are_those_of_all_batches_together() -> None:
    """Batches of unequal size, mean and spread; not the last one's, nor the mean of the batches' variances."""
    norm, seen = nn.BatchNorm2d(3), batches(4)
    calibrate_(norm, seen)
    every = torch.cat(seen).double()
    torch.testing.assert_close(norm.running_mean.double(), every.mean((0, 2, 3)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.running_var.double(), every.transpose(0, 1).flatten(1).var(1), rtol=1e-5, atol=1e-5)


def test_one_batch_is_what_torch_does_with_a_momentum_of_1() -> None:
    model, (image,) = randomized(resnet(4, 2, "batch")), batches(1)
    model.requires_grad_(False)
    image = torch.nn.functional.interpolate(image, size=16)
    twin = randomized(resnet(4, 2, "batch"))
    for norm in (module for module in twin.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.momentum = 1.0
    with torch.no_grad():
        twin.train()(image)
    calibrate_(model, [image])
    for name, tensor in model.named_buffers():
        if "running" in name:
            torch.testing.assert_close(tensor, twin.get_buffer(name), rtol=1e-4, atol=1e-5)


def test_nothing_else_changes() -> None:
    model = randomized(resnet(4, 1, "batch", dropout=0.5))
    model.block0.train()
    modes = [module.training for module in model.modules()]
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    calibrate_(model, [torch.randn(2, 3, 16, 16)])
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in model.named_parameters())


@pytest.mark.parametrize(("norm", "expected"), [("batch", True), ("instance", False), ("instance_affine", False)])
def test_which_networks_have_statistics(norm: str, expected: bool) -> None:
    assert has_statistics(resnet(4, 1, norm).build()) == expected


def test_a_norm_without_statistics_gets_those_of_the_images_and_the_others_keep_theirs() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3, track_running_stats=False)).eval()
    with torch.no_grad():
        model[0].running_mean.fill_(1.0)
        model[0].running_var.fill_(4.0)
    images = batches(3)
    done = tracked(model, iter(images))
    assert model[1].running_mean is None
    assert torch.equal(done[0].running_mean, torch.ones(3))
    read = model[0](torch.cat(images)).detach().double()
    torch.testing.assert_close(done[1].running_mean.double(), read.mean((0, 2, 3)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(done[1].running_var.double(), read.transpose(0, 1).flatten(1).var(1), rtol=1e-5, atol=1e-5)


def test_a_tracked_network_gives_equal_images_in_any_batch() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    (image,) = batches(1)
    done = tracked(model, [image])
    torch.testing.assert_close(done(image)[:1], done(image[:1]))
    assert not torch.allclose(model(image)[:1], model(image[:1]))
    assert not done.training
    # On the calibration batch it equals the model, but for the variance, which is unbiased in the statistics.
    count = image.numel() // 3
    bias = done[1].bias[:, None, None]
    torch.testing.assert_close(done(image) - bias, (model(image) - bias) * (1 - 1 / count) ** 0.5, rtol=1e-4, atol=1e-4)
