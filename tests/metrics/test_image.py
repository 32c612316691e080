import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from pocketgan.metrics.image import psnr, ssim


def raw(n=3, size=(32, 40), seed=0, channels=3):
    noise = torch.rand(n, channels, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.avg_pool2d(noise, 3, 1, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(32, 32), (11, 11), (19, 46)])
def test_both_equal_torchmetrics(size, channels):
    x, y = raw(4, size, 1, channels), raw(4, size, 2, channels)
    y = 0.7 * x + 0.3 * y
    images, targets = x.double(), y.double()
    _, everywhere = structural_similarity_index_measure(images, targets, data_range=2.0, return_full_image=True)
    inside = everywhere[..., 5:-5, 5:-5]  # where no reflected border reaches
    torch.testing.assert_close(ssim(x, y), inside.flatten(1).mean(dim=1), rtol=1e-6, atol=1e-9)
    peak = peak_signal_noise_ratio(images, targets, data_range=2.0, reduction="none", dim=(1, 2, 3))
    torch.testing.assert_close(psnr(x, y), peak, rtol=1e-6, atol=1e-9)


def test_psnr_of_a_constant_error_has_a_closed_form():
    black = torch.full((2, 3, 8, 8), -0.5)
    torch.testing.assert_close(psnr(black, black + 0.2), torch.full((2,), 20.0).double(), rtol=1e-6, atol=0)


def test_equal_images_have_the_largest_value():
    x = raw()
    assert psnr(x, x).tolist() == [100.0] * 3
    torch.testing.assert_close(ssim(x, x), torch.ones(3).double())
    assert ssim(x, -x).max() < 0.6


def test_the_value_of_an_image_does_not_depend_on_its_batch():
    x, y = raw(5, seed=1), raw(5, seed=2)
    for measure in (psnr, ssim):
        torch.testing.assert_close(torch.cat([measure(x[:2], y[:2]), measure(x[2:], y[2:])]), measure(x, y))


def test_half_precision_and_gradients_are_allowed():
    x, y = raw(seed=1), raw(seed=2)
    assert psnr(x.bfloat16(), y.bfloat16()).dtype == torch.float64
    assert not ssim(x.requires_grad_(), y).requires_grad


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 16, 16), r"N x C x H x W floats; .*\(3, 16, 16\)"),
        (torch.zeros(1, 0, 16, 16), r"found .*\(1, 0, 16, 16\)"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "torch.uint8"),
        (torch.full((1, 3, 16, 16), 255.0), r"\[-1, 1\]; found values from 255 to 255"),
        (torch.full((1, 3, 16, 16), torch.nan), "nan"),
    ],
)
def test_other_tensors_are_refused(images, message):
    for measure in (lambda x: psnr(x, x), lambda x: ssim(x, x)):
        with pytest.raises(ValueError, match=message):
            measure(images)


def test_other_shapes_and_small_images_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        psnr(raw(2), raw(3))
    with pytest.raises(ValueError, match="at least 11x11, found 10x32"):
        ssim(raw(1, (10, 32)), raw(1, (10, 32)))
