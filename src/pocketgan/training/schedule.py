"""Learning rates by step, and the number of steps that fit into a time."""

from __future__ import annotations

from math import cos, pi
from typing import Any

from pocketgan.core.run import Run
from pocketgan.training.config import TrainingConfig
from pocketgan.utils.files import read_json, write_json

UNKNOWN = 10**9
"""Steps of a training whose number is not known yet: no schedule comes to its decay."""
SCHEDULE = "schedule.json"
"""File of a run with the number of steps of each training that was given a time."""


def lr_of(phase: str, config: TrainingConfig) -> float:
    """Return the initial learning rate of a phase."""
    return config.lr_discriminator if phase == "D" and config.lr_discriminator is not None else config.lr


def lr_factor(step: int, config: TrainingConfig) -> float:
    """Return the learning rate of step ``step`` (from 0) relative to ``lr``: above 0 in the last step.

    In the first ``warmup`` steps it is also multiplied with 1 / warmup, 2 / warmup, ..., 1.
    """
    return min(1.0, (step + 1) / config.warmup if config.warmup else 1.0) * _decayed(step, config)


def _decayed(step: int, config: TrainingConfig) -> float:
    done = step / config.steps
    match config.decay:
        case "none":
            return 1.0
        case "halving":
            return 2.0 ** -(step // config.halve_every)
        case "cosine":
            return 0.5 * (1 + cos(pi * done))
        case "linear":
            return 1.0 if done < config.decay_start else (1 - done) / (1 - config.decay_start)


def steps_within(seconds: float, step: float, *, batch: int = 1, inputs: int = 0, each: float = 0.0) -> int:
    """Return how many steps of ``step`` seconds fit into ``seconds``; at least 1.

    The first ``inputs`` inputs, ``batch`` a step, cost ``each`` seconds more: the teacher's, where its outputs are cached.
    """
    first = seconds / (step + batch * each)
    if first * batch > inputs:
        first = (seconds - inputs * each) / step
    return max(1, int(first))


def read_steps(run: Run, stage: str) -> int | None:
    """Return the number of steps that was found for a stage of a run; None where there is none, or no number."""
    found = _read(run).get(stage)
    return found if isinstance(found, int) and 0 < found < UNKNOWN else None


def write_steps(run: Run, stage: str, steps: int) -> None:
    """Keep the number of steps of a stage, so that a resumed training has the same."""
    write_json(run.path / SCHEDULE, _read(run) | {stage: steps})


def _read(run: Run) -> dict[str, Any]:
    try:
        found = read_json(run.path / SCHEDULE)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
