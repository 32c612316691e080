"""From the artifacts and images that a user names to generators, or to a word on why not."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pocketgan.core.inputs import Input, image_channels
from pocketgan.core.shape import Shape
from pocketgan.core.spec import spec_of
from pocketgan.data.first import first_images
from pocketgan.export import frozen
from pocketgan.pipeline.latent_sampler import LatentSampler, is_mapped, read_as_numbers
from pocketgan.pipeline.load_generator import load
from pocketgan.pipeline.measure import shape

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
