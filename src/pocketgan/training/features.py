"""Intermediate features of networks, by module name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import image_channels
from pocketgan.utils.registry import unknown


class Taps:
    """Forward hooks that store the outputs of named modules, until `close`."""

    def __init__(self, model: nn.Module, names: Iterable[str]):
        """Raise ``ValueError`` for a name that ``model`` lacks."""
        modules = dict(model.named_modules())
        self._outputs: dict[str, Tensor] = {}
        self._handles = []
        for name in names:
            if name not in modules:
                raise unknown("layer", name, [key for key in modules if key and key.count(".") < 2])
            self._handles.append(modules[name].register_forward_hook(self._hook(name)))

    def take(self) -> dict[str, Tensor]:
        """Return ``{name: features}`` of the last forward and release them."""
        outputs, self._outputs = self._outputs, {}
        return outputs

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Any:
        def store(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self._outputs[name] = output

        return store


class TeacherDiscriminator:
    """Frozen teacher discriminator, in evaluation mode, as a feature extractor; gradients pass through it to the image.

    A discriminator with more input channels than an image has is conditional: it scores input and image together (pix2pix,
    eq. 1).
    """

    def __init__(self, discriminator: nn.Module):
        self.discriminator = discriminator.eval().requires_grad_(False)
        self.channels = image_channels(discriminator)
        self.scales: tuple[tuple[str, ...], ...] = discriminator.layers  # type: ignore[assignment]
        """Layer names of each scale, from input to logits."""
        self.layers = tuple(name for scale in self.scales for name in scale)
        """Layer names of all scales, one after the other."""
        self._taps = Taps(discriminator, self.layers)

    def __call__(self, input: Tensor, image: Tensor) -> dict[str, Tensor]:
        """Return ``{layer: features}`` of the images, N x C x H x W."""
        conditional = self.channels > image.shape[1]
        return self.features(torch.cat([input, image], 1) if conditional else image)

    def features(self, scored: Tensor) -> dict[str, Tensor]:
        """Return ``{layer: features}`` of what the discriminator scores, N x channels x H x W."""
        self.discriminator(scored)
        return self._taps.take()
