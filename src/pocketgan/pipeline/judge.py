"""Measure the student beside what the user gave, and write ``result.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from torch import nn

from pocketgan.compress.fit_budget import floor_widths
from pocketgan.core.files import write_json
from pocketgan.core.spec import spec_of
from pocketgan.evaluate import Result, cost_result, evaluate, latencies
from pocketgan.pipeline.common import beside, machine, untouched, versions
from pocketgan.pipeline.players import notes_on, picture_notes
from pocketgan.pipeline.work import Work


def judge(work: Work, student: nn.Module, exported: Mapping[str, object]) -> None:
    """Costs, quality on the test images, latency; budget, widths, seconds, machine."""
    began = monotonic()
    config, shape, setting = work.config, work.config.data.shape, work.setting
    teacher = work.cast.reference.model
    notes = [work.test.note] if work.test.note else []
    if config.start == "mobile":
        notes.append("what was cut is the teacher's mobile form, begun with fresh weights")
    if work.cast.teacher is not work.cast.reference:
        notes.append(
            "the student was taught by the mobile teacher in mobile/, and is measured beside the teacher that was given"
        )
    notes.extend((*notes_on(work.cast.game, teacher), *picture_notes(teacher, work.test)))
    notes.extend(config.judge.check(config.data, config.task))
    quality = evaluate(
        {"teacher": teacher, "student": student, **untouched(config.task)},
        work.test,
        config.judge,
        device=work.device,
        teacher="teacher",
        keep=work.file("pictures"),
        reporter=work.run.reporter,
    )
    speed = latencies({"teacher": teacher, "student": student}, shape, config.judge)
    results: dict[str, Result] = {}
    for name, model in (("teacher", teacher), ("student", student)):
        results[name] = cost_result(model, shape)
        results[name].add(quality[name])
        results[name].latency_ms = speed[name]
    results["student"].bytes = work.file("student.safetensors").stat().st_size
    results["teacher"].bytes = _bytes(Path(config.teacher), teacher)
    floor = setting.cost(floor_widths(work.cast.start.model, multiple=config.multiple))
    write_json(
        work.file("result.json"),
        {
            "name": work.run.path.name,
            "method": config.method,
            "variant": config.variant,
            "objective": config.objective,
            "seed": config.seed,
            **{name: result.to_json() for name, result in results.items()},
            **beside(quality),
            "budget": {
                "asked": config.budget,
                "kind": setting.budget.kind,
                "limit": setting.budget.limit,
                "reached": getattr(results["student"], setting.budget.kind),
                "floor": setting.budget.of(floor),
            },
            "widths": {"teacher": spec_of(teacher).widths, "student": spec_of(student).widths},
            "export": {"onnx": exported},
            "seconds": {**work.seconds, "evaluate": monotonic() - began},
            "versions": versions(),
            "machine": machine(work.device),
            "notes": notes,
        },
    )


def _bytes(file: Path, model: nn.Module) -> int:
    """Of the file; of a network given in memory, what its tensors take."""
    if file.is_file():
        return file.stat().st_size
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
