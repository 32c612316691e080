"""Images in many styles: MUNIT's teachers, and every student of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.losses.adversarial import GanMode, discriminator_loss, generator_loss
from pocketgan.tasks.base import TASKS, Defaults, GeneratorTask, StudentParts, TaskDefinition, TeacherParts, module_of
from pocketgan.training.config import MUNIT
from pocketgan.training.features import Taps
from pocketgan.training.task import Batch, Phase, Task

STYLE_ENCODER = "style"
"""Name of a generator's style encoder; a generator without one has None there."""


class MunitTask(Task):
    """Two generators, A to B and B to A; the content of an image is separate from its style.

    Huang et al. 2018 (MUNIT), section 4: content and style of every image reconstruct it (eq. 1), the content in a random style
    gives both back (eq. 2 and 3), and one discriminator a domain scores the images (eq. 4). A generator holds the content
    encoder of its input domain and the style encoder and decoder of its target domain, so that each is ready for use as it is;
    the four parts of a domain lie in both of them. D scores the image that G learned from, as everywhere in pocketgan.
    """

    def __init__(
        self, generators: tuple[nn.Module, nn.Module], discriminators: tuple[nn.Module, nn.Module], *, gan: GanMode = "lsgan"
    ):
        """A to B first; the first discriminator scores images of domain B."""
        names = ("G_A", "G_B", "D_A", "D_B")
        phases = (Phase("D", names[2:]), Phase("G", names[:2]))
        # As published; D's losses on real and generated images are added without a half.
        weights = {"d_adv": 1.0, "gan": 1.0, "l1": 10.0, "style": 1.0, "content": 1.0}
        super().__init__(dict(zip(names, (*generators, *discriminators), strict=True)), phases, weights)
        self.gan = gan

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Contents and styles of the real images, and these contents in random styles."""
        a_to_b, b_to_a = self._generators()
        a, b = batch["input"], batch["target"]
        # The random style of one image serves another one in the other direction.
        random = {"A": batch["style"], "B": batch["style"].roll(1, 0)}
        contents = {"A": a_to_b.content(a), "B": b_to_a.content(b)}
        return {
            "contents": contents,
            "styles": {"A": b_to_a.style_of(a), "B": a_to_b.style_of(b)},
            "random": random,
            "fake_B": a_to_b.decode(contents["A"], random["A"]),
            "fake_A": b_to_a.decode(contents["B"], random["B"]),
        }

    def losses(self, phase: str, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """``D``: d_adv; ``G``: gan, l1, style, content; each the sum of both directions."""
        a, b = batch["input"], batch["target"]
        discriminators = (self.networks["D_A"], self.networks["D_B"])
        fakes = (outputs["fake_B"], outputs["fake_A"])
        if phase == "D":
            triples = zip(discriminators, (b, a), fakes, strict=True)
            logits = [(discriminator(real), discriminator(fake.detach())) for discriminator, real, fake in triples]
            return {"d_adv": _sum(discriminator_loss(self.gan, *pair) for pair in logits)}
        a_to_b, b_to_a = self._generators()
        contents, styles, random = outputs["contents"], outputs["styles"], outputs["random"]
        contents_again = {"A": b_to_a.content(outputs["fake_B"]), "B": a_to_b.content(outputs["fake_A"])}
        styles_again = {"A": a_to_b.style_of(outputs["fake_B"]), "B": b_to_a.style_of(outputs["fake_A"])}
        same = ((b_to_a.decode(contents["A"], styles["A"]), a), (a_to_b.decode(contents["B"], styles["B"]), b))
        scored = zip(discriminators, fakes, strict=True)
        return {
            "gan": _sum(generator_loss(self.gan, discriminator(fake)) for discriminator, fake in scored),
            "l1": _sum(F.l1_loss(*pair) for pair in same),
            "style": _sum(F.l1_loss(styles_again[side], random[side]) for side in "AB"),
            "content": _sum(F.l1_loss(contents_again[side], contents[side]) for side in "AB"),
        }

    def images(self, batch: Batch) -> dict[str, Tensor]:
        a_to_b, _ = self._generators()
        content = a_to_b.content(batch["input"])
        return {
            "input": batch["input"],
            "image": a_to_b.decode(content, batch["style"]),
            "as_target": a_to_b.decode(content, a_to_b.style_of(batch["target"])),
            "target": batch["target"],
        }

    def _generators(self) -> tuple[Any, Any]:
        return self.networks["G_A"], self.networks["G_B"]


class MunitStudentTask(GeneratorTask):
    """Training of a student whose image in a style is its teacher's; where both have style encoders, their styles agree too.

    GAN Compression's distillation of MUNIT: styles are random in even steps, and encoded from real images of the target domain
    in odd ones, by each network's own encoder (released code). The student's style is compared with the teacher's by L1.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module | None, *, teacher: nn.Module, **options: Any):
        """``options`` are those of `GeneratorTask`; the target is the teacher's image."""
        networks = (module_of(generator), teacher)
        self.encodes_styles = all(getattr(network, STYLE_ENCODER, None) is not None for network in networks)
        # 10 and 1 as published, and D's losses without a half.
        losses = {"l1": 10.0, "d_adv": 1.0, **({"style": 1.0} if self.encodes_styles else {})}
        super().__init__(generator, discriminator, losses=losses, teacher=teacher, **options)
        self.step = torch.zeros((), dtype=torch.int64)
        self._style_taps = [Taps(network, [STYLE_ENCODER]) for network in networks] if self.encodes_styles else []

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Images of student and teacher, and in every other step ``styles``, those that both encoded from the target."""
        encoding = self.encodes_styles and bool(self.step % 2)
        outputs = super().forward({**batch, "style": batch["target"]} if encoding else batch)
        return outputs | ({"styles": [taps.take()[STYLE_ENCODER] for taps in self._style_taps]} if encoding else {})

    def reconstruction(self, batch: Batch, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """L1 to the teacher's image, and of the styles where they were encoded."""
        losses = super().reconstruction(batch, outputs)
        if "styles" in outputs:
            student_style, teacher_style = outputs["styles"]
            losses["style"] = F.l1_loss(student_style, teacher_style.clone())
        return losses

    def stepped(self, images: int) -> None:
        super().stepped(images)
        self.step += 1

    def state(self) -> dict[str, Tensor]:
        return {"step": self.step, **super().state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        super().load_state(state)
        self.step = state["step"].cpu()

    def close(self) -> None:
        super().close()
        for taps in self._style_taps:
            taps.close()


def _sum(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).sum()


class Multimodal(TaskDefinition):
    """MUNIT: both directions; a student imitates one."""

    name = "multimodal"
    defaults = Defaults("munit", "ms-image", "lsgan", MUNIT)

    def teacher(self, parts: TeacherParts) -> Task:
        generators = (parts.generator(), parts.generator(reverse=True))
        if getattr(generators[0], STYLE_ENCODER, None) is None:
            raise ValueError("task=multimodal: the generator has no style encoder; take arch_options.style_encoder=true")
        discriminators = tuple(parts.discriminator(self.discriminator_channels(generator)) for generator in generators)
        return MunitTask(generators, (discriminators[0], discriminators[1]), gan=parts.gan)

    def student(self, parts: StudentParts) -> Task:
        return MunitStudentTask(parts.generator, parts.discriminator, **parts.common)


TASKS.register("multimodal")(Multimodal())
