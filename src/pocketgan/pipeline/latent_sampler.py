"""Images of a generator by the latent of a seed, and between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import Input, image_channels, inputs_of, latent_from_seed
from pocketgan.core.spec import spec_of
from pocketgan.data.images import first_images
from pocketgan.deploy import frozen
from pocketgan.pipeline.load_generator import load


@dataclass(frozen=True)
class LatentSampler:
    """Generator that reads a latent or a style.

    It generates from a *code*, 1 x k: the style of a network with a mapping network, else the latent itself.
    """

    model: nn.Module
    """Frozen, on the CPU."""
    source: Tensor | None = None
    """1 x C x H x W in [-1, 1]: the input image of a generator of images in styles."""
    reference: Tensor | None = None
    """1 x C x H x W in [-1, 1]: the image whose style is encoded."""
    psi: float | None = None
    """Truncation psi: 0 is the average style, 1 or None changes nothing."""

    @torch.inference_mode()
    def code(self, seed: int) -> Tensor:
        """Code of a seed."""
        latent = latent_of(self.model)
        assert latent is not None, "a sampled generator reads a latent"
        z, network = latent_from_seed(seed, latent.channels), self._network
        if not has_mapping(self.model):
            return z
        w: Tensor = network.mapping(z)
        return w if self.psi is None else network.truncated(w, self.psi)

    @torch.inference_mode()
    def code_of_reference(self) -> Tensor:
        """Code of the reference image."""
        return self._network.style_of(self.reference)  # type: ignore[no-any-return]

    def between(self, first: Tensor, last: Tensor, t: float) -> Tensor:
        """Code at fraction ``t`` from ``first`` to ``last``, exactly these two at 0 and 1.

        Styles of a mapping network are interpolated along a straight line (StyleGAN), latents along a great circle.
        """
        return torch.lerp(first, last, t) if has_mapping(self.model) else spherical(first, last, t)

    @torch.inference_mode()
    def image(self, code: Tensor) -> Tensor:
        """Image of a code, C x H x W in [-1, 1]."""
        if has_mapping(self.model):
            images = self._network.synthesis(code)
        else:
            images = self.model(code) if self.source is None else self.model(self.source, code)
        return images[0].clamp(-1, 1)  # type: ignore[no-any-return]

    @property
    def given(self) -> list[Tensor]:
        """Input and reference image, each C x H x W: the head of a row."""
        return [image[0] for image in (self.source, self.reference) if image is not None]

    @property
    def _network(self) -> Any:
        return self.model


def has_mapping(model: nn.Module) -> bool:
    """True for a generator with a mapping network from latents to styles."""
    return hasattr(model, "mapping")


def latent_of(model: nn.Module) -> Input | None:
    """First latent among a generator's inputs: its latent, or its style; None where it reads images alone."""
    return next((read for read in inputs_of(model) if read.is_latent), None)


def spherical(first: Tensor, last: Tensor, t: float) -> Tensor:
    """Point at fraction ``t`` from ``first`` to ``last``, both 1 x k, along the great circle.

    White 2016, "Sampling Generative Networks", section 2.1: a straight line passes near 0, where hardly any normal latents
    lie. It is taken where the directions are equal or opposite, and there is no single circle.
    """
    cosine = torch.cosine_similarity(first.double(), last.double()).clamp(-1, 1)
    angle = cosine.acos()
    if float(angle.sin()) < 1e-4:
        return torch.lerp(first, last, t)
    weights = torch.stack([((1 - t) * angle).sin(), (t * angle).sin()]) / angle.sin()
    return (weights[0] * first + weights[1] * last).to(first)


MOST_INPUTS = 4
"""Images of a folder that are generated in styles."""


def make_samplers(
    artifacts: Sequence[str], *, source: str | None = None, reference: str | None = None, psi: float | None = None
) -> list[LatentSampler]:
    """Samplers, one an artifact; of generators of images in styles one for each input image, grouped by image.

    Raises ``ValueError`` where there is no artifact, or settings do not fit one.
    """
    if not artifacts:
        raise ValueError("no artifact given: name at least one")
    by_artifact = [_samplers(artifact, source, reference, psi) for artifact in artifacts]
    return [sampler for group in zip(*by_artifact, strict=True) for sampler in group]


def _samplers(artifact: str, source: str | None, reference: str | None, psi: float | None) -> list[LatentSampler]:
    loaded = load(artifact)
    model, kind = frozen(loaded.model), f"{artifact} is a {spec_of(loaded.model).name}"
    latent = latent_of(model)
    if latent is None:
        raise ValueError(
            f"{kind}, which reads images alone: it has one image for each, and no seeds; `pocketgan evaluate` measures them, "
            "and the report of its run shows some"
        )
    if psi is not None and not has_mapping(model):
        raise ValueError(f"{kind}, without a mapping network: --truncation pulls towards its average style, so leave it out")
    if latent.name == "input":
        for flag, value in (("--source", source), ("--reference", reference)):
            if value is not None:
                raise ValueError(f"{kind}, which reads latents alone: leave {flag} out")
        return [LatentSampler(model, psi=psi)]
    if source is None:
        raise ValueError(f"{kind}, which generates an image in many styles: name the image with --source IMAGE_OR_FOLDER")
    if image_channels(model) != 3:
        raise ValueError(f"{kind}, which reads {image_channels(model)} channels, and images of files have 3")
    if reference is not None and latent.reference_channels != 3:
        why = f"encodes images of {latent.reference_channels} channels" if latent.reference_channels else "has no style encoder"
        raise ValueError(f"{kind}, which {why}: leave --reference out; --seeds gives random styles")
    shape = loaded.shape()
    style = first_images(reference, shape, most=1) if reference is not None else None
    return [LatentSampler(model, image, style) for image in first_images(source, shape, most=MOST_INPUTS)[:, None]]
