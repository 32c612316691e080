"""Two tiny generators with named widths, and their ONNX files, exported once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pocketgan.deploy import Exported, export_onnx


class Width(int):
    """Stand-in for a named width: layers keep it as their attribute, so exporters meet it."""


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect")
        self.norm = nn.InstanceNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv(x)).relu()


class TinyResnet(nn.Module):
    """Stride 4: its trunk, at a quarter of the size, is reflected by 1 and needs two pixels a side."""

    stride = 4
    in_channels = Width(3)

    def __init__(self) -> None:
        super().__init__()
        a, b, c = Width(5), Width(7), Width(11)
        self.layers = nn.Sequential(
            *(nn.ReflectionPad2d(3), nn.Conv2d(3, a, 7), nn.InstanceNorm2d(a), nn.ReLU(inplace=True)),
            *(nn.Conv2d(a, b, 3, 2, 1), nn.InstanceNorm2d(b, affine=True), nn.ReLU()),
            *(nn.Conv2d(b, c, 3, 2, 1), nn.InstanceNorm2d(c), nn.ReLU()),
            *(Residual(c), nn.Dropout(0.5)),
            *(nn.ConvTranspose2d(c, b, 3, 2, 1, 1), nn.InstanceNorm2d(b), nn.ReLU()),
            *(nn.ConvTranspose2d(b, a, 3, 2, 1, 1), nn.InstanceNorm2d(a), nn.ReLU()),
            *(nn.ReflectionPad2d(3), nn.Conv2d(a, 3, 7), nn.Tanh()),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class TinyUnet(nn.Module):
    """Three levels: stride 8, batch norm; an image of 8 x 8 has one pixel at the bottom."""

    stride = 8
    in_channels = Width(2)
    GATES = {"norm2": "down2", "norm3": "up3"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        a, b, c = Width(5), Width(7), Width(11)
        self.down1, self.down2, self.down3 = (nn.Conv2d(i, o, 4, 2, 1) for i, o in ((2, a), (a, b), (b, c)))
        self.norm2 = nn.BatchNorm2d(b)
        self.up3, self.up2, self.up1 = (nn.ConvTranspose2d(i, o, 4, 2, 1) for i, o in ((c, b), (b + b, a), (a + a, 3)))
        self.norm3 = nn.BatchNorm2d(b)

    def forward(self, x: Tensor) -> Tensor:
        down1 = self.down1(x)
        down2 = self.norm2(self.down2(nn.functional.leaky_relu(down1, 0.2)))
        up3 = self.norm3(self.up3(self.down3(nn.functional.leaky_relu(down2, 0.2)).relu()))
        up2 = self.up2(torch.cat([down2, up3], 1).relu())
        return self.up1(torch.cat([down1, up2], 1).relu()).tanh()


def randomize_(generator: nn.Module) -> nn.Module:
    """Draw weights and statistics so large that the output depends on every part of the image; training mode."""
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in generator.state_dict().items():
            if tensor.dim() > 1:
                tensor.copy_(torch.randn(tensor.shape, generator=source) * (2 / tensor[0].numel()) ** 0.5)
            elif name.endswith(("weight", "running_var")):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=source))
            elif tensor.is_floating_point():
                tensor.copy_(0.1 * torch.randn(tensor.shape, generator=source))
    return generator.train()


@pytest.fixture(scope="session")
def resnet() -> nn.Module:
    return randomize_(TinyResnet())


@pytest.fixture(scope="session")
def unet() -> nn.Module:
    return randomize_(TinyUnet())


@pytest.fixture(scope="session")
def resnet_file(resnet: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_onnx(resnet, tmp_path_factory.mktemp("resnet") / "generator.onnx", size=32)


@pytest.fixture(scope="session")
def unet_file(unet: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_onnx(unet, tmp_path_factory.mktemp("unet") / "generator.onnx", size=(24, 32))
