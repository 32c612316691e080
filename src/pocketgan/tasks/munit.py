"""The tasks of images in many styles: MUNIT's teachers, and every student of one."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pocketgan.losses import GanMode, discriminator_loss, generator_loss
from pocketgan.tasks.pix2pix import Pix2PixTask, structure
from pocketgan.training.task import Batch, Phase, Task

STYLE = "style"
"""The child of a generator that reads a style off an image; None where it has none."""


class MunitTask(Task):
    """Two generators, A to B and B to A; what an image shows is apart from how it is generated.

    Huang et al. 2018 (MUNIT), section 4: content and style of every image make it again (eq. 1), the content in a drawn style
    gives both back (eq. 2 and 3), and a discriminator a domain sees the images (eq. 4). A generator holds the content encoder
    of its source and the style encoder and decoder of its target, so that each is ready for use as it is; the four parts of a
    domain lie in both of them. D scores the image that G learnt from, as everywhere in this house.
    """

    def __init__(
        self, generators: tuple[nn.Module, nn.Module], discriminators: tuple[nn.Module, nn.Module], *, gan: GanMode = "lsgan"
    ):
        """A to B first; the first discriminator scores its images."""
        names = ("G_A", "G_B", "D_A", "D_B")
        phases = (Phase("D", names[2:]), Phase("G", names[:2]))
        # Whole, not half, and 10, 1, 1, 1 as published.
        weights = {"d_adv": 2.0, "gan": 1.0, "l1": 10.0, "style": 1.0, "content": 1.0}
        super().__init__(dict(zip(names, (*generators, *discriminators), strict=True)), phases, weights)
        self.gan = gan

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Contents and styles of the real images, and these contents in drawn styles."""
        there, back = self._generators()
        a, b = batch["input"], batch["target"]
        # The drawn style of one image is as good for another one in the other direction.
        drawn = {"A": batch["style"], "B": batch["style"].roll(1, 0)}
        contents = {"A": there.content(a), "B": back.content(b)}
        return {
            "contents": contents,
            "styles": {"A": back.style_of(a), "B": there.style_of(b)},
            "drawn": drawn,
            "fake_B": there.decode(contents["A"], drawn["A"]),
            "fake_A": back.decode(contents["B"], drawn["B"]),
        }

    def losses(self, phase: str, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """``D``: d_adv; ``G``: gan, l1, style, content; each of both directions."""
        a, b = batch["input"], batch["target"]
        scores = (self.networks["D_A"], self.networks["D_B"])
        fakes = (outputs["fake_B"], outputs["fake_A"])
        if phase == "D":
            pairs = [
                (evaluate(real), evaluate(fake.detach())) for evaluate, real, fake in zip(scores, (b, a), fakes, strict=True)
            ]
            return {"d_adv": _sum(discriminator_loss(self.gan, *pair) for pair in pairs)}
        there, back = self._generators()
        contents, styles, drawn = outputs["contents"], outputs["styles"], outputs["drawn"]
        again = {"A": back.content(outputs["fake_B"]), "B": there.content(outputs["fake_A"])}
        read = {"A": there.style_of(outputs["fake_B"]), "B": back.style_of(outputs["fake_A"])}
        same = ((back.decode(contents["A"], styles["A"]), a), (there.decode(contents["B"], styles["B"]), b))
        return {
            "gan": _sum(generator_loss(self.gan, evaluate(fake)) for evaluate, fake in zip(scores, fakes, strict=True)),
            "l1": _sum(F.l1_loss(*pair) for pair in same),
            "style": _sum(F.l1_loss(read[side], drawn[side]) for side in "AB"),
            "content": _sum(F.l1_loss(again[side], contents[side]) for side in "AB"),
        }

    def images(self, batch: Batch) -> dict[str, Tensor]:
        """Source, its image in the drawn style and in that of the target; target."""
        there, _ = self._generators()
        content = there.content(batch["input"])
        return {
            "input": batch["input"],
            "image": there.decode(content, batch["style"]),
            "as_target": there.decode(content, there.style_of(batch["target"])),
            "target": batch["target"],
        }

    def _generators(self) -> tuple[Any, Any]:
        return self.networks["G_A"], self.networks["G_B"]


class MunitStudentTask(Pix2PixTask):
    """The student generates an image in a style as its teacher does; where both read styles off images, these are alike, too.

    GAN Compression's distillation of MUNIT: in turn, styles are drawn, and read off real images of the target domain, each by
    its own network (released code: odd and even steps). The reading is held to the teacher's by L1.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module | None, **options: Any):
        """``task`` is what `Translation` takes; the target is the teacher's image."""
        self._handles: list[RemovableHandle] = []  # first of all: the task closes itself where no features are looked at
        super().__init__(generator, discriminator, **options)
        assert self.teacher is not None, "a student of styles has a teacher"
        self.step = torch.zeros((), dtype=torch.int64)
        # 10 and 1 as published, and D whole.
        self.weights |= {"l1": 10.0, "d_adv": 2.0}
        self._read: list[Tensor] = []
        readers = [getattr(structure(network), STYLE, None) for network in (generator, self.teacher.generator)]
        self.reads = all(reader is not None for reader in readers)
        if self.reads:
            self.weights["style"] = 1.0
            keep = _keeper(self._read)
            self._handles = [reader.register_forward_hook(keep) for reader in readers if reader is not None]

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Student's and teacher's image, every other time in the style of the target."""
        self._read.clear()
        reading = self.reads and bool(self.step % 2)
        outputs = super().forward({**batch, "style": batch["target"]} if reading else batch)
        return outputs | ({"read": tuple(self._read)} if reading else {})

    def losses(self, phase: str, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """Those of `Translation`, and style where styles were read."""
        losses = super().losses(phase, batch, outputs)
        if phase == "G" and "read" in outputs:
            own, teacher_image = outputs["read"]
            losses["style"] = F.l1_loss(own, teacher_image.clone())
        return losses

    def stepped(self, images: int) -> None:
        """Styles are drawn and read in turn."""
        self.step += 1

    def state(self) -> dict[str, Tensor]:
        """Whose turn it is."""
        return {"step": self.step}

    def load_state(self, state: Any) -> None:
        """Take back what `state` gave."""
        self.step = state["step"].cpu()

    def close(self) -> None:
        """Take everything off the teacher."""
        super().close()
        for handle in self._handles:
            handle.remove()


def _keeper(into: list[Tensor]) -> Any:
    """A hook that is no method: a copy of the network would copy the whole task along with it."""

    def keep(reader: nn.Module, inputs: Any, style: Tensor) -> None:
        into.append(style)

    return keep


def _sum(losses: Any) -> Tensor:
    return torch.stack(list(losses)).sum()
