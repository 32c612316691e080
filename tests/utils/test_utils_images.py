import numpy as np
import pytest
import torch
from PIL import Image

from pocketgan.utils.images import check_images, check_rgb, resize, to_8bit


def noise(n, size):
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(0))


def test_images_pass_as_they_are():
    x = noise(2, (5, 7)) * 2 - 1
    assert check_images(x) is x
    assert check_images(x[:, :1]).shape == (2, 1, 5, 7)
    assert check_rgb(x, "features") is x
    assert torch.equal(check_rgb(x[:, 1:2], "features"), x[:, [1, 1, 1]])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 16, 16), r"N x C x H x W floats; .*\(3, 16, 16\)"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "torch.uint8"),
        (torch.full((1, 3, 16, 16), 255.0), r"\[-1, 1\]; found values from 255 to 255"),
        (torch.full((1, 3, 16, 16), torch.nan), "nan"),
        (torch.zeros(1, 4, 16, 16), "features need RGB or gray images; found 4 channels"),
    ],
)
def test_what_is_no_image_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        check_rgb(images, "features")


def test_8bit_equals_a_saved_file_and_keeps_what_was_read(tmp_path):
    x = noise(1, (32, 40)) * 2 - 1
    levels = (x[0].permute(1, 2, 0).numpy() + 1) * 127.5
    Image.fromarray(np.rint(levels).astype(np.uint8)).save(tmp_path / "x.png")
    read = torch.from_numpy(np.array(Image.open(tmp_path / "x.png"))).permute(2, 0, 1)
    torch.testing.assert_close(to_8bit(x)[0], read / 255, rtol=0, atol=1e-7)
    every = torch.arange(256.0).reshape(1, 1, 16, 16)
    torch.testing.assert_close(to_8bit(every / 127.5 - 1), every / 255, rtol=0, atol=1e-7)
    assert to_8bit(torch.tensor([-1.0005, 1.0005])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("size", [(7, 9), (40, 33), (16, 50)])
def test_resize_is_pillows_bicubic(size):
    levels = noise(1, (16, 24))
    channel = Image.fromarray(levels[0, 0].numpy(), mode=None).resize(size[::-1], Image.Resampling.BICUBIC)
    expected = torch.from_numpy(np.array(channel)).clamp(0, 1)
    torch.testing.assert_close(resize(levels, size)[0, 0], expected, rtol=0, atol=1e-5)
