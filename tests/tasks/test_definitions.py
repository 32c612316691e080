"""Every task is registered once; its definition agrees with the networks that it names."""

from typing import get_args

import pytest
import torch

from pocketgan.core.inputs import latent_inputs
from pocketgan.core.spec import MODELS
from pocketgan.core.tasks import TRAITS, TaskName
from pocketgan.models import patchgan, resnet
from pocketgan.tasks import TASKS
from pocketgan.tasks.base import LatentConfig, StudentParts

SMALL = {
    "resnet": {"ngf": 4, "blocks": 1},
    "spade": {"ngf": 4, "in_channels": 3},
    "sagan": {"ngf": 4, "size": 32},
    "stylegan2": {"size": 16, "channel_max": 8, "latent": 4, "style": 4, "mapping": 1},
    "munit": {"ngf": 4, "mlp": 4},
}


def test_every_name_has_traits_and_a_definition_of_that_name() -> None:
    assert set(TASKS) == set(TRAITS) == set(get_args(TaskName))
    assert all(definition.name == name for name, definition in TASKS.items())


@pytest.mark.parametrize("name", TASKS)
def test_the_published_networks_read_what_the_task_has(name: TaskName) -> None:
    definition = TASKS[name]
    for defaults in (definition.defaults, *definition.architectures.values()):
        assert defaults.discriminator in MODELS
        generator = MODELS[defaults.arch](**SMALL[defaults.arch]).build(device="meta")
        latents = latent_inputs(generator)
        assert ("input" in latents) == definition.traits.reads_latents
        assert ("style" in latents) == definition.traits.has_styles


def test_a_student_without_real_targets_has_no_discriminator_and_learns_from_its_teacher_alone() -> None:
    student, teacher = resnet(2, blocks=1).build(), resnet(4, blocks=1).build()
    batch = {"input": torch.rand(2, 3, 16, 16) * 2 - 1}
    common = {"teacher": teacher, "l1_target": "teacher", "conditional": False, "objective": "output", "example": batch}
    parts = StudentParts(
        generator=student, discriminator=None, latents=LatentConfig(), perceptual=dict, labels=None, common=common
    )
    task = TASKS["inputs"].student(parts)
    assert [phase.name for phase in task.phases] == ["G"]
    losses = task.losses("G", batch, task.forward(batch))
    distance = (student(batch["input"]) - teacher(batch["input"])).abs().mean()
    assert {name: loss.item() for name, loss in losses.items()} == {
        "l1": pytest.approx(distance.item(), rel=1e-5),
        "output": pytest.approx(distance.item(), rel=1e-5),
    }


@pytest.mark.parametrize("name", TASKS)
def test_a_discriminator_reads_the_input_only_of_pairs(name: TaskName) -> None:
    generator = resnet(ngf=2, blocks=1, in_channels=5, out_channels=4).build(device="meta")
    channels = TASKS[name].discriminator_channels(generator)
    assert channels == (4 + 5 if name in ("paired", "labels") else 4)
    assert patchgan(4, 1, in_channels=channels).in_channels == channels
