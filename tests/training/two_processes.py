"""Jobs of each of two processes in the tests of distributed training."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from pocketgan.cli import main
from pocketgan.core.run import Run
from pocketgan.data.config import DataConfig
from pocketgan.evaluation import EvaluationConfig
from pocketgan.methods import MethodContext, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.models import patchgan, resnet, stylegan2
from pocketgan.pipeline import compress as stages
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.load_generator import LoadedGenerator
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.elastic import Elastic
from pocketgan.tasks.cyclegan import CycleGANTask
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.tasks.unconditional import LatentConfig, UnconditionalTask
from pocketgan.training.config import TrainingConfig
from pocketgan.training.distributed import Desynchronized, processes
from pocketgan.training.loop import Trainer, fit
from pocketgan.training.objectives import OBJECTIVES
from pocketgan.training.task import Batch, Learners, Phase, Task
from toy_tasks import CPU, batch, generator, make_discriminator

STEPS, INTERRUPTED = 6, 4
CONFIG = TrainingConfig(steps=STEPS, batch=4, lr=1e-3, log_every=2, checkpoint_every=3, sample_every=0)
WIDTHS = ({}, {"stem": 2, "block0": 0}, {"trunk": 9, "down1": 3})
"""Widths of the views; in the second a block is absent and its weights have no gradient."""


class Views(Task):
    """Task of an elastic network with different widths for the halves of the batch, in one process or in two."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__({"G": Elastic(model)}, (Phase("G", ("G",)),), {"l1": 1.0})
        self.step = 0

    def forward(self, batch: Batch) -> dict[str, object]:
        self.step += 1
        return {}

    def losses(self, phase: str, batch: Batch, outputs: object) -> dict[str, Tensor]:
        world, view = processes(), self.networks["G"]
        halves = (world.rank,) if world.is_distributed else (0, 1)
        parts = zip(halves, batch["input"].chunk(len(halves)), batch["target"].chunk(len(halves)), strict=True)
        losses = []
        for half, source, target in parts:
            view.resize_(WIDTHS[(self.step + half) % len(WIDTHS)])
            losses.append(F.l1_loss(view(source), target))
        return {"l1": torch.stack(losses).mean()}

    def images(self, batch: Batch) -> dict[str, Tensor]:
        return {}


def paired(seed: int) -> tuple[Task, Learners]:
    """Paired task with batch norm in generator and discriminator."""
    model = generator(seed=seed, norm="batch").double()
    return Pix2PixTask(model, patchgan(4, 1, "batch", in_channels=6).build().double()), {}


def unpaired(seed: int) -> tuple[Task, Learners]:
    nets = [generator(seed=seed).double(), generator(seed=seed + 1).double()]
    return CycleGANTask(nets, [make_discriminator(seed=seed).double(), make_discriminator(seed=seed + 1).double()], pool=0), {}


def student(seed: int) -> tuple[Task, Learners]:
    options = {"discriminator": {"squared": False}, "coattention": {"fusion": "conv"}, "wavelet": {"levels": 2}}
    task = Pix2PixTask(
        *(generator(seed=seed).double(), make_discriminator(6).double()),
        teacher=generator(6, seed=7).double(),
        teacher_discriminator=make_discriminator(6, seed=7).double(),
        objective="+".join(OBJECTIVES),
        objective_options=options,
        layers=("down2", "block0"),
        example={"input": batch(0, 1)["input"].double()},
    )
    task.weights["discriminator"] = 1.0
    return task, {}


def masked(seed: int) -> tuple[Task, Learners]:
    model = generator(8, seed=seed)
    cost = CostModel(model, 16)
    context = MethodContext(parse_budget("3x", cost()), cost, 1, lambda: [batch(9)["input"]])
    method = make_method("dmad", {"schedule": 0.7})
    model = method.prepare(model, context)
    learner = method.learner(model, context, STEPS)
    return Pix2PixTask(model.double(), make_discriminator(6).double()), {"G": learner}


def elastic(seed: int) -> tuple[Task, Learners]:
    return Views(generator(seed=seed).double()), {}


class RowsAsLatents(UnconditionalTask):
    """Unconditional task whose latents are a row of each input image."""

    def forward(self, batch: Batch) -> dict[str, object]:
        return super().forward({**batch, "input": batch["input"][:, 0, 0]})


def latents(seed: int) -> tuple[Task, Learners]:
    """Unconditional task without random parts: no mixing, no path lengths, augmentation at p = 0."""
    torch.manual_seed(seed)
    model = stylegan2(16, channel_max=4, latent=16, style=4, mapping=1).build().double()
    task = RowsAsLatents(
        model, make_discriminator(seed=seed).double(), gan="vanilla", settings=LatentConfig(r1=1.0, r1_every=2, augment=0.5)
    )
    assert task.augment is not None
    task.augment.update = lambda signs: None  # p stays 0
    return task, {}


TASKS: Mapping[str, Callable[[int], tuple[Task, Learners]]] = {
    f.__name__: f for f in (paired, unpaired, student, masked, elastic, latents)
}


def local_batch(step: int) -> dict[str, Tensor]:
    """Return this process's slice of a batch of four."""
    world = processes()
    return {role: images.chunk(world.count)[world.rank] for role, images in batch(step, 4).items()}


def train_task(name: str) -> dict[str, Tensor]:
    """Return all weights and moments after a few steps in float64, and the last losses."""
    with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
        task, learners = TASKS[name](processes().rank)  # every process starts with different weights
        for network in task.networks.values():
            network.double()  # including networks added by the task
        state = Trainer(task, CONFIG, CPU, learners=learners)
        for step in range(STEPS):
            losses = state.advance({role: images.double() for role, images in local_batch(step).items()})
        state.check_together(name)
    tensors = {f"{name}/{key}": value for key, value in state.tensors().items() if key.startswith(("network", "optimizer"))}
    for key, value in losses.items():
        tensors[f"{name}/loss/{key}"] = processes().mean_(value.clone())
    return {key: value.detach().double() for key, value in tensors.items()}


def stream(interrupted: bool) -> Callable[[int], Iterator[Batch]]:
    def batches(start: int) -> Iterator[Batch]:
        for step in range(start, STEPS):
            if interrupted and step == INTERRUPTED:
                raise KeyboardInterrupt
            yield local_batch(step)

    return batches


def random_task(kind: str) -> Task:
    """Build a task whose steps draw random numbers: dropout, image pools."""
    torch.manual_seed(3)
    if kind == "paired":
        return Pix2PixTask(resnet(4, blocks=1, dropout=0.5).build(), make_discriminator(6))
    return CycleGANTask((generator(), generator(seed=1)), (make_discriminator(), make_discriminator(seed=1)), pool=3)


def interrupted_and_resumed(folder: Path) -> None:
    """Train both kinds without and with an interruption; ``end-RANK`` in each run holds the weights."""
    for kind in ("paired", "unpaired"):
        for interruptions in (0, 1):
            run = Run(folder / f"{kind}-{interruptions}")
            run.path.mkdir(exist_ok=True)
            task = random_task(kind)
            for interrupted in [True] * interruptions + [False]:
                try:
                    task = random_task(kind)
                    fit(task, stream(interrupted), CONFIG, run, stage="train", device=CPU)
                except KeyboardInterrupt:
                    processes().barrier()  # until the main process has written its checkpoint
            weights = {f"{name}.{k}": v for name, network in task.networks.items() for k, v in network.state_dict().items()}
            save_file(weights, run.path / f"end-{processes().rank}")


def desynchronized() -> str:
    """Return the error message after one process's weights have changed."""
    task = random_task("paired")
    state = Trainer(task, CONFIG, CPU)
    state.advance(local_batch(0))
    if processes().rank:
        next(task.networks["D"].parameters()).data[0] += 1e-6
    try:
        state.check_together("train, step 1")
    except Desynchronized as error:
        return str(error)
    return ""


def compressed(folder: Path) -> None:
    """Run all stages of a compression but the export; ``student-RANK`` holds the network returned to each process."""

    def export(generator: nn.Module, path: Path, *, size: int) -> mock.Mock:
        path.write_bytes(b"onnx")
        return mock.Mock(summary=dict)

    config = CompressConfig(
        teacher="teacher",
        data=DataConfig(path="shapes", size=16, workers=0, limit=4),
        budget="2x",
        method="slimming",
        recovery=replace(CONFIG, steps=2),
        search=replace(CONFIG, steps=2),
        evaluation=EvaluationConfig(runtimes=("torch",), repeats=1, images=1),
        discriminator_options={"ndf": 4, "layers": 1},
        device="cpu",
    )
    with mock.patch.object(stages, "export_onnx", export):
        done = stages.compress(config, folder / "compressed", teacher=LoadedGenerator(generator(8), 16, "a teacher", {}))
    assert done.result["machine"]["processes"] == 2
    save_file(done.student.state_dict(), folder / f"student-{processes().rank}")


def tasks(folder: Path) -> None:
    """Run everything that needs two processes without failures."""
    tensors: dict[str, Tensor] = {}
    for name in TASKS:
        tensors |= train_task(name)
    save_file(tensors, folder / f"tasks-{processes().rank}")
    interrupted_and_resumed(folder)
    compressed(folder)
    (folder / f"desynchronized-{processes().rank}").write_text(desynchronized())


def killed(folder: Path) -> None:
    """Kill the second process in the fourth step."""

    def batches(start: int) -> Iterator[Batch]:
        for step in range(STEPS):
            if step == 3 and processes().rank:
                os.kill(os.getpid(), signal.SIGKILL)
            yield local_batch(step)

    fit(random_task("paired"), batches, CONFIG, Run(folder), stage="train", device=CPU)


def command(folder: Path) -> None:
    """Run the command line in ``folder``/words."""
    sys.exit(main((folder / "words").read_text().splitlines()))


def process(rank: int, port: int, job: str, folder: str) -> None:
    """Run a job in one of two processes, with the environment of torchrun; ``stderr-RANK`` holds its standard error."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    with open(Path(folder) / f"stderr-{rank}", "w") as stderr:
        os.dup2(stderr.fileno(), 2)
        sys.stderr = stderr
        try:
            {"tasks": tasks, "killed": killed, "command": command}[job](Path(folder))
        except Exception:
            traceback.print_exc()
            sys.exit(1)
