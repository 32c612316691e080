"""What a generator generates of the numbers of a seed, and between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import Input, image_channels, inputs_of, latent_from_seed
from pocketgan.core.shape import Shape
from pocketgan.core.spec import spec_of
from pocketgan.data.first import first_images
from pocketgan.export import frozen
from pocketgan.pipeline.load_generator import load
from pocketgan.pipeline.measure import shape


@dataclass(frozen=True)
class LatentSampler:
    """A generator that reads numbers, at work.

    What it generates from is a *code*, 1 x k: the style of a network that maps its numbers to one, else the numbers themselves.
    """

    model: nn.Module
    """Frozen, on the CPU."""
    source: Tensor | None = None
    """1 x C x H x W in [-1, 1]: the image that it generates in styles."""
    reference: Tensor | None = None
    """1 x C x H x W in [-1, 1]: the image whose style is taken."""
    psi: float | None = None
    """How far codes stay from the average one: 0 is the average itself, 1 or None leaves them alone."""

    @torch.inference_mode()
    def code(self, seed: int) -> Tensor:
        """What the seed's image is generated from."""
        numbers = read_as_numbers(self.model)
        assert numbers is not None, "a generator reads numbers"
        z, network = latent_from_seed(seed, numbers.channels), self._network
        if not is_mapped(self.model):
            return z
        w: Tensor = network.mapping(z)
        return w if self.psi is None else network.truncated(w, self.psi)

    @torch.inference_mode()
    def code_of_reference(self) -> Tensor:
        """The style of the image that is given."""
        return self._network.style_of(self.reference)  # type: ignore[no-any-return]

    def between(self, first: Tensor, last: Tensor, t: float) -> Tensor:
        """The code at ``t`` on the way: 0 is ``first`` and 1 is ``last``, bit for bit."""
        return torch.lerp(first, last, t) if is_mapped(self.model) else spherical(first, last, t)

    @torch.inference_mode()
    def image(self, code: Tensor) -> Tensor:
        """C x H x W in [-1, 1]."""
        if is_mapped(self.model):
            made = self._network.synthesis(code)
        else:
            made = self.model(code) if self.source is None else self.model(self.source, code)
        return made[0].clamp(-1, 1)  # type: ignore[no-any-return]

    @property
    def shown(self) -> list[Tensor]:
        """The images that are given, each C x H x W: what stands at the head of a row."""
        return [image[0] for image in (self.source, self.reference) if image is not None]

    @property
    def _network(self) -> Any:
        return self.model


def is_mapped(model: nn.Module) -> bool:
    """Whether its numbers become a style first, in which straight lines are the natural way (StyleGAN)."""
    return hasattr(model, "mapping")


def read_as_numbers(model: nn.Module) -> Input | None:
    """The first that it reads as numbers, the latent or the style; None for a network that reads images alone."""
    return next((each for each in inputs_of(model) if each.is_latent), None)


def spherical(first: Tensor, last: Tensor, t: float) -> Tensor:
    """From ``first`` (t = 0) to ``last`` (t = 1), both 1 x k, along the great circle.

    White 2016, "Sampling Generative Networks", section 2.1. A straight line would come too near to 0, where hardly any normal
    numbers lie. It is taken all the same where the two directions are one, or opposite, and there is no single circle.
    """
    cosine = torch.cosine_similarity(first.double(), last.double()).clamp(-1, 1)
    angle = cosine.acos()
    if float(angle.sin()) < 1e-4:
        return torch.lerp(first, last, t)
    weights = torch.stack([((1 - t) * angle).sin(), (t * angle).sin()]) / angle.sin()
    return (weights[0] * first + weights[1] * last).to(first)


SOURCES = 4
"""How many images of a folder are generated in styles."""


def generators_of(
    artifacts: Sequence[str], *, source: str | None = None, reference: str | None = None, psi: float | None = None
) -> list[LatentSampler]:
    """A generator an artifact; of generators of images in styles one for each image, those of one image together.

    Raises ``ValueError`` where there is no artifact, or one does not fit what else is given.
    """
    if not artifacts:
        raise ValueError("no artifact given: name at least one")
    by_artifact = [_generators(artifact, source, reference, psi) for artifact in artifacts]
    return [generator for together in zip(*by_artifact, strict=True) for generator in together]


def _generators(artifact: str, source: str | None, reference: str | None, psi: float | None) -> list[LatentSampler]:
    loaded = load(artifact)
    model, who = frozen(loaded.model), f"{artifact} is a {spec_of(loaded.model).name}"
    numbers = read_as_numbers(model)
    if numbers is None:
        raise ValueError(
            f"{who}, which generates from images alone: it has one image for each, and no seeds; `pocketgan evaluate` measures "
            "them, and the report of its run shows some"
        )
    if psi is not None and not is_mapped(model):
        raise ValueError(
            f"{who}, which has no mapping network: --truncation pulls towards the average style of one, so leave it out"
        )
    if numbers.name == "input":
        _refuse_images(who, source, reference)
        return [LatentSampler(model, psi=psi)]
    size = shape(loaded, None, None)
    style = _reference(who, numbers, reference, size)
    return [LatentSampler(model, image, style) for image in _sources(who, model, source, size)[:, None]]


def _refuse_images(who: str, source: str | None, reference: str | None) -> None:
    for flag, given in (("--source", source), ("--reference", reference)):
        if given is not None:
            raise ValueError(f"{who}, which generates from numbers alone: leave {flag} out")


def _sources(who: str, model: nn.Module, source: str | None, size: Shape) -> Tensor:
    if source is None:
        raise ValueError(f"{who}, which generates an image in many styles: say which with --source IMAGE_OR_FOLDER")
    if image_channels(model) != 3:
        raise ValueError(f"{who}, which reads {image_channels(model)} channels, and images of files have 3")
    return first_images(source, size, most=SOURCES)


def _reference(who: str, numbers: Input, reference: str | None, size: Shape) -> Tensor | None:
    if reference is None:
        return None
    if numbers.reference_channels != 3:
        reads = (
            f"reads styles off images of {numbers.reference_channels} channels"
            if numbers.reference_channels
            else "has no style encoder"
        )
        raise ValueError(f"{who}, which {reads}: leave --reference out; --seeds draws styles")
    return first_images(reference, size, most=1)
