"""The one-way game, source to target: pix2pix teachers, and every student against a frozen teacher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.compress.elastic import Elastic
from pocketgan.core.inputs import read_from
from pocketgan.losses import GanMode, Logits, discriminator_loss, generator_loss
from pocketgan.train.critic import Critic
from pocketgan.train.objectives import Scene, check_objectives, make_objectives
from pocketgan.train.taps import Taps
from pocketgan.train.task import Batch, Phase, Task

Truth = Literal["target", "teacher"] | None
"""What a picture shall be like, pixel by pixel: the real target, the teacher's picture, or nothing."""


class Teacher:
    """A frozen generator: its pictures and features, painted under inference mode in evaluation mode."""

    def __init__(self, generator: nn.Module, layers: Iterable[str]):
        self.generator = generator.eval().requires_grad_(False)
        self._taps = Taps(generator, layers)

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The picture and ``{layer: features}``; copied, as autograd may not save tensors born under inference mode."""
        with torch.inference_mode():
            picture = self.generator(*read_from(batch, self.generator))
        return picture.clone(), {name: features.clone() for name, features in self._taps.take().items()}

    def close(self) -> None:
        """Take the taps off: the generator may teach others."""
        self._taps.close()


def structure(generator: nn.Module) -> nn.Module:
    """What runs when the generator does, with its layers by name: an elastic one runs in a shell."""
    return generator.shell if isinstance(generator, Elastic) else generator


class Translation(Task):
    """G paints the target from the source; D (if there is one) tells its pictures from real ones.

    Paired data: L1 to the real target, and D sees the source too (pix2pix, eq. 1-4). Unpaired data: the teacher's picture
    is the target, which makes them paired, and D sees pictures alone (GAN Compression, section 3.1).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None,
        *,
        gan: GanMode = "hinge",
        conditional: bool = True,
        truth: Truth = "target",
        teacher: nn.Module | None = None,
        critic: nn.Module | None = None,
        objective: str = "none",
        objective_options: Mapping[str, Mapping[str, Any]] | None = None,
        layers: tuple[str, ...] = (),
        weights: Mapping[str, float] | None = None,
        example: Batch | None = None,
    ):
        """``layers`` are distilled by the ``objective``; ``example`` (a batch of one image) shows their channel counts.

        ``critic`` is the teacher's discriminator, on the device of ``example``; it is frozen here.
        """
        super().__init__({"G": generator}, (Phase("G", ("G",)),), {"recon": 100.0} if truth is not None else {})
        self.gan, self.conditional, self.truth, self.objective = gan, conditional, truth, objective
        if discriminator is not None:
            self.players["D"] = discriminator
            self.weights |= {"gan": 1.0, "real_fake": 1.0}
            self.phases = (Phase("D", ("D",)), *self.phases)
        self.teacher: Teacher | None = None
        self.critic = Critic(critic) if critic is not None else None
        if teacher is not None:
            self._learn_from(teacher, objective, objective_options or {}, layers, example)
        self.weights.update(weights or {})

    def _learn_from(
        self,
        teacher: nn.Module,
        objective: str,
        options: Mapping[str, Mapping[str, Any]],
        layers: tuple[str, ...],
        example: Batch | None,
    ) -> None:
        assert example is not None
        self.teacher, self._taps = Teacher(teacher, layers), Taps(structure(self.players["G"]), layers)
        with torch.no_grad():
            picture = self._paint(example)
            objectives = make_objectives(objective, options, self._scene(example, picture))
        # Of those that were left out, too: a weight given for one is no misspelling.
        asked = check_objectives(objective, options)
        self.weights.update({name: kind.weight for name, (kind, _) in asked.items()})
        if objectives:
            self.players["objective"] = nn.ModuleDict(objectives).to(picture.device)
            *before, last = self.phases
            self.phases = (*before, Phase("G", (*last.players, "objective")))
        if not any(entry.features for entry in objectives.values()):
            self.close()
            self.teacher = Teacher(teacher, ())

    def _scene(self, batch: Batch, picture: Tensor) -> Scene:
        assert self.teacher is not None
        taught, features = self.teacher(batch)
        return Scene(batch["source"], picture, taught, self._taps.take(), features, self.critic)

    def _paint(self, batch: Batch, generator: nn.Module | None = None) -> Tensor:
        generator = generator if generator is not None else self.players["G"]
        return generator(*read_from(batch, structure(generator)))  # type: ignore[no-any-return]

    def forward(self, batch: Batch) -> dict[str, Any]:
        """The student's picture, and the teacher's where there is one."""
        scene: dict[str, Any] = {"picture": self._paint(batch)}
        if self.teacher is not None and (self.truth == "teacher" or "objective" in self.players):
            scene["shown"] = self._scene(batch, scene["picture"])
        return scene

    def losses(self, phase: str, batch: Batch, scene: dict[str, Any]) -> dict[str, Tensor]:
        """``D``: real; ``G``: gan, recon, and one loss an objective."""
        picture = scene["picture"]
        if phase == "D":
            real, fake = self._judge(batch, batch["target"]), self._judge(batch, picture.detach())
            return {"real_fake": discriminator_loss(self.gan, real, fake)}
        losses: dict[str, Tensor] = {}
        if "D" in self.players:
            losses["gan"] = generator_loss(self.gan, self._judge(batch, picture))
        return losses | self._recon(batch, scene) | self._imitated(scene)

    def _recon(self, batch: Batch, scene: dict[str, Any]) -> dict[str, Tensor]:
        """The distance to the truth."""
        truth = batch["target"] if self.truth == "target" else scene["shown"].taught
        return {"recon": F.l1_loss(scene["picture"], truth)}

    def _imitated(self, scene: dict[str, Any]) -> dict[str, Tensor]:
        """One loss an objective."""
        if "objective" not in self.players:
            return {}
        return {name: entry.loss(scene["shown"]) for name, entry in self.players["objective"].items()}  # type: ignore[operator]

    def _judge(self, batch: Batch, picture: Tensor) -> Logits:
        shown = torch.cat([batch["source"], picture], 1) if self.conditional else picture
        return self.players["D"](shown)  # type: ignore[no-any-return]

    @property
    def latest(self) -> nn.Module:
        """The network that would be kept if the training ended now."""
        return self.players["G"]

    def close(self) -> None:
        """Take the taps off teacher and student."""
        if self.teacher is not None:
            self.teacher.close()
            self._taps.close()

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Source, target, teacher, student."""
        columns = {"source": batch["source"]} if batch["source"].ndim == 4 else {}
        if "target" in batch and self.truth == "target":
            columns["target"] = batch["target"]
        if self.teacher is not None:
            columns["teacher"] = self.teacher(batch)[0]
        columns["student" if self.teacher is not None else "picture"] = self._paint(batch, self.latest)
        return columns
