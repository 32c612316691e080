"""The generators that are searched: one, or both of a CycleGAN; each with its budget, its images and its game."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pocketgan.compress.budget import check_floor, parse_budget
from pocketgan.compress.fit_budget import floor_widths
from pocketgan.core.inputs import Given, examples, read_from
from pocketgan.core.shape import Shape
from pocketgan.data.images import ImageData
from pocketgan.data.loader import eval_batches, train_batches
from pocketgan.data.pictures import Role
from pocketgan.evaluate import JudgeConfig
from pocketgan.evaluate.truths import truths_of
from pocketgan.export import frozen, torch_runner
from pocketgan.extractors import make_extractor
from pocketgan.methods import Method, Setting
from pocketgan.metrics.cost import CostModel
from pocketgan.metrics.latency import measure_latency
from pocketgan.pipeline.config import CompressConfig
from pocketgan.pipeline.full import Cast, fast
from pocketgan.pipeline.players import make_task, two_way_game
from pocketgan.pipeline.sources import Source, load, reverse_of
from pocketgan.search.fitness import HeldOut
from pocketgan.train.loop import check_weights
from pocketgan.train.objectives import check_batch
from pocketgan.train.task import Batch, Task
from pocketgan.train.translation import Translation

IMPORTANCE_IMAGES, IMPORTANCE_BATCH = 32, 4
SCORED = 8  # held-out images that the teacher paints at a time


@dataclass(frozen=True)
class Side:
    """One generator that is searched."""

    start: Source
    setting: Setting
    selected: str
    """The file that the selected network is written to."""


def make_sides(
    config: CompressConfig,
    cast: Cast,
    data: ImageData,
    held: ImageData | None,
    method: Method,
    out: Path,
    device: torch.device,
) -> dict[str, Side]:
    """``{player: side}``: ``G`` alone, or ``G_A`` and ``G_B`` in a two-way search.

    ``data`` is what a search trains on, ``held`` what it is judged on. Raises ``ValueError`` for budgets below the floor and
    for a two-way search that cannot be.
    """

    def side(cast: Cast, budget: str, role: Role, file: str) -> Side:
        start = cast.start.model
        cost = CostModel(start, config.data.shape)
        parsed = parse_budget(budget, CostModel(cast.reference.model, config.data.shape)())
        if parsed.allows(cost()):
            raise ValueError(
                f"budget '{budget}' allows {parsed.limit:,} {parsed.kind}, the network that is cut has {parsed.of(cost()):,}: "
                "give a smaller budget, or a larger full.width"
            )
        check_floor(parsed, cost, floor_widths(start, multiple=config.multiple))
        setting = Setting(
            parsed,
            cost,
            config.multiple,
            images=partial(_images, data, config.seed, start, role),
            held_out=partial(_held_out, config, cast.teacher, held, role, device, method.reads) if held is not None else None,
            seed=config.seed,
            device=device,
            measure=partial(_milliseconds, config.judge, cost.size, device),
            folder=(out / file).parent,
        )
        return Side(cast.start, setting, file)

    there = side(cast, config.budget, "source", "selected.safetensors")
    if not config.two_way:
        return {"G": there}
    if not method.fits(cast.start.model):
        raise ValueError(f"two_way=true: {config.method} has no search; take a method that learns where to cut, such as dmad")
    if method.once_for_all:
        raise ValueError(f"two_way=true: {config.method} searches one direction; take a run for each, or a method such as dmad")
    reverse = load(reverse_of(Path(config.teacher)))
    back = side(fast(config, reverse), config.budget_back or config.budget, "target", "back/selected.safetensors")
    return {"G_A": there, "G_B": back}


def rehearse(cast: Cast, method: Method, sides: Mapping[str, Side], data: ImageData) -> None:
    """Set up every game on the uncut network once, so that a name or weight that is wrong is told now, not after a search."""
    config, cpu, teacher = cast.game, torch.device("cpu"), cast.teacher.model
    games = [(config.fit, make_task(config, copy.deepcopy(cast.start.model), teacher, data, cpu))]
    if config.pipeline == "full":
        games.append((config.full.distill, games[0][1]))
    if method.fits(cast.start.model):
        models = {name: copy.deepcopy(side.start.model) for name, side in sides.items()}
        games.append((config.search, search_game(config, models, teacher, data, cpu)))
    for settings, game in games:
        game.close()
        check_weights(settings, game)
        if isinstance(game, Translation):
            check_batch(game.objective, config.objective_options, settings.batch)


def search_game(
    config: CompressConfig, models: Mapping[str, nn.Module], teacher: nn.Module, data: ImageData, device: torch.device
) -> Task:
    """What the first fit plays: the student's game with the search's objective, or CycleGAN with both generators."""
    if len(models) > 1:
        return two_way_game(config, models["G_A"], models["G_B"], device)
    if config.search_objective is not None:
        config = replace(config, objective=config.search_objective)
    return make_task(config, models["G"], teacher, data, device)


def _held_out(
    config: CompressConfig, teacher: Source, data: ImageData, role: Role, device: torch.device, reads: bool, count: int
) -> HeldOut:
    """The first ``count`` held-out images, the teacher's pictures of them, and real targets where they are pairs.

    With ``reads``, what reads pictures back as label maps.
    """
    images = next(eval_batches(data, batch=count, workers=0)).images
    painter = frozen(teacher.model).to(device)
    sources = _read(images, teacher.model, role)
    with torch.inference_mode():
        parts = [tuple(tensor[k : k + SCORED].to(device) for tensor in sources) for k in range(0, count, SCORED)]
        taught = torch.cat([painter(*part).float().cpu().clamp(-1, 1) for part in parts])
    extractor = make_extractor(config.judge.features) if config.judge.features is not None else None
    reals = images.get("target" if role == "source" else "source")
    if not reads:
        return HeldOut(sources, taught, reals, extractor)
    truths = truths_of(data, config.judge.table, config.judge.table_root)
    return HeldOut(sources, taught, reals, extractor, config.judge.reader(device), truths)


def _milliseconds(judge: JudgeConfig, shape: Shape, device: torch.device, generator: nn.Module) -> float:
    """Median latency of one picture."""
    model = frozen(generator).to(device)
    run = torch_runner(model, examples(model, shape, device=device))
    return measure_latency({"it": run}, repeats=judge.repeats, threads=judge.threads)["it"].median


def _read(images: Batch, model: nn.Module, role: Role) -> tuple[Tensor, ...]:
    """What the generator reads; of the two of a CycleGAN each has another side for its source."""
    return read_from({**images, "source": images[role]}, model)


def _images(data: ImageData, seed: int, model: nn.Module, role: Role) -> Iterable[Given]:
    count = max(1, min(IMPORTANCE_IMAGES, len(data)) // IMPORTANCE_BATCH)
    stream = train_batches(data, batch=IMPORTANCE_BATCH, seed=seed, workers=0)
    return [_read(next(stream), model, role) for _ in range(count)]
