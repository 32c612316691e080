"""The generators that are searched: one, or both of a CycleGAN; each with its budget, its images and its task."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import ModelInputs, examples, select_inputs
from pocketgan.core.shape import Shape
from pocketgan.data.image_source import Role
from pocketgan.data.images import ImageData
from pocketgan.data.loader import eval_batches, train_batches
from pocketgan.evaluation import EvaluationConfig
from pocketgan.evaluation.label_targets import label_targets_of
from pocketgan.export import frozen, torch_runner
from pocketgan.methods import Method, MethodContext
from pocketgan.metrics.cost import CostModel
from pocketgan.metrics.latency import measure_latency
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.full import Networks, fast
from pocketgan.pipeline.load_generator import LoadedGenerator, load, reverse_of
from pocketgan.pipeline.networks import build_cyclegan_search_task, build_student_task
from pocketgan.pretrained.extractors import make_extractor
from pocketgan.pruning.budget import check_floor, parse_budget
from pocketgan.pruning.fit_budget import floor_widths
from pocketgan.search.fitness import HeldOut
from pocketgan.tasks.pix2pix import Pix2PixTask
from pocketgan.training.loop import check_weights
from pocketgan.training.objectives import check_batch
from pocketgan.training.task import Batch, Task

IMPORTANCE_IMAGES, IMPORTANCE_BATCH = 32, 4
SCORED = 8  # held-out images that the teacher generates at a time


@dataclass(frozen=True)
class SearchTarget:
    """One generator that is searched."""

    start: LoadedGenerator
    context: MethodContext
    selected: str
    """The file that the selected network is written to."""


def make_search_targets(
    config: CompressConfig,
    networks: Networks,
    data: ImageData,
    held: ImageData | None,
    method: Method,
    out: Path,
    device: torch.device,
) -> dict[str, SearchTarget]:
    """``{network: side}``: ``G`` alone, or ``G_A`` and ``G_B`` in a two-way search.

    ``data`` is what a search trains on, ``held`` what it is evaluated on. Raises ``ValueError`` for budgets below the floor and
    for a two-way search that cannot be.
    """

    def target(networks: Networks, budget: str, role: Role, file: str) -> SearchTarget:
        start = networks.start.model
        cost = CostModel(start, config.data.shape)
        parsed = parse_budget(budget, CostModel(networks.reference.model, config.data.shape)())
        if parsed.allows(cost()):
            raise ValueError(
                f"budget '{budget}' allows {parsed.limit:,} {parsed.kind}, the network that is cut has {parsed.of(cost()):,}: "
                "give a smaller budget, or a larger full.width"
            )
        check_floor(parsed, cost, floor_widths(start, multiple=config.multiple))
        context = MethodContext(
            parsed,
            cost,
            config.multiple,
            images=partial(_images, data, config.seed, start, role),
            held_out=partial(_held_out, config, networks.teacher, held, role, device, method.needs_segmenter)
            if held is not None
            else None,
            seed=config.seed,
            device=device,
            measure=partial(_milliseconds, config.evaluation, cost.size, device),
            folder=(out / file).parent,
        )
        return SearchTarget(networks.start, context, file)

    exists_on_main = target(networks, config.budget, "input", "pruned.safetensors")
    if not config.two_way:
        return {"G": exists_on_main}
    if not method.needs_search(networks.start.model):
        raise ValueError(f"two_way=true: {config.method} has no search; take a method that learns where to cut, such as dmad")
    if method.is_supernet:
        raise ValueError(f"two_way=true: {config.method} searches one direction; take a run for each, or a method such as dmad")
    reverse = load(reverse_of(Path(config.teacher)))
    back = target(fast(config, reverse), config.budget_back or config.budget, "target", "back/pruned.safetensors")
    return {"G_A": exists_on_main, "G_B": back}


def dry_build(networks: Networks, method: Method, targets: Mapping[str, SearchTarget], data: ImageData) -> None:
    """Set up every task on the uncut network once, so that a name or weight that is wrong is told now, not after a search."""
    config, cpu, teacher = networks.task, torch.device("cpu"), networks.teacher.model
    tasks = [(config.recovery, build_student_task(config, copy.deepcopy(networks.start.model), teacher, data, cpu))]
    if config.pipeline == "full":
        tasks.append((config.full.distill, tasks[0][1]))
    if method.needs_search(networks.start.model):
        models = {name: copy.deepcopy(target.start.model) for name, target in targets.items()}
        tasks.append((config.search, build_search_task(config, models, teacher, data, cpu)))
    for settings, task in tasks:
        task.close()
        check_weights(settings, task)
        if isinstance(task, Pix2PixTask):
            check_batch(task.objective, config.objective_options, settings.batch)


def build_search_task(
    config: CompressConfig, models: Mapping[str, nn.Module], teacher: nn.Module, data: ImageData, device: torch.device
) -> Task:
    """What the first fit plays: the student's task with the search's objective, or CycleGAN with both generators."""
    if len(models) > 1:
        return build_cyclegan_search_task(config, models["G_A"], models["G_B"], device)
    if config.search_objective is not None:
        config = replace(config, objective=config.search_objective)
    return build_student_task(config, models["G"], teacher, data, device)


def _held_out(
    config: CompressConfig, teacher: LoadedGenerator, data: ImageData, role: Role, device: torch.device, reads: bool, count: int
) -> HeldOut:
    """The first ``count`` held-out images, the teacher's images of them, and real targets where they are pairs.

    With ``reads``, what reads images back as label maps.
    """
    images = next(eval_batches(data, batch=count, workers=0)).images
    generator = frozen(teacher.model).to(device)
    sources = _read(images, teacher.model, role)
    with torch.inference_mode():
        parts = [tuple(tensor[k : k + SCORED].to(device) for tensor in sources) for k in range(0, count, SCORED)]
        teacher_image = torch.cat([generator(*part).float().cpu().clamp(-1, 1) for part in parts])
    extractor = make_extractor(config.evaluation.features) if config.evaluation.features is not None else None
    reals = images.get("target" if role == "input" else "input")
    if not reads:
        return HeldOut(sources, teacher_image, reals, extractor)
    label_targets = label_targets_of(data, config.evaluation.table, config.evaluation.table_root)
    return HeldOut(sources, teacher_image, reals, extractor, config.evaluation.reader(device), label_targets)


def _milliseconds(evaluation: EvaluationConfig, shape: Shape, device: torch.device, generator: nn.Module) -> float:
    """Median latency of one image."""
    model = frozen(generator).to(device)
    run = torch_runner(model, examples(model, shape, device=device))
    return measure_latency({"it": run}, repeats=evaluation.repeats, threads=evaluation.threads)["it"].median


def _read(images: Batch, model: nn.Module, role: Role) -> tuple[Tensor, ...]:
    """What the generator reads; of the two of a CycleGAN each has another side for its source."""
    return select_inputs({**images, "input": images[role]}, model)


def _images(data: ImageData, seed: int, model: nn.Module, role: Role) -> Iterable[ModelInputs]:
    count = max(1, min(IMPORTANCE_IMAGES, len(data)) // IMPORTANCE_BATCH)
    stream = train_batches(data, batch=IMPORTANCE_BATCH, seed=seed, workers=0)
    return [_read(next(stream), model, role) for _ in range(count)]
