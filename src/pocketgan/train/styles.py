"""The games of pictures in many styles: MUNIT's teachers, and every student of one."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pocketgan.losses import GanMode, discriminator_loss, generator_loss
from pocketgan.train.task import Batch, Phase, Task
from pocketgan.train.translation import Translation, structure

STYLE = "style"
"""The child of a generator that reads a style off a picture; None where it has none."""


class Styles(Task):
    """Two generators, A to B and B to A; what a picture shows is apart from how it is painted.

    Huang et al. 2018 (MUNIT), section 4: content and style of every picture make it again (eq. 1), the content in a drawn style
    gives both back (eq. 2 and 3), and a discriminator a domain sees the pictures (eq. 4). A generator holds the content encoder
    of its source and the style encoder and decoder of its target, so that each is ready for use as it is; the four parts of a
    domain lie in both of them. D judges the picture that G learnt from, as everywhere in this house.
    """

    def __init__(
        self, generators: tuple[nn.Module, nn.Module], discriminators: tuple[nn.Module, nn.Module], *, gan: GanMode = "lsgan"
    ):
        """A to B first; the first discriminator judges its pictures."""
        names = ("G_A", "G_B", "D_A", "D_B")
        phases = (Phase("D", names[2:]), Phase("G", names[:2]))
        # Whole, not half, and 10, 1, 1, 1 as published.
        weights = {"real_fake": 2.0, "gan": 1.0, "recon": 10.0, "style": 1.0, "content": 1.0}
        super().__init__(dict(zip(names, (*generators, *discriminators), strict=True)), phases, weights)
        self.gan = gan

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Contents and styles of the real pictures, and these contents in drawn styles."""
        there, back = self._generators()
        a, b = batch["source"], batch["target"]
        # The drawn style of one picture is as good for another one in the other direction.
        drawn = {"A": batch["style"], "B": batch["style"].roll(1, 0)}
        contents = {"A": there.content(a), "B": back.content(b)}
        return {
            "contents": contents,
            "styles": {"A": back.style_of(a), "B": there.style_of(b)},
            "drawn": drawn,
            "fake_B": there.decode(contents["A"], drawn["A"]),
            "fake_A": back.decode(contents["B"], drawn["B"]),
        }

    def losses(self, phase: str, batch: Batch, scene: dict[str, Any]) -> dict[str, Tensor]:
        """``D``: real_fake; ``G``: gan, recon, style, content; each of both directions."""
        a, b = batch["source"], batch["target"]
        judges = (self.players["D_A"], self.players["D_B"])
        fakes = (scene["fake_B"], scene["fake_A"])
        if phase == "D":
            pairs = [(judge(real), judge(fake.detach())) for judge, real, fake in zip(judges, (b, a), fakes, strict=True)]
            return {"real_fake": _sum(discriminator_loss(self.gan, *pair) for pair in pairs)}
        there, back = self._generators()
        contents, styles, drawn = scene["contents"], scene["styles"], scene["drawn"]
        again = {"A": back.content(scene["fake_B"]), "B": there.content(scene["fake_A"])}
        read = {"A": there.style_of(scene["fake_B"]), "B": back.style_of(scene["fake_A"])}
        same = ((back.decode(contents["A"], styles["A"]), a), (there.decode(contents["B"], styles["B"]), b))
        return {
            "gan": _sum(generator_loss(self.gan, judge(fake)) for judge, fake in zip(judges, fakes, strict=True)),
            "recon": _sum(F.l1_loss(*pair) for pair in same),
            "style": _sum(F.l1_loss(read[side], drawn[side]) for side in "AB"),
            "content": _sum(F.l1_loss(again[side], contents[side]) for side in "AB"),
        }

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Source, its picture in the drawn style and in that of the target; target."""
        there, _ = self._generators()
        content = there.content(batch["source"])
        return {
            "source": batch["source"],
            "picture": there.decode(content, batch["style"]),
            "as_target": there.decode(content, there.style_of(batch["target"])),
            "target": batch["target"],
        }

    def _generators(self) -> tuple[Any, Any]:
        return self.players["G_A"], self.players["G_B"]


class Styled(Translation):
    """The student paints a picture in a style as its teacher does; where both read styles off pictures, these are alike, too.

    GAN Compression's distillation of MUNIT: in turn, styles are drawn, and read off real pictures of the target domain, each by
    its own network (released code: odd and even steps). The reading is held to the teacher's by L1.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module | None, **game: Any):
        """``game`` is what `Translation` takes; the truth is the teacher's picture."""
        self._handles: list[RemovableHandle] = []  # first of all: the game closes itself where no features are looked at
        super().__init__(generator, discriminator, **game)
        assert self.teacher is not None, "a student of styles has a teacher"
        self.step = torch.zeros((), dtype=torch.int64)
        # 10 and 1 as published, and D whole.
        self.weights |= {"recon": 10.0, "real_fake": 2.0}
        self._read: list[Tensor] = []
        readers = [getattr(structure(network), STYLE, None) for network in (generator, self.teacher.generator)]
        self.reads = all(reader is not None for reader in readers)
        if self.reads:
            self.weights["style"] = 1.0
            keep = _keeper(self._read)
            self._handles = [reader.register_forward_hook(keep) for reader in readers if reader is not None]

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Student's and teacher's picture, every other time in the style of the target."""
        self._read.clear()
        reading = self.reads and bool(self.step % 2)
        scene = super().forward({**batch, "style": batch["target"]} if reading else batch)
        return scene | ({"read": tuple(self._read)} if reading else {})

    def losses(self, phase: str, batch: Batch, scene: dict[str, Any]) -> dict[str, Tensor]:
        """Those of `Translation`, and style where styles were read."""
        losses = super().losses(phase, batch, scene)
        if phase == "G" and "read" in scene:
            own, taught = scene["read"]
            losses["style"] = F.l1_loss(own, taught.clone())
        return losses

    def stepped(self, pictures: int) -> None:
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
    """A hook that is no method: a copy of the network would copy the whole game along with it."""

    def keep(reader: nn.Module, inputs: Any, style: Tensor) -> None:
        into.append(style)

    return keep


def _sum(losses: Any) -> Tensor:
    return torch.stack(list(losses)).sum()
