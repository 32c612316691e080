"""Generators of many styles that others wrote: what is found in each, which laws hold, and what a refusal says."""

import copy
from functools import cache
from pathlib import Path

import onnxruntime
import pytest
import torch
from foreign_zoo import LAWFUL, SHAPE, STYLES, Style, adopted, rows
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.dims import Dim, widths_of
from pocketgan.core.spec import spec_of
from pocketgan.export import Deployable
from pocketgan.export.onnx_format import export_onnx
from pocketgan.foreign.laws import LAWS, CheckFailed
from pocketgan.methods import MethodContext, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.affine import affine_norms
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.gate import close_gates_
from pocketgan.pruning.scales import add_scales_, fold_scales_away_, scales
from pocketgan.pruning.selection import Selection, prefix, shrink

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning", "ignore:.*spectral_norm:FutureWarning"),
    pytest.mark.filterwarnings("ignore:input's size at dim=1 does not match num_features"),
]

every_lawful = pytest.mark.parametrize("title", LAWFUL)
every_refused = pytest.mark.parametrize("title", [title for title in STYLES if title not in LAWFUL])


@cache
def _lawful(title: str) -> nn.Module:
    return adopted(LAWFUL[title])


def lawful(title: str) -> nn.Module:
    """A copy of the adopted generator, in float64."""
    return copy.deepcopy(_lawful(title)).double()


def image(batch: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return (torch.rand(batch, 3, *SHAPE, generator=generator, dtype=torch.float64) * 2 - 1).to(dtype)


def drawn(model: nn.Module, seed: int) -> Selection:
    """Some channels of every group, one at least."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for group, width in widths_of(model).items():
        kept = int(torch.randint(1, width + 1, (), generator=generator))
        found[group] = torch.randperm(width, generator=generator)[:kept].sort().values
    return found


def apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def found_in(model: nn.Module, style: Style) -> dict[str, str]:
    """What sizes the attributes that the style speaks of."""
    said = {}
    for place in style.sized:
        layer, _, attribute = place.rpartition(".")
        dim = getattr(model.get_submodule(layer), attribute)
        assert isinstance(dim, Dim)
        parts = (f"{group}:{width}" + (f"*{each}" if each > 1 else "") for group, width, each in dim.parts)
        said[place] = " + ".join(parts)
    return said


def test_the_table_has_an_entry_for_every_class() -> None:
    assert len(STYLES) >= 30
    assert len(LAWFUL) >= 25


@every_lawful
def test_the_groups_are_those_of_the_table(title: str) -> None:
    """And every layer of which nothing can go says why."""
    model, style = _lawful(title), LAWFUL[title]
    assert widths_of(model) == style.groups
    assert spec_of(model).kept == style.kept  # type: ignore[attr-defined]
    assert found_in(model, style) == dict(style.sized)


@every_refused
def test_a_refusal_names_the_layers_and_keeping_them_is_enough(title: str) -> None:
    style = STYLES[title]
    with pytest.raises(CheckFailed) as caught:
        adopted(style)
    said = str(caught.value)
    assert caught.value.law == style.law
    assert LAWS[caught.value.law] in said
    if not style.keep:
        assert "let the factory return a module that, in evaluation mode, depends on the image alone" in said
        return
    assert " ".join(f"--keep {name}" for name in style.keep) in said
    assert said.count("--keep") == len(style.keep)
    shown = said.partition("Probably")[0]
    assert all(name in shown for name in style.blamed)
    model = adopted(style, keep=style.keep)
    assert widths_of(model) == style.groups
    kept = {**dict.fromkeys(style.keep, "kept as asked"), **style.kept}
    assert kept.items() <= spec_of(model).kept.items()  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(3))
@every_lawful
def test_closing_gates_is_removing(title: str, seed: int) -> None:
    model, x = lawful(title), image()
    kept = drawn(model, seed)
    gated = copy.deepcopy(model)
    close_gates_(gated, kept)
    with torch.inference_mode():
        assert apart(shrink(model, kept)(x), gated.double()(x)) < 1e-9


@every_lawful
def test_elastic_is_slim(title: str) -> None:
    model, x = lawful(title), image()
    elastic = Elastic(model).eval()
    for seed in range(3):
        widths = {group: len(kept) for group, kept in drawn(model, seed).items()}
        elastic.resize_(widths)
        with torch.inference_mode():
            assert apart(elastic(x), shrink(model, prefix(widths))(x)) < 1e-12


@every_lawful
def test_the_cost_is_what_torch_counts(title: str) -> None:
    model = _lawful(title)
    cost = CostModel(model, SHAPE)
    for seed in range(3):
        kept = drawn(model, seed)
        small = shrink(model, kept)
        with FlopCounterMode(display=False) as counter:
            small.to("meta")(torch.empty(1, 3, *SHAPE, device="meta"))
        reached = cost({group: len(own) for group, own in kept.items()})
        assert reached.macs == counter.get_total_flops() // 2
        assert reached.params == sum(parameter.numel() for parameter in small.parameters())


@every_lawful
def test_saved_and_loaded_is_the_same(title: str, tmp_path: Path) -> None:
    model, x = _lawful(title), image(dtype=torch.float32)
    small = shrink(model, drawn(model, 1))
    for each in (model, small):
        save_artifact(tmp_path / "a.safetensors", each, size=SHAPE)
        loaded = load_artifact(tmp_path / "a.safetensors").model
        assert spec_of(loaded) == spec_of(each)
        before, after = each.state_dict(), loaded.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
        with torch.inference_mode():
            assert torch.equal(loaded(x), each(x))


@every_lawful
def test_scales_on_norms_keep_the_image(title: str) -> None:
    model, x = _lawful(title), image(dtype=torch.float32)
    richer = affine_norms(model)
    with torch.inference_mode():
        assert apart(richer(x), model(x)) < 1e-5
    assert all(getattr(module, "weight", 0) is not None for module in richer.modules())


@every_lawful
def test_learnt_scales_fold_without_changing_the_image(title: str) -> None:
    model = affine_norms(copy.deepcopy(_lawful(title))).double()
    x, names = image(), set(model.state_dict())
    with torch.no_grad():
        before = model(x)
        add_scales_(model, everywhere=True)
        model.double()
        assert torch.equal(model(x), before)
        assert set(scales(model)) == set(widths_of(model))
        for own in scales(model).values():
            for scale in own:
                scale.mul_(torch.rand(len(scale), generator=torch.Generator().manual_seed(1)) + 0.5)
        scaled = model(x)
        assert not torch.equal(scaled, before)
        fold_scales_away_(model)
        assert apart(model(x), scaled) < 1e-9
    assert set(model.state_dict()) == names


@pytest.mark.filterwarnings("ignore:a search of")
@every_lawful
def test_masks_begin_at_the_image_and_are_pruned_as_they_are(title: str) -> None:
    torch.manual_seed(0)
    teacher, x = copy.deepcopy(_lawful(title)), image(dtype=torch.float32)
    cost = CostModel(teacher, SHAPE)
    context = MethodContext(parse_budget("1.1x", cost()), cost, 1, lambda: [image(dtype=torch.float32)])
    method = make_method("dmad", {})
    model = method.prepare(teacher, context)
    with torch.no_grad():
        assert apart(model(x), teacher(x)) < 1e-3
        kept = method.select(model, context)
        small = shrink(model, kept)
        close_gates_(model, kept)  # folded away, what follows a producer could revive its closed channels
        assert apart(small(x), model(x)) < 1e-5
    assert context.budget.of(CostModel(small, SHAPE)()) <= context.budget.limit


EXPORTED = (
    "U-Net with nearest upsampling, norm over a concatenation",
    "gated convolution by two layers, and GLU",
    "self-attention of BigGAN",
)
"""Exporting takes seconds."""


@pytest.mark.parametrize("title", EXPORTED)
def test_the_export_agrees(title: str, tmp_path: Path) -> None:
    model = _lawful(title)
    small = shrink(model, drawn(model, 2))
    done = export_onnx(small, tmp_path / "g.onnx", size=SHAPE, verify=False)
    x = image(1, torch.float32)
    (output,) = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"]).run(None, {"image": x.numpy()})
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(output), Deployable(small)(x), rtol=0, atol=2e-5)


def test_the_manual_shows_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "foreign.md").read_text()
    section = page.partition("## What works\n")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| ")][1:] == rows()
