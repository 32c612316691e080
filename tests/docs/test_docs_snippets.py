"""The Python on the pages runs, and does what the pages say of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from manual import blocks
from PIL import Image

import pocketgan
from pocketgan.core.dims import widths_of
from pocketgan.core.spec import ARCHITECTURES, MODELS
from pocketgan.methods import METHODS, MethodContext, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.models import resnet
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.selection import shrink
from pocketgan.training.objectives import OBJECTIVES, DistillationBatch, make_objectives

pytestmark = pytest.mark.xdist_group("docs")
SNIPPETS = blocks("python")


def snippet(word: str) -> str:
    """The one snippet that holds the word."""
    (found,) = (text for text in SNIPPETS.values() if word in text)
    return found


def run(text: str, folder: Path) -> ModuleType:
    """Import the text as a module, so that its classes have a home."""
    file = folder / "from_the_page.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("from_the_page", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["from_the_page"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_snippet_is_one_of_these() -> None:
    assert len(SNIPPETS) == 7
    assert all(len(line) <= 128 for text in SNIPPETS.values() for line in text.splitlines())


def test_compress_in_python(world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    compress = pocketgan.compress
    small = {
        "recovery__steps": 1,
        "recovery__batch": 2,
        "data__workers": 0,
        "data__limit": 2,
        "evaluation__images": 1,
        "evaluation__repeats": 1,
    }
    monkeypatch.setattr(
        pocketgan,
        "compress",
        lambda *names, **fields: compress(*names, **(fields | small), size=32, evaluation__runtimes=["torch"], progress=False),
    )
    module = run(snippet("data__direction"), world)
    assert module.image.shape == (1, 3, 256, 256)
    assert module.done.result["student"]["macs"] <= module.done.result["budget"]["limit"]
    assert "macs_paper" in capsys.readouterr().out


def test_a_generator_of_somebody_else(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is compressed by its file is tested with the commands."""
    compress = pocketgan.compress
    small = {"recovery__steps": 1, "recovery__batch": 2, "data__workers": 0, "evaluation__images": 1, "evaluation__repeats": 1}
    monkeypatch.setattr(
        pocketgan,
        "compress",
        lambda *names, **fields: compress(*names, **(fields | small), evaluation__runtimes=["torch"], progress=False),
    )
    monkeypatch.syspath_prepend(str(world))
    module = run(snippet("from generator import"), world)
    image = torch.rand(1, 3, 32, 36)
    assert torch.equal(module.small(image), module.done.student(image))


def test_the_onnx_file_generates_a_photo_of_any_size(world: Path) -> None:
    run(snippet("InferenceSession("), world)
    with Image.open("generated.png") as generated, Image.open("photos/one.jpg") as photo:
        assert generated.size == photo.size


def test_the_example_of_a_method(world: Path, undo: Callable[[object], None]) -> None:
    undo(METHODS)
    run(snippet("METHODS.register"), world)
    model = resnet(16, blocks=2).build(device="meta")
    cost = CostModel(model, 64)
    context = MethodContext(parse_budget("5x", cost()), cost, 1, list)
    first, second = (make_method("lottery", {"draw": draw}).select(model, context) for draw in (0, 1))
    assert context.budget.allows(cost({group: len(kept) for group, kept in first.items()}))
    assert any(not torch.equal(first[group], second[group]) for group in first)


def test_the_example_of_an_objective(world: Path, undo: Callable[[object], None]) -> None:
    undo(OBJECTIVES)
    run(snippet("OBJECTIVES.register"), world)
    ramp = torch.linspace(-1, 1, 8).expand(1, 3, 8, 8)
    edges = make_objectives("edges", {}, DistillationBatch(ramp, ramp, ramp, {}, {}))["edges"]
    assert float(edges.loss(DistillationBatch(ramp, ramp, ramp + 0.5, {}, {}))) == pytest.approx(0, abs=1e-6)
    assert float(edges.loss(DistillationBatch(ramp, ramp, ramp * 0, {}, {}))) == pytest.approx(2 / 7)


def test_the_example_of_a_network(world: Path, undo: Callable[[object], None]) -> None:
    undo(ARCHITECTURES)
    undo(MODELS)
    run(snippet("ARCHITECTURES.register"), world)
    model, x = MODELS["tower"](7).build().eval(), torch.rand(1, 3, 12, 14) * 2 - 1
    assert torch.equal(shrink(model, {})(x), model(x))
    small = shrink(model, {"first": torch.tensor([5, 0, 2])})
    assert widths_of(small) == {"first": 3, "second": 7}
    assert small(x).shape == x.shape
    assert CostModel(small, (12, 14))() == CostModel(model, (12, 14))({"first": 3})
