"""Small generators as people write them, N x 3 x H x W -> the same: gates, conditions, attention, tensors of one's own.

None of them uses pocketgan; one declares the axes of its kernel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChunkedGate(nn.Module):
    """Gated convolutions of free-form inpainting: one layer makes features and gates."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 2 * 7, 5, padding=2), nn.Conv2d(7, 2 * 11, 3, padding=1)
        self.out = nn.Conv2d(11, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.conv1, self.conv2):
            feature, gate = conv(x).chunk(2, dim=1)
            x = F.elu(feature) * torch.sigmoid(gate)
        return self.out(x)


class PairedGate(nn.Module):
    """Gated convolutions with a layer for the gates, and a GLU of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.feature, self.gate = nn.Conv2d(3, 7, 3, padding=1), nn.Conv2d(3, 7, 3, padding=1)
        self.norm, self.wide = nn.BatchNorm2d(7), nn.Conv2d(7, 2 * 11, 3, padding=1)
        self.out = nn.Conv2d(11, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(F.leaky_relu(self.feature(x)) * torch.sigmoid(self.gate(x)))
        return self.out(F.glu(self.wide(x), dim=1))


class SqueezeExcite(nn.Module):
    """Squeeze and excitation by linear layers, in residual blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv, self.out = nn.Conv2d(3, 11, 3, padding=1), nn.Conv2d(11, 11, 3, padding=1), nn.Conv2d(11, 3, 1)
        self.bn, self.pool = nn.BatchNorm2d(11), nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(nn.Linear(11, 5, bias=False), nn.ReLU(), nn.Linear(5, 11, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        y = self.bn(self.conv(x))
        b, c, _, _ = y.shape
        scale = self.fc(self.pool(y).view(b, c)).view(b, c, 1, 1)
        return self.out(F.relu(x + y * scale.expand_as(y)))


class ConditionalNorm(nn.Module):
    """SPADE: a norm without scales, modulated by maps that are made from the input."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Conv2d(3, 11, 3, padding=1), nn.InstanceNorm2d(11, affine=False)
        self.mlp_shared = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU())
        self.mlp_gamma, self.mlp_beta = nn.Conv2d(5, 11, 3, padding=1), nn.Conv2d(5, 11, 3, padding=1)
        self.conv, self.out = nn.Conv2d(11, 7, 3, padding=1), nn.Conv2d(7, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        actv = self.mlp_shared(F.interpolate(x, size=x.shape[2:], mode="nearest"))
        h = self.norm(self.fc(x)) * (1 + self.mlp_gamma(actv)) + self.mlp_beta(actv)
        return self.out(F.leaky_relu(self.conv(F.leaky_relu(h, 0.2)), 0.2))


class AdaptiveNorm(nn.Module):
    """AdaIN: a linear layer makes shifts and scales out of pooled features."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 11, 3, padding=1), nn.InstanceNorm2d(7)
        self.conv, self.style = nn.Conv2d(11, 7, 3, padding=1), nn.Linear(11, 2 * 7)
        self.out = nn.Conv2d(7, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        gamma, beta = self.style(x.mean((2, 3)))[:, :, None, None].chunk(2, dim=1)
        return self.out(F.relu((1 + gamma) * self.norm(self.conv(x)) + beta))


class SelfAttention(nn.Module):
    """SAGAN: 1 x 1 convolutions make queries, keys and values; a learned factor scales the attention."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.out = nn.Conv2d(3, 11, 3, padding=1, stride=2), nn.ConvTranspose2d(11, 3, 4, 2, 1)
        self.query, self.key, self.value = nn.Conv2d(11, 5, 1), nn.Conv2d(11, 5, 1), nn.Conv2d(11, 11, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        b, c, h, w = x.size()
        q = self.query(x).view(b, -1, h * w).permute(0, 2, 1)
        attention = torch.softmax(torch.bmm(q, self.key(x).view(b, -1, h * w)), dim=-1)
        y = torch.bmm(self.value(x).view(b, -1, h * w), attention.permute(0, 2, 1)).view(b, c, h, w)
        return self.out(self.gamma * y + x)


class NonLocal(nn.Module):
    """Attention with values of a width of their own, and a layer behind them: BigGAN."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.out = nn.Conv2d(3, 11, 4, 2, 1), nn.ConvTranspose2d(11, 3, 4, 2, 1)
        self.theta, self.phi = nn.Conv2d(11, 5, 1, bias=False), nn.Conv2d(11, 5, 1, bias=False)
        self.g, self.o = nn.Conv2d(11, 7, 1, bias=False), nn.Conv2d(7, 11, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        h, w = x.shape[2:]
        theta = self.theta(x).flatten(2)
        phi, g = F.max_pool2d(self.phi(x), 2).flatten(2), F.max_pool2d(self.g(x), 2).flatten(2)
        beta = F.softmax(theta.transpose(1, 2) @ phi, -1)
        return self.out(self.o((g @ beta.transpose(1, 2)).unflatten(2, (h, w))) + x)


class EinsumAttention(nn.Module):
    """Linear attention in heads, from one layer and with einsum, as in diffusion U-Nets."""

    def __init__(self, heads: int = 2, dim_head: int = 5):
        super().__init__()
        self.heads = heads
        self.stem, self.out = nn.Conv2d(3, 11, 3, padding=1), nn.Conv2d(11, 3, 3, padding=1)
        self.to_qkv, self.to_out = nn.Conv2d(11, heads * dim_head * 3, 1, bias=False), nn.Conv2d(heads * dim_head, 11, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.stem(x))
        b, _, h, w = x.shape
        q, k, v = (t.reshape(b, self.heads, -1, h * w) for t in self.to_qkv(x).chunk(3, dim=1))
        context = torch.einsum("b h d n, b h e n -> b h d e", k.softmax(dim=-1), v)
        y = torch.einsum("b h d e, b h d n -> b h e n", context, q.softmax(dim=-2))
        return self.out(x + self.to_out(y.reshape(b, -1, h, w)))


class HeadAttention(nn.Module):
    """Tokens of linear layers in heads, with torch's scaled dot product: a transformer's attention."""

    def __init__(self, dim: int = 12, heads: int = 3):
        super().__init__()
        self.heads, self.dim = heads, dim
        self.stem, self.out = nn.Conv2d(3, dim, 4, 4), nn.ConvTranspose2d(dim, 3, 4, 4)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc1, self.fc2 = nn.Linear(dim, 17), nn.Linear(17, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        b, c, h, w = x.shape
        t = x.flatten(2).transpose(1, 2)
        qkv = self.qkv(t).reshape(b, h * w, 3, self.heads, self.dim // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        t = t + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h * w, self.dim))
        t = t + self.fc2(F.gelu(self.fc1(t)))
        return self.out(t.transpose(1, 2).reshape(b, c, h, w))


class TorchAttention(nn.Module):
    """nn.MultiheadAttention between convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.attention = nn.Conv2d(3, 12, 4, 4), nn.MultiheadAttention(12, 3, batch_first=True)
        self.mid, self.out = nn.Conv2d(12, 7, 3, padding=1), nn.ConvTranspose2d(7, 3, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        t = x.flatten(2).transpose(1, 2)
        t = t + self.attention(t, t, t, need_weights=False)[0]
        return self.out(F.relu(self.mid(t.transpose(1, 2).reshape(x.shape))))


class ConvNeXt(nn.Module):
    """Depthwise layers, LayerNorm on the last axis, linear layers, LayerScale."""

    class Block(nn.Module):
        def __init__(self, dim: int, hidden: int):
            super().__init__()
            self.dwconv, self.norm = nn.Conv2d(dim, dim, 7, padding=3, groups=dim), nn.LayerNorm(dim, eps=1e-6)
            self.pwconv1, self.act, self.pwconv2 = nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim)
            self.gamma = nn.Parameter(1e-6 * torch.ones(dim))

        def forward(self, x: Tensor) -> Tensor:
            y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
            y = self.gamma * self.pwconv2(self.act(self.pwconv1(y)))
            return x + y.permute(0, 3, 1, 2)

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.out = nn.Conv2d(3, 11, 3, padding=1), nn.Conv2d(11, 3, 3, padding=1)
        self.blocks = nn.Sequential(self.Block(11, 17), self.Block(11, 23))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.blocks(self.stem(x)))


class BareParameters(nn.Module):
    """Numbers of one's own: a scale a channel, a shift a channel, a constant for the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 11, 3, padding=1), nn.Conv2d(11, 7, 3, padding=1)
        self.scale, self.shift = nn.Parameter(torch.ones(1, 11, 1, 1)), nn.Parameter(torch.zeros(7))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.mean: Tensor
        self.out = nn.Conv2d(7, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x - self.mean) * self.scale)
        return self.out(self.conv2(x) + self.shift.view(1, -1, 1, 1)) + self.mean


class EqualConv2d(nn.Module):
    """A convolution whose weights are scaled as they are used (StyleGAN)."""

    def __init__(self, in_channel: int, out_channel: int, kernel_size: int):
        super().__init__()
        self.in_channel, self.out_channel = in_channel, out_channel
        self.weight = nn.Parameter(torch.randn(out_channel, in_channel, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channel))
        self.scale, self.padding = (in_channel * kernel_size**2) ** -0.5, kernel_size // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class DeclaredConv2d(EqualConv2d):
    """The same, by an author who says what sizes its tensors."""

    AXES = {"weight": ("out_channel", "in_channel", None, None), "bias": ("out_channel",)}  # noqa: RUF012

    def __init__(self, in_channel: int, out_channel: int, kernel_size: int):
        super().__init__(in_channel, out_channel, kernel_size)


class OwnKernel(nn.Module):
    """Layers of a class of one's own between torch's."""

    def __init__(self, kind: type[EqualConv2d] = EqualConv2d):
        super().__init__()
        self.first, self.own = nn.Conv2d(3, 7, 3, padding=1), kind(7, 11, 3)
        self.last, self.out = nn.Conv2d(11, 5, 3, padding=1), nn.Conv2d(5, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.leaky_relu(self.last(F.leaky_relu(self.own(F.leaky_relu(self.first(x)))))))


class PixelNormed(nn.Module):
    """PGGAN: every pixel's channels are divided by their root mean square."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 11, 3, padding=1), nn.Conv2d(11, 7, 3, padding=1)
        self.conv3, self.out = nn.Conv2d(7, 5, 3, padding=1), nn.Conv2d(5, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.conv1, self.conv2):
            x = F.leaky_relu(conv(x), 0.2)
            x = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)
        return self.out(F.leaky_relu(self.conv3(x), 0.2))


class TransposedAttention(nn.Module):
    """Restormer: attention between channels, in heads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mid, self.out = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 7, 1), nn.Conv2d(7, 3, 3, padding=1)
        self.qkv, self.project = nn.Conv2d(8, 24, 1), nn.Conv2d(8, 8, 1)
        self.temperature = nn.Parameter(torch.ones(2, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        b, c, h, w = x.shape
        q, k, v = (t.reshape(b, 2, c // 2, h * w) for t in self.qkv(x).chunk(3, dim=1))
        attention = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)) * self.temperature
        x = x + self.project((attention.softmax(dim=-1) @ v).reshape(b, c, h, w))
        return self.out(F.gelu(self.mid(x)))


class OwnActivation(nn.Module):
    """A layer of one's own with a number a channel that it adds: StyleGAN's fused activation."""

    class Biased(nn.Module):
        def __init__(self, channel: int):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(channel))

        def forward(self, x: Tensor) -> Tensor:
            return F.leaky_relu(x + self.bias.view(1, -1, 1, 1), 0.2) * 2**0.5

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.act1 = nn.Conv2d(3, 11, 3, padding=1, bias=False), self.Biased(11)
        self.conv2, self.act2 = nn.Conv2d(11, 7, 3, padding=1, bias=False), self.Biased(7)
        self.out = nn.Conv2d(7, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.act2(self.conv2(self.act1(self.conv1(x)))))


class Noisy(nn.Module):
    """Noise that is drawn in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 11, 3, padding=1), nn.Conv2d(11, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.conv(x) + 0.1 * torch.randn_like(x[:, :1])))
