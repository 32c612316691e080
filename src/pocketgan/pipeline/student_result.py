"""Measure the student beside what the user gave, and write ``result.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from torch import nn

from pocketgan.core.spec import spec_of
from pocketgan.evaluation import Result, cost_result, evaluate, latencies
from pocketgan.pipeline.common import baseline_results, identity_baseline, machine, versions
from pocketgan.pipeline.networks import range_warnings, training_notes
from pocketgan.pipeline.work import CompressionState
from pocketgan.pruning.fit_budget import floor_widths
from pocketgan.utils.files import write_json


def write_student_result(state: CompressionState, student: nn.Module, exported: Mapping[str, object]) -> None:
    """Costs, quality on the test images, latency; budget, widths, seconds, machine."""
    began = monotonic()
    config, shape, context = state.config, state.config.data.shape, state.context
    teacher = state.networks.reference.model
    notes = [state.test.note] if state.test.note else []
    if config.start == "mobile":
        notes.append("what was cut is the teacher's mobile form, begun with fresh weights")
    if state.networks.teacher is not state.networks.reference:
        notes.append(
            "the student was taught by the mobile teacher in mobile/, and is measured beside the teacher that was given"
        )
    notes.extend((*training_notes(state.networks.task, teacher), *range_warnings(teacher, state.test)))
    notes.extend(config.evaluation.check(config.data, config.task))
    quality = evaluate(
        {"teacher": teacher, "student": student, **identity_baseline(config.task)},
        state.test,
        config.evaluation,
        device=state.device,
        teacher="teacher",
        keep=state.file("images"),
        reporter=state.run.reporter,
    )
    speed = latencies({"teacher": teacher, "student": student}, shape, config.evaluation)
    results: dict[str, Result] = {}
    for name, model in (("teacher", teacher), ("student", student)):
        results[name] = cost_result(model, shape)
        results[name].add(quality[name])
        results[name].latency_ms = speed[name]
    results["student"].bytes = state.file("student.safetensors").stat().st_size
    results["teacher"].bytes = _bytes(Path(config.teacher), teacher)
    floor = context.cost(floor_widths(state.networks.start.model, multiple=config.multiple))
    write_json(
        state.file("result.json"),
        {
            "name": state.run.path.name,
            "method": config.method,
            "variant": config.variant,
            "objective": config.objective,
            "seed": config.seed,
            **{name: result.to_json() for name, result in results.items()},
            **baseline_results(quality),
            "budget": {
                "asked": config.budget,
                "kind": context.budget.kind,
                "limit": context.budget.limit,
                "reached": getattr(results["student"], context.budget.kind),
                "floor": context.budget.of(floor),
            },
            "widths": {"teacher": spec_of(teacher).widths, "student": spec_of(student).widths},
            "export": {"onnx": exported},
            "seconds": {**state.seconds, "evaluate": monotonic() - began},
            "versions": versions(),
            "machine": machine(state.device),
            "notes": notes,
        },
    )


def _bytes(file: Path, model: nn.Module) -> int:
    """Of the file; of a network given in memory, what its tensors take."""
    if file.is_file():
        return file.stat().st_size
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
