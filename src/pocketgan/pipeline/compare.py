"""Comparison of methods, objectives, budgets and seeds on one teacher and one data set: resumable, one table, one page."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from pocketgan.core.config import override
from pocketgan.core.run import Run
from pocketgan.pipeline.compress import compress
from pocketgan.pipeline.config import CompressConfig, Recovery
from pocketgan.pipeline.load_generator import LoadedGenerator, load
from pocketgan.pipeline.stages import CACHE
from pocketgan.report import write_report
from pocketgan.training.distributed import processes
from pocketgan.utils.progress import Reporter


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Runs of a comparison: every combination of the given settings."""

    base: CompressConfig
    """Settings that the runs share."""
    methods: tuple[str, ...]
    budgets: tuple[str, ...]
    objectives: tuple[str, ...] = ()
    """Empty for the base's own."""
    weights: tuple[Recovery, ...] = ()
    """``inherit`` and / or ``fresh``; empty for the base's own."""
    variants: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """``{name: overrides}`` of any other fields: ``{"linear": ("method_options.mask=linear",)}``; empty for the base alone."""
    seeds: int = 1
    """Number of seeds, from the base's on."""


def plan(config: CompareConfig) -> dict[str, CompressConfig]:
    """``{run name: configuration}``; seeds vary slowest, so that a first whole comparison is there early.

    Raises ``ValueError`` for a variant of an unknown field.
    """
    base, runs = config.base, {}
    objectives, weights = config.objectives or (base.objective,), config.weights or (base.weights,)
    variants = config.variants or {base.variant: ()}
    for seed in range(base.seed, base.seed + config.seeds):
        for method, budget, objective, start, variant in product(config.methods, config.budgets, objectives, weights, variants):
            parts = [method, budget]
            parts += [objective] if len(objectives) > 1 else []
            parts += [start] if len(weights) > 1 else []
            parts += [variant.replace(" ", "-")] if variant else []
            settings = replace(
                base, method=method, budget=budget, objective=objective, weights=start, variant=variant, seed=seed
            )
            runs["-".join([*parts, f"s{seed}"])] = override(settings, variants[variant])
    return runs


def varied(text: str) -> dict[str, tuple[str, ...]]:
    """``{name: overrides}`` for every combination of ``FIELD=a,b;OTHER=c,d``; a name is the values that it stands for.

    Raises ``ValueError`` for a part that is not of that form.
    """
    choices = []
    for part in filter(None, _split(text, ";")):
        field_, equals, values = part.partition("=")
        if not (field_.strip() and equals and values):
            raise ValueError(f"'{part}' names no values to vary: write FIELD=a,b, several of them separated by ;")
        choices.append([(field_.strip(), value) for value in _split(values, ",")])
    return {
        " ".join(f"{field_.rpartition('.')[2]} {value}" for field_, value in chosen): tuple(f"{f}={v}" for f, v in chosen)
        for chosen in product(*choices)
        if chosen
    }


def _split(text: str, separator: str) -> list[str]:
    """The pieces between separators that stand outside brackets: values may be lists and objects."""
    pieces, depth = [""], 0
    for sign in text:
        depth += (sign in "[{") - (sign in "]}")
        if sign == separator and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += sign
    return pieces


def compare(
    config: CompareConfig,
    out: Path,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    teacher: LoadedGenerator | None = None,
) -> tuple[list[Path], list[str]]:
    """Run all that is not yet done; returns the finished run directories, and the errors of the others.

    ``report.html`` is written anew after every run. A run that fails for a reason of its own (a budget below its method's
    floor, a loss that diverges) is reported at the end and does not stop the others. ``teacher`` replaces loading it.
    """
    if processes().is_distributed:
        raise ValueError("a comparison runs in one process: a run of it that fails in some would leave the others waiting")
    runs = plan(config)
    teacher = teacher or load(config.base.teacher, config.base.foreign, config.base.data.shape)
    # What the runs share may not change; methods, budgets, objectives and seeds may be added.
    done: list[Path] = []
    failures: list[str] = []
    with Run.open(out, config.base, resume=resume, reporter=reporter) as overall:
        for index, (name, settings) in enumerate(runs.items(), 1):
            overall.reporter.say(f"[{index}/{len(runs)}] {name}")
            path = out / name
            try:
                compress(
                    settings,
                    path,
                    resume=(path / "config.json").exists(),
                    reporter=reporter,
                    teacher=teacher,
                    cache=out / CACHE,
                )
            except ValueError as error:
                failures.append(f"{name}: {error}")
                overall.reporter.say(failures[-1])
                continue
            done.append(path)
            write_report(done, out / "report.html")
        shutil.rmtree(out / CACHE, ignore_errors=True)
    return done, failures
