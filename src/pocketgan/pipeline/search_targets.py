"""Generators that are pruned: one, or both of a CycleGAN; each with its budget, costs and images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import ModelInputs, examples, select_inputs
from pocketgan.data.config import Role
from pocketgan.data.images import ImageData
from pocketgan.data.loader import eval_batches, train_batches
from pocketgan.deploy import frozen, torch_runner
from pocketgan.evaluation.label_targets import label_targets_of
from pocketgan.methods import Method, MethodContext
from pocketgan.metrics.cost import CostModel
from pocketgan.metrics.latency import measure_latency
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.load_generator import load, reverse_of
from pocketgan.pipeline.networks import Networks, fast_networks
from pocketgan.pipeline.plan import SearchTarget, Splits
from pocketgan.pretrained.extractors import make_extractor
from pocketgan.pruning.allocation import floor_widths
from pocketgan.pruning.budget import check_floor, parse_budget
from pocketgan.search.fitness import HoldoutImages
from pocketgan.training.task import Batch

IMPORTANCE_IMAGES, IMPORTANCE_BATCH = 32, 4
HOLDOUT_BATCH = 8  # held-out images of which the teacher's are generated at a time


def make_search_targets(
    config: CompressConfig, networks: Networks, splits: Splits, method: Method, out: Path, device: torch.device
) -> dict[str, SearchTarget]:
    """``{network: target}``: ``G`` alone, or ``G_A`` and ``G_B`` in a two-way search.

    Raises ``ValueError`` for budgets that cut nothing or lie below the floor, and for a two-way search that cannot be.
    """
    evaluation = config.evaluation

    def hold_out(teacher: nn.Module, data: ImageData, role: Role, count: int) -> HoldoutImages:
        """First ``count`` held-out images, the teacher's images of them, real targets of pairs, and a segmenter if needed."""
        images = next(eval_batches(data, batch=count, workers=0)).images
        generator, inputs = frozen(teacher).to(device), _inputs(images, teacher, role)
        parts = zip(*(torch.split(tensor.to(device), HOLDOUT_BATCH) for tensor in inputs), strict=True)
        with torch.inference_mode():
            teacher_images = torch.cat([generator(*part).float().cpu().clamp(-1, 1) for part in parts])
        extractor = make_extractor(evaluation.features) if evaluation.features is not None else None
        found = HoldoutImages(inputs, teacher_images, images.get("target" if role == "input" else "input"), extractor)
        if not method.needs_segmenter:
            return found
        targets = label_targets_of(data, evaluation.table, evaluation.table_root)
        return replace(found, segmenter=evaluation.open_segmenter(device), target=targets.load)

    def milliseconds(generator: nn.Module) -> float:
        model = frozen(generator).to(device)
        run = torch_runner(model, examples(model, config.data.shape, device=device))
        return measure_latency({"it": run}, repeats=evaluation.repeats, threads=evaluation.threads)["it"].median

    def target(networks: Networks, budget: str, role: Role, file: str) -> SearchTarget:
        initial = networks.initial.model
        cost = CostModel(initial, config.data.shape)
        original = cost if initial is networks.original.model else CostModel(networks.original.model, config.data.shape)
        parsed = parse_budget(budget, original())
        if parsed.allows(cost()):
            raise ValueError(
                f"budget '{budget}' allows {parsed.limit:,} {parsed.kind}, the network that is cut has {parsed.of(cost()):,}: "
                "give a smaller budget, or a larger full.width"
            )
        check_floor(parsed, cost, floor_widths(initial, multiple=config.multiple))
        context = MethodContext(
            parsed,
            cost,
            config.multiple,
            images=partial(_calibration_images, splits.search, config.seed, initial, role),
            holdout=partial(hold_out, networks.teacher.model, splits.holdout, role) if splits.holdout is not None else None,
            seed=config.seed,
            device=device,
            measure=milliseconds,
            run_dir=(out / file).parent,
        )
        return SearchTarget(networks.initial, context, file)

    forward = target(networks, config.budget, "input", "pruned.safetensors")
    if not config.two_way:
        return {"G": forward}
    if not method.needs_search(networks.initial.model):
        raise ValueError(f"two_way=true: {config.method} has no search; take a method that learns what to prune, such as dmad")
    if method.is_supernet:
        raise ValueError(f"two_way=true: {config.method} searches one direction; take a run for each, or a method such as dmad")
    reverse = fast_networks(load(reverse_of(Path(config.teacher))), config.start, config.full.ngf, config.seed)
    back = target(reverse, config.budget_back or config.budget, "target", "back/pruned.safetensors")
    return {"G_A": forward, "G_B": back}


def _inputs(images: Batch, model: nn.Module, role: Role) -> tuple[Tensor, ...]:
    """Inputs of a generator; the two of a CycleGAN read opposite sides."""
    return select_inputs({**images, "input": images[role]}, model)


def _calibration_images(
    data: ImageData, seed: int, model: nn.Module, role: Role, count: int = IMPORTANCE_IMAGES
) -> Iterable[ModelInputs]:
    count = max(1, min(count, len(data)) // IMPORTANCE_BATCH)
    stream = train_batches(data, batch=IMPORTANCE_BATCH, seed=seed, workers=0)
    return [_inputs(next(stream), model, role) for _ in range(count)]
