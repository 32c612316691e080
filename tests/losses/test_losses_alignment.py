"""Kernel alignment: known values, what must not change it, and the precision that it is computed in."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pocketgan.losses import kernel_alignment

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_known_values() -> None:
    """Equal images against orthogonal ones: 2 / (2 sqrt 2); a rotation of the same: 1."""
    same, apart = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.eye(2)
    assert kernel_alignment(same, apart).item() == pytest.approx(0.70711, abs=1e-5)
    assert kernel_alignment(apart, torch.tensor([[1.0, 1.0], [1.0, -1.0]])).item() == pytest.approx(1)
    assert kernel_alignment(same, same).item() == pytest.approx(1)


@few
@given(seed=st.integers(0, 999), count=st.integers(2, 6), channels=st.integers(1, 5), scale=st.floats(1e-3, 1e3))
def test_it_is_what_its_formula_says(seed: int, count: int, channels: int, scale: float) -> None:
    """<X X^T, Y Y^T> / (|X X^T| |Y Y^T|), in 0..1, alike from both sides; neither scale nor rotation matters."""
    x, y = features(count, channels, 2, 3, seed=seed), features(count, 2, 4, 4, seed=seed + 1)
    rows = [f.double().flatten(1) for f in (x, y)]
    one, other = (r @ r.T for r in rows)
    wanted = float((one * other).sum() / (one.norm() * other.norm()))
    for centered in (False, True)[: 1 + (count > 2)]:
        found = kernel_alignment(x, y, centered=centered).item()
        assert 0 <= found <= 1 + 1e-6
        rotation = torch.linalg.qr(features(6 * channels, 6 * channels, seed=seed + 2)).Q
        turned = (x.flatten(1) @ rotation) * scale
        assert kernel_alignment(turned, y, centered=centered).item() == pytest.approx(found, abs=1e-4)
        assert kernel_alignment(y, x, centered=centered).item() == pytest.approx(found, abs=1e-6)
        assert kernel_alignment(x, turned, centered=centered).item() == pytest.approx(1, abs=1e-4)
    assert kernel_alignment(x, y).item() == pytest.approx(wanted, abs=1e-5)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    assert kernel_alignment(x[order], y[order]).item() == pytest.approx(wanted, abs=1e-5)


def test_centered_it_is_linear_cka() -> None:
    """|Xc^T Yc|^2 / (|Xc^T Xc| |Yc^T Yc|) (Kornblith et al. 2019, eq. 4, over features instead of images)."""
    x, y = features(5, 7) + 3, features(5, 4, seed=1) - 2
    xc, yc = (f.double() - f.double().mean(0) for f in (x, y))
    wanted = (xc.T @ yc).square().sum() / ((xc.T @ xc).norm() * (yc.T @ yc).norm())
    assert kernel_alignment(x, y, centered=True).item() == pytest.approx(wanted.item(), abs=1e-6)
    assert kernel_alignment(x + 100, y, centered=True).item() == pytest.approx(wanted.item(), abs=1e-4)


def test_what_is_never_negative_looks_alike_until_it_is_centered() -> None:
    """Two independent random networks after a ReLU, of many features: 0.999 and more. Of few, centring tells them apart."""
    x, y = features(4, 64, 16, 16).relu(), features(4, 64, 16, 16, seed=1).relu()
    assert kernel_alignment(x, y) > 0.999
    x, y = features(64, 8).relu() + 1, features(64, 8, seed=1).relu() + 1
    assert kernel_alignment(x, y) > 0.9
    assert kernel_alignment(x, y, centered=True) < 0.2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("centered", [False, True])
def test_half_precision_overflows_nowhere(dtype: torch.dtype, centered: bool) -> None:
    """Also under autocast, and at values whose fourth powers float32 itself cannot hold."""
    x, y = features(3, 8, 4, 4) * 1e4, features(3, 4, 8, 8, seed=1) * 1e-4
    wanted = kernel_alignment(x.double(), y.double(), centered=centered)
    with torch.autocast("cpu", torch.bfloat16):
        found = kernel_alignment(x.to(dtype), y.to(dtype), centered=centered)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted.float(), atol=0.03, rtol=0)
    torch.testing.assert_close(kernel_alignment(x * 1e12, y * 1e-8, centered=centered), wanted.float(), atol=1e-4, rtol=0)


def test_features_of_nothing_align_with_nothing_and_give_no_nan() -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    loss = kernel_alignment(x, torch.eye(2))
    loss.backward()
    assert loss == 0
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_gradient_is_that_of_the_formula() -> None:
    x, y = features(3, 4).requires_grad_(), features(3, 5, seed=1)
    kernel_alignment(x, y).backward()
    own = x.detach().double().requires_grad_()
    one, other = own @ own.T, y.double() @ y.double().T
    ((one * other).sum() / (one.norm() * other.norm())).backward()
    torch.testing.assert_close(x.grad, own.grad.float(), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("count", "centered", "least"), [(1, False, 2), (2, True, 3), (1, True, 3)])
def test_too_few_images_say_nothing(count: int, centered: bool, least: int) -> None:
    x = features(count, 3)
    with pytest.raises(ValueError, match=f"kernel alignment compares the images .*: {count} say nothing, the least is {least}"):
        kernel_alignment(x, x, centered=centered)


def test_of_two_images_the_centered_one_would_be_1_whatever_they_are() -> None:
    """Why they are refused: two rows minus their mean are opposite, so both Grams are [[1, -1], [-1, 1]] but for a scale."""
    x, y = (features(2, 5, seed=seed) for seed in (0, 1))
    xc, yc = x - x.mean(0), y - y.mean(0)
    assert kernel_alignment(xc, yc).item() == pytest.approx(1)
