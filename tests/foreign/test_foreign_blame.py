"""Messages of `check_laws` for networks that break a law on purpose, and for images of other formats."""

import pytest
import torch
import torch.nn.functional as F
from foreign_zoo import SHAPE, STYLES, build
from torch import Tensor, nn

from pocketgan.core.dims import widths_of
from pocketgan.core.spec import spec_of
from pocketgan.foreign.factory import register_factory
from pocketgan.foreign.laws import NAMED, CheckFailed
from pocketgan.foreign.spec import PixelFormat
from pocketgan.foreign.wrap import wrap_foreign
from zoo import randomize_


class Together(nn.Module):
    """Two layers of which either may be narrower, but not both: the forward reacts to both being narrower."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 7, 3, padding=1)
        self.c, self.out = nn.Conv2d(15, 5, 3, padding=1), nn.Conv2d(5, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a(x), self.b(x)
        if a.shape[1] < 8 and b.shape[1] < 7:
            a = a * 2
        return self.out(F.relu(self.c(torch.cat([a, b], 1))))


class ManyHard(nn.Module):
    """Eight layers whose widths are written into forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 if k == 0 else 4 + k - 1, 4 + k, 3, padding=1) for k in range(8))
        self.mid, self.out = nn.Conv2d(11, 5, 1), nn.Conv2d(5, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        for k, layer in enumerate(self.layers):
            x = F.relu(layer(x)).view(-1, 4 + k, *x.shape[2:])
        return self.out(F.relu(self.mid(x)))


def wrap(kind: type[nn.Module], **options: object) -> nn.Module:
    register_factory(kind.__name__, kind)
    return wrap_foreign(randomize_(kind()), factory=kind.__name__, shape=SHAPE, **options)  # type: ignore[arg-type]


def test_groups_that_break_a_law_only_together_are_found() -> None:
    """Keeping either of the two is enough."""
    with pytest.raises(CheckFailed, match=r"law 'gates' does not hold .* a, c: with others: images differ by .* --keep a, or"):
        wrap(Together)
    assert set(widths_of(wrap(Together, keep=("a",)))) == {"b", "c"}


def test_every_layer_to_keep_is_listed_though_only_some_are_explained() -> None:
    with pytest.raises(CheckFailed) as caught:
        wrap(ManyHard)
    message = str(caught.value)
    assert f"and {8 - NAMED} more" in message
    assert " ".join(f"--keep layers.{k}" for k in range(8)) in message
    assert set(caught.value.groups) == {f"layers_{k}" for k in range(8)}
    assert widths_of(wrap(ManyHard, keep=[f"layers.{k}" for k in range(8)])) == {"mid": 5}


def test_names_in_messages_are_the_authors_for_images_of_another_format() -> None:
    """The adapter adds a prefix that the author does not know."""
    style, images = STYLES["a width written into a slice"], PixelFormat(range=(0.0, 255.0), bgr=True)
    with pytest.raises(CheckFailed, match=r"\. stem, a, b: .* with --keep stem, or"):
        wrap_foreign(build(style), factory=style.title, shape=SHAPE, images=images)
    model = wrap_foreign(build(style), factory=style.title, shape=SHAPE, images=images, keep=["stem"])
    assert list(spec_of(model).kept) == ["stem"]  # type: ignore[attr-defined]
    assert set(widths_of(model)) == {"a", "b", "mid"}


def test_a_name_to_keep_that_no_layer_has_lists_the_generators_own() -> None:
    style = STYLES["pixel norm"]
    with pytest.raises(ValueError, match=r"conv9.*conv1") as caught:
        wrap_foreign(build(style), factory=style.title, shape=SHAPE, images=PixelFormat(range=(0.0, 1.0)), keep=["conv9"])
    assert "net." not in str(caught.value)
