"""Stages of a compression: their order and files, and the first stage that depends on each setting.

The stages themselves: ``search``, ``prune`` and ``recover`` in `pipeline.prune`, the others in `pipeline.compress`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pocketgan.methods import Method

StageName = Literal["mobile", "distill", "search", "prune", "recover", "export", "evaluate", "report"]
STAGES: tuple[StageName, ...] = get_args(StageName)
CACHE = "teacher_cache"
"""Folder of what the teacher makes of the training images; removed with the last stage."""


class StageFiles(NamedTuple):
    """Files of a stage in the run directory."""

    files: tuple[str, ...]
    """With all of them the stage is done."""
    others: tuple[str, ...] = ()
    log: str = ""
    """Name of its training in the log and the checkpoints."""

    def missing(self, out: Path) -> str | None:
        """First of its files that is not there."""
        return next((name for name in self.files if not (out / name).exists()), None)

    def made(self, out: Path) -> list[Path]:
        """All that it has left: its files, then its checkpoints."""
        checkpoints = (out / "checkpoints").glob(f"{self.log}-*") if self.log else ()
        return [*(out / name for name in (*self.files, *self.others) if (out / name).exists()), *checkpoints]


FILES: dict[StageName, StageFiles] = {
    "mobile": StageFiles(("mobile/result.json", "mobile/report.html"), ("mobile",)),
    "distill": StageFiles(("distilled/student.safetensors",), ("distilled",)),
    "search": StageFiles(("searched.safetensors",), log="search"),
    "prune": StageFiles(
        ("pruned.safetensors",), ("back/pruned.safetensors", "back/candidates.jsonl", "candidates.jsonl", "search.json")
    ),
    "recover": StageFiles(("student.safetensors",), ("student_discriminator.safetensors",), log="recover"),
    "export": StageFiles(("student.onnx", "export.json")),
    "evaluate": StageFiles(("result.json",), ("images",)),
    "report": StageFiles(("report.html",)),
}


def stages_of(pipeline: str, *, searches: bool, mobile: bool) -> tuple[StageName, ...]:
    """Stages of a run.

    ``searches``: the method learns what to prune. ``mobile``: the generator has a mobile form, which the full pipeline trains.
    """
    full = pipeline == "full"
    included = {"mobile": full and mobile, "distill": full, "search": searches}
    return tuple(stage for stage in STAGES if included.get(stage, True))


def stages_to_run(plan: Sequence[StageName], missing: Collection[StageName]) -> Sequence[StageName]:
    """Stages from the first whose file is missing, with those before that it needs; the report is always written again.

    Files of stages before the pruning may be gone once that is done: a finished run keeps them only where they serve others.
    """
    start = len(plan)
    for index in reversed(range(len(plan))):
        lasting = STAGES.index(plan[index]) >= STAGES.index("prune")
        needed = index + 1 == start or index + 1 == len(plan)
        if plan[index] == "report" or (plan[index] in missing and (lasting or needed)):
            start = index
    return plan[start:]


def check_range(first: StageName | None, last: StageName, plan: tuple[StageName, ...], out: Path) -> None:
    """Raise ``ValueError`` for stages that the run does not have, and for files that would have to be there already."""
    for stage in (first, last):
        if stage is not None and stage not in plan:
            raise ValueError(f"this run has no stage '{stage}': its stages are {', '.join(plan)}")
    if first is None:
        return
    if plan.index(first) > plan.index(last):
        raise ValueError(f"--from {first} comes after --to {last}: the stages are {', '.join(plan)}")
    if not (out / "config.json").exists():
        raise ValueError(f"{out} holds no run that --from {first} could go on with; leave it out to begin one")
    for stage in plan[: plan.index(first)]:
        file = FILES[stage].missing(out)
        if file is not None:
            raise ValueError(f"there is no {out / file}, which the stage {stage} makes: give --from {stage}")


def remove_files_from(out: Path, first: StageName, plan: tuple[StageName, ...]) -> None:
    """Remove the files of ``first`` and later stages, the last one's first, so that a kill leaves an earlier state.

    Scores of a search stay: another search is kept beside them, and the same one finds them.
    """
    for stage in reversed(plan[plan.index(first) :]):
        samples = (out / "samples").glob(f"{FILES[stage].log}_*") if FILES[stage].log else ()
        for path in (*FILES[stage].made(out), *samples):
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a file, or a folder all at once by a rename: a resumed run would go on with half of one."""
    if path.is_dir() and not path.is_symlink():
        trash = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # a kill here leaves it to `remove_leftovers`
        path.rename(trash)
        shutil.rmtree(trash)
    else:
        path.unlink(missing_ok=True)


_SCORING = tuple(f"evaluation.{name}" for name in ("features", "segmenter", "table", "table_root", "repeats", "threads"))
"""Settings of the evaluation by which a search scores its candidates."""


def first_reader(field: str, plan: tuple[StageName, ...], method: Method) -> StageName | None:
    """First stage that depends on a field of the configuration; None for a field that changes no result."""
    full, choosing = "distill" in plan, "search" if "search" in plan else "prune"
    readers: Mapping[str, str | None] = {
        "full": "mobile" if full else None,
        "full.distill": "distill" if full else None,
        "full.width": "distill" if full else None,
        "full.importance": "distill" if full else None,
        **dict.fromkeys(
            ("objective", "objective_options", "layers", "discriminator_options", "multiple", "perceptual"), "distill"
        ),
        **dict.fromkeys(("method", "method_options", "search_objective", "start"), choosing),
        "search": "search" if "search" in plan else None,
        **dict.fromkeys(("budget", "budget_back"), "prune" if method.is_supernet else choosing),
        **{f"method_options.{option}": "prune" for option in method.select_options},
        "weights": "prune",
        "recovery": "recover",
        "minutes": "recover",
        "cache": "search" if "search" in plan else "recover",
        "evaluation": "evaluate",
        **dict.fromkeys(_SCORING, "prune" if method.is_supernet else "evaluate"),
        "variant": "evaluate",
        "data.workers": None,
    }
    if field.rpartition(".")[2] in ("log_every", "sample_every", "tensorboard"):
        return None
    fitting = [prefix for prefix in readers if f"{field}.".startswith(f"{prefix}.")]
    if not fitting:
        return plan[0]
    reader = readers[max(fitting, key=len)]
    return next(stage for stage in plan if STAGES.index(stage) >= STAGES.index(reader)) if reader else None


def check_changed(
    changed: Mapping[str, str], first: StageName | None, plan: tuple[StageName, ...], method: Method, out: Path
) -> None:
    """Raise ``ValueError`` for changed fields that a finished stage before ``first`` depends on."""
    early = {}
    for field in changed:
        reader = first_reader(field, plan, method)
        later = reader is None or (first is not None and plan.index(reader) >= plan.index(first))
        if reader is not None and not later and any(FILES[stage].made(out) for stage in plan[plan.index(reader) :]):
            early[field] = reader
    if not early:
        return
    changes = "; ".join(f"{field}: {changed[field]}" for field in list(early)[:5])
    redo = min(early.values(), key=STAGES.index)
    raise ValueError(
        f"{out} was begun with another configuration; it differs in {changes}; --from {redo} does again what depends on that, "
        "another --out begins a new run"
    )
