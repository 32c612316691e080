"""Measure the student beside what the user gave, and write ``result.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from torch import nn

from pocketgan.core.spec import spec_of
from pocketgan.pipeline.common import machine, measured, versions
from pocketgan.pipeline.plan import CompressionState
from pocketgan.pruning.allocation import floor_widths
from pocketgan.utils.files import write_json


def write_student_result(state: CompressionState, student: nn.Module, exported: Mapping[str, object]) -> None:
    """Measure costs, quality on the test images and latency; add budget, widths, seconds and machine."""
    began = monotonic()
    plan, config, context = state.plan, state.plan.config, state.plan.context
    teacher, test = plan.networks.original.model, plan.splits.test
    notes = [test.note] if test.note else []
    if config.start == "mobile":
        notes.append("the student was pruned from the teacher's mobile form, which began with fresh weights")
    if plan.networks.teacher is not plan.networks.original:
        notes.append(
            "the student was distilled from the mobile teacher in mobile/, and is measured beside the teacher that was given"
        )
    notes.extend(plan.notes)
    generators = {"teacher": teacher, "student": student}
    results, baselines = measured(generators, test, config.evaluation, plan.device, state.run, teacher="teacher")
    results["student"].bytes = state.file("student.safetensors").stat().st_size
    results["teacher"].bytes = _bytes(Path(config.teacher), teacher)
    floor = context.cost(floor_widths(plan.networks.initial.model, multiple=config.multiple))
    write_json(
        state.file("result.json"),
        {
            "name": state.run.path.name,
            "method": config.method,
            "variant": config.variant,
            "objective": config.objective,
            "seed": config.seed,
            **{name: result.to_json() for name, result in results.items()},
            **baselines,
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
            "machine": machine(plan.device),
            "notes": notes,
        },
    )


def _bytes(file: Path, model: nn.Module) -> int:
    """Of the file; of a network given in memory, what its tensors take."""
    if file.is_file():
        return file.stat().st_size
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
