"""The Python on the pages runs, with the stated results."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

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
    """The one snippet with that word."""
    (text,) = (text for text in SNIPPETS.values() if word in text)
    return text


def run(text: str, folder: Path) -> ModuleType:
    """Import the text as a module, in which its classes can be found."""
    file = folder / "from_the_page.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("from_the_page", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["from_the_page"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SMALL = {"size": 32, "steps": 1, "recovery__batch": 2, "data__workers": 0, "data__limit": 2, "evaluation__images": 1}


@pytest.fixture
def small(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The world with functions that train for one step; other arguments are those of the page."""
    compress, train, compare = pocketgan.compress, pocketgan.train, pocketgan.compare
    quick = {"evaluation__repeats": 1, "evaluation__runtimes": ["torch"], "progress": False}
    search = {"search__steps": 1, "search__batch": 2}

    def small_train(*names: str, **fields: Any) -> Path:
        own = {"training__batch": 2, "data__workers": 0, "data__limit": 2, "discriminator_options__ndf": 8}
        return train(*names, **fields | quick | own | {"size": 32, "steps": 1, "arch_options": {"ngf": 8, "blocks": 1}})

    monkeypatch.setattr(pocketgan, "train", small_train)
    monkeypatch.setattr(pocketgan, "compress", lambda *n, **f: compress(*n, **f | SMALL | search | quick))
    few_runs = {"seeds": 1, "methods": ["uniform"]}
    monkeypatch.setattr(pocketgan, "compare", lambda *n, **f: compare(*n, **f | SMALL | search | quick | few_runs))
    return world


def test_every_snippet_is_one_of_these() -> None:
    assert len(SNIPPETS) == 11
    assert all(len(line) <= 128 for text in SNIPPETS.values() for line in text.splitlines())


def test_the_first_page(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = run(snippet("maps-python"), small)
    macs, limit = map(int, capsys.readouterr().out.split())
    assert macs <= limit
    assert module.student(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_a_foreign_generator(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its compression from a file is tested with the commands."""
    monkeypatch.syspath_prepend(str(small))
    module = run(snippet("from generator import"), small)
    image = torch.rand(1, 3, 32, 36)
    assert torch.equal(module.small(image), module.done.student(image))


def test_train_compress_measure_export(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = run(snippet("runs/api/teacher"), small)
    costs, quality, milliseconds, verification = capsys.readouterr().out.splitlines()
    assert int(costs.split()[0]) <= module.done.result["budget"]["limit"]
    assert "psnr_to_teacher" in quality
    assert float(milliseconds.split()[0]) > 0
    assert verification == "None"  # of the stand-in
    assert Path("student.onnx").is_file()
    assert module.run == Path("runs/api/teacher")


def test_compare(small: Path) -> None:
    module = run(snippet("pocketgan.compare("), small)
    assert module.failures == []
    assert [path.name for path in module.runs] == ["uniform-8x-lr-0.0001-s0", "uniform-8x-lr-0.0002-s0"]
    assert Path("runs/api-compare/report.html").is_file()


def test_a_network(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = run(snippet("network = pocketgan.load"), world)
    total, floor, _ = capsys.readouterr().out.split(maxsplit=2)
    assert int(floor) < int(total) == module.facts["total"]["macs"]
    assert module.output.shape == (2, 3, 64, 96)


def test_images_from_latents(world: Path) -> None:
    run(snippet("faces.webp"), world)
    with Image.open("faces.png") as sheet, Image.open("faces.webp") as film:
        assert sheet.size == (8 * 34, 2 * 34)  # two generators, gaps of two pixels
        assert film.n_frames == 3 * 5 + 1


def test_evaluate_reads_fields(world: Path) -> None:
    """Options of data and evaluation arrive where the command line puts them."""
    student = "runs/maps-10x/student.safetensors"
    forth, back = (pocketgan.evaluate(student, "datasets/maps", direction=side, progress=False) for side in ("AtoB", "BtoA"))
    assert forth.quality["psnr"] != back.quality["psnr"]
    distance = pocketgan.evaluate(student, "datasets/maps", features="features.onnx", metrics=["frechet"], progress=False)
    assert [name.partition("[")[0] for name in distance.quality] == ["frechet"]
    with pytest.raises(TypeError):
        pocketgan.evaluate(student, "datasets/maps", metrcs=["psnr"])


def test_the_onnx_file_reads_and_writes_photos(world: Path) -> None:
    """With the identity as generator, so the photo comes back."""
    run(snippet("InferenceSession("), world)
    with Image.open("generated.png") as generated, Image.open("photos/one.jpg") as photo:
        assert generated.tobytes() == photo.convert("RGB").tobytes()
        assert generated.size == photo.size


def test_the_example_of_a_method(world: Path, restored: Callable[[object], None]) -> None:
    restored(METHODS)
    run(snippet("METHODS.register"), world)
    model = resnet(16, blocks=2).build(device="meta")
    cost = CostModel(model, 64)
    context = MethodContext(parse_budget("5x", cost()), cost, 1, list)
    first, second = (make_method("random", {"draw": draw}).select(model, context) for draw in (0, 1))
    assert context.budget.allows(cost({group: len(kept) for group, kept in first.items()}))
    assert any(not torch.equal(first[group], second[group]) for group in first)


def test_the_example_of_an_objective(world: Path, restored: Callable[[object], None]) -> None:
    restored(OBJECTIVES)
    run(snippet("OBJECTIVES.register"), world)
    ramp = torch.linspace(-1, 1, 8).expand(1, 3, 8, 8)
    edges = make_objectives("edges", {}, DistillationBatch(ramp, ramp, ramp, {}, {}))["edges"]
    assert float(edges.loss(DistillationBatch(ramp, ramp, ramp + 0.5, {}, {}))) == pytest.approx(0, abs=1e-6)
    assert float(edges.loss(DistillationBatch(ramp, ramp, ramp * 0, {}, {}))) == pytest.approx(2 / 7)


def test_the_example_of_a_network(world: Path, restored: Callable[[object], None]) -> None:
    restored(ARCHITECTURES)
    restored(MODELS)
    run(snippet("ARCHITECTURES.register"), world)
    model, x = MODELS["tower"](7).build().eval(), torch.rand(1, 3, 12, 14) * 2 - 1
    assert torch.equal(shrink(model, {})(x), model(x))
    small = shrink(model, {"first": torch.tensor([5, 0, 2])})
    assert widths_of(small) == {"first": 3, "second": 7}
    assert small(x).shape == x.shape
    assert CostModel(small, (12, 14))() == CostModel(model, (12, 14))({"first": 3})
