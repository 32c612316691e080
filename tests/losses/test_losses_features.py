"""Distances of features, of a classifier and of a discriminator: closed forms and where gradients go."""

import pytest
import torch

from pocketgan.losses import feature_matching, perceptual_distance

SHAPES = ((2, 8, 16, 16), (2, 16, 8, 8), (2, 32, 4, 4), (2, 64, 2, 2), (2, 64, 1, 1))


def features(seed: int, *, count: int = 5) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=rng, requires_grad=True) for shape in SHAPES[:count]]


def test_each_layer_has_its_weight() -> None:
    real = features(0)
    for layer, weight in enumerate((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)):
        fake = [x + 3 * (i == layer) for i, x in enumerate(real)]
        assert perceptual_distance(fake, real).item() == pytest.approx(3 * weight)
    assert perceptual_distance([x - 2 for x in real], real).item() == pytest.approx(2 * (31 / 32 + 0.5))
    assert perceptual_distance(real, real) == 0


def test_the_scales_are_averaged_and_the_layers_summed() -> None:
    real = [features(0, count=4), features(1, count=4)]
    fake = [[x + 1 for x in real[0]], [x - layer for layer, x in enumerate(real[1])]]
    assert feature_matching(fake, real).item() == pytest.approx((4 * 1 + (0 + 1 + 2 + 3)) / 2)
    assert feature_matching(fake[:1], real[:1]).item() == pytest.approx(4)
    assert feature_matching(real, real) == 0


def test_a_layer_counts_by_its_mean_whatever_its_size() -> None:
    real = [[torch.zeros(1, 2, 4, 4), torch.zeros(1, 8, 1, 1)]]
    fake = [[torch.ones(1, 2, 4, 4), torch.ones(1, 8, 1, 1)]]
    assert feature_matching(fake, real) == 2


def test_the_target_is_given() -> None:
    for distance, wrap in ((perceptual_distance, lambda x: x), (feature_matching, lambda x: [x])):
        fake, real = features(0), features(1)
        distance(wrap(fake), wrap(real)).backward()
        assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in fake)
        assert all(x.grad is None for x in real)


def test_layers_must_correspond() -> None:
    with pytest.raises(ValueError, match="shorter"):
        perceptual_distance(features(0, count=4), features(1, count=4))
    with pytest.raises(ValueError, match=r"longer|shorter"):
        feature_matching([features(0)], [features(0), features(1)])
    with pytest.raises(ValueError, match=r"longer|shorter"):
        feature_matching([features(0)], [features(1, count=4)])
