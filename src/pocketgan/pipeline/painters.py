"""From the artifacts and pictures that a user names to painters, or to a word on why not."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pocketgan.core.inputs import Input, image_channels
from pocketgan.core.shape import Shape
from pocketgan.core.spec import spec_of
from pocketgan.data.first import first_pictures
from pocketgan.export import frozen
from pocketgan.pipeline.measure import shape
from pocketgan.pipeline.painter import Painter, is_mapped, read_as_numbers
from pocketgan.pipeline.sources import load

SOURCES = 4
"""How many pictures of a folder are painted in styles."""


def painters_of(
    artifacts: Sequence[str], *, source: str | None = None, reference: str | None = None, psi: float | None = None
) -> list[Painter]:
    """A painter an artifact; of generators of images in styles one for each picture, those of one picture together.

    Raises ``ValueError`` where there is no artifact, or one does not fit what else is given.
    """
    if not artifacts:
        raise ValueError("no artifact given: name at least one")
    by_artifact = [_painters(artifact, source, reference, psi) for artifact in artifacts]
    return [painter for together in zip(*by_artifact, strict=True) for painter in together]


def _painters(artifact: str, source: str | None, reference: str | None, psi: float | None) -> list[Painter]:
    loaded = load(artifact)
    model, who = frozen(loaded.model), f"{artifact} is a {spec_of(loaded.model).name}"
    numbers = read_as_numbers(model)
    if numbers is None:
        raise ValueError(
            f"{who}, which paints from images alone: it has one picture for each, and no seeds; `pocketgan evaluate` measures "
            "them, and the report of its run shows some"
        )
    if psi is not None and not is_mapped(model):
        raise ValueError(
            f"{who}, which has no mapping network: --truncation pulls towards the average style of one, so leave it out"
        )
    if numbers.name == "source":
        _refuse_pictures(who, source, reference)
        return [Painter(model, psi=psi)]
    size = shape(loaded, None, None)
    style = _reference(who, numbers, reference, size)
    return [Painter(model, picture, style) for picture in _sources(who, model, source, size)[:, None]]


def _refuse_pictures(who: str, source: str | None, reference: str | None) -> None:
    for flag, given in (("--source", source), ("--reference", reference)):
        if given is not None:
            raise ValueError(f"{who}, which paints from numbers alone: leave {flag} out")


def _sources(who: str, model: nn.Module, source: str | None, size: Shape) -> Tensor:
    if source is None:
        raise ValueError(f"{who}, which paints a picture in many styles: say which with --source IMAGE_OR_FOLDER")
    if image_channels(model) != 3:
        raise ValueError(f"{who}, which reads {image_channels(model)} channels, and pictures of files have 3")
    return first_pictures(source, size, most=SOURCES)


def _reference(who: str, numbers: Input, reference: str | None, size: Shape) -> Tensor | None:
    if reference is None:
        return None
    if numbers.picture != 3:
        reads = f"reads styles off pictures of {numbers.picture} channels" if numbers.picture else "has no style encoder"
        raise ValueError(f"{who}, which {reads}: leave --reference out; --seeds draws styles")
    return first_pictures(reference, size, most=1)
