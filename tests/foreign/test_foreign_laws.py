"""Foreign generators of many styles: the groups found in each, the laws, and the messages of refusals."""

import copy
from functools import cache
from pathlib import Path

import onnxruntime
import pytest
import torch
from foreign_zoo import LAWFUL, SHAPE, STYLES, Style, rows, wrap
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.dims import Dim, widths_of
from pocketgan.core.spec import spec_of
from pocketgan.deploy import Deployable, export_onnx
from pocketgan.foreign.laws import LAWS, CheckFailed
from pocketgan.methods import MethodContext, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.elastic import Elastic
from pocketgan.pruning.gate import close_gates_
from pocketgan.pruning.scales import add_scales_, affine_norms, fold_scales_away_, scales
from pocketgan.pruning.selection import Selection, prefix, shrink

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning", "ignore:.*spectral_norm:FutureWarning"),
    pytest.mark.filterwarnings("ignore:input's size at dim=1 does not match num_features"),
]

every_lawful = pytest.mark.parametrize("title", LAWFUL)
every_refused = pytest.mark.parametrize("title", [title for title in STYLES if title not in LAWFUL])


NORMLESS = "norms without scales, in-place activations"
"""A style whose artifact states its norms."""


@cache
def wrapped(title: str) -> nn.Module:
    """The wrapped generator, traced once; tests copy it before they change it."""
    return wrap(LAWFUL[title])


@cache
def exact(title: str) -> nn.Module:
    """The same in float64."""
    return copy.deepcopy(wrapped(title)).double()


def image(batch: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return (torch.rand(batch, 3, *SHAPE, generator=generator, dtype=torch.float64) * 2 - 1).to(dtype)


def random_selection(model: nn.Module, seed: int) -> Selection:
    """Some channels of every group, one at least."""
    generator = torch.Generator().manual_seed(seed)
    selection = {}
    for group, width in widths_of(model).items():
        kept = int(torch.randint(1, width + 1, (), generator=generator))
        selection[group] = torch.randperm(width, generator=generator)[:kept].sort().values
    return selection


def difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def dims_in(model: nn.Module, style: Style) -> dict[str, str]:
    """The named widths of the attributes in the table."""
    dims = {}
    for place in style.sized:
        layer, _, attribute = place.rpartition(".")
        dim = getattr(model.get_submodule(layer), attribute)
        assert isinstance(dim, Dim)
        parts = (f"{group}:{width}" + (f"*{repeat}" if repeat > 1 else "") for group, width, repeat in dim.parts)
        dims[place] = " + ".join(parts)
    return dims


def test_the_table_has_an_entry_for_every_class() -> None:
    assert len(STYLES) >= 30
    assert len(LAWFUL) >= 25


@every_lawful
def test_the_groups_are_those_of_the_table(title: str) -> None:
    """And every layer of which nothing can go says why."""
    model, style = wrapped(title), LAWFUL[title]
    assert widths_of(model) == style.groups
    assert spec_of(model).kept == style.kept  # type: ignore[attr-defined]
    assert dims_in(model, style) == dict(style.sized)


@every_refused
def test_a_refusal_names_the_layers_and_keeping_them_is_enough(title: str) -> None:
    style = STYLES[title]
    with pytest.raises(CheckFailed) as caught:
        wrap(style)
    message = str(caught.value)
    assert caught.value.law == style.law
    assert LAWS[caught.value.law] in message
    if not style.keep:
        assert "let the factory return a module that, in evaluation mode, depends on the image alone" in message
        return
    assert " ".join(f"--keep {name}" for name in style.keep) in message
    assert message.count("--keep") == len(style.keep)
    causes = message.partition("Probably")[0]
    assert all(name in causes for name in style.blamed)
    model = wrap(style, keep=style.keep)
    assert widths_of(model) == style.groups
    kept = {**dict.fromkeys(style.keep, "kept as asked"), **style.kept}
    assert kept.items() <= spec_of(model).kept.items()  # type: ignore[attr-defined]


@every_lawful
def test_closing_gates_is_removing(title: str) -> None:
    model, x = exact(title), image()
    for seed in range(2):
        kept, gated = random_selection(model, seed), copy.deepcopy(model)
        close_gates_(gated, kept)
        with torch.inference_mode():
            assert difference(shrink(model, kept)(x), gated.double()(x)) < 1e-9


@every_lawful
def test_elastic_is_slim(title: str) -> None:
    model, x = exact(title), image()
    elastic = Elastic(model).eval()
    for seed in range(2):
        widths = {group: len(kept) for group, kept in random_selection(model, seed).items()}
        elastic.resize_(widths)
        with torch.inference_mode():
            assert difference(elastic(x), shrink(model, prefix(widths))(x)) < 1e-12


@every_lawful
def test_the_cost_is_what_torch_counts(title: str) -> None:
    model = wrapped(title)
    kept = random_selection(model, 0)
    small = shrink(model, kept)
    with FlopCounterMode(display=False) as counter:
        small.to("meta")(torch.empty(1, 3, *SHAPE, device="meta"))
    cost = CostModel(model, SHAPE)({group: len(channels) for group, channels in kept.items()})
    assert cost.macs == counter.get_total_flops() // 2
    assert cost.params == sum(parameter.numel() for parameter in small.parameters())


@every_lawful
def test_saved_and_loaded_is_the_same(title: str, tmp_path: Path) -> None:
    model, x = wrapped(title), image(dtype=torch.float32)
    small = shrink(model, random_selection(model, 1))
    for network in (model, small) if title == NORMLESS else (small,):
        save_artifact(tmp_path / "a.safetensors", network, size=SHAPE)
        loaded = load_artifact(tmp_path / "a.safetensors").model
        assert spec_of(loaded) == spec_of(network)
        before, after = network.state_dict(), loaded.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
        with torch.inference_mode():
            assert torch.equal(loaded(x), network(x))


@every_lawful
def test_scales_on_norms_keep_the_image(title: str) -> None:
    model, x = wrapped(title), image(dtype=torch.float32)
    richer = affine_norms(model)
    with torch.inference_mode():
        assert difference(richer(x), model(x)) < 1e-5
    assert all(getattr(module, "weight", 0) is not None for module in richer.modules())


@every_lawful
def test_learned_scales_fold_without_changing_the_image(title: str) -> None:
    model = affine_norms(copy.deepcopy(wrapped(title))).double()
    x, names = image(), set(model.state_dict())
    with torch.no_grad():
        before = model(x)
        add_scales_(model, everywhere=True)
        model.double()
        assert torch.equal(model(x), before)
        assert set(scales(model)) == set(widths_of(model))
        for group_scales in scales(model).values():
            for scale in group_scales:
                scale.mul_(torch.rand(len(scale), generator=torch.Generator().manual_seed(1)) + 0.5)
        scaled = model(x)
        assert not torch.equal(scaled, before)
        fold_scales_away_(model)
        assert difference(model(x), scaled) < 1e-9
    assert set(model.state_dict()) == names


MASKED = (
    "functional forward with pads and crops",
    "one block that runs several times",
    "group norm",
    "convolutions in groups (ResNeXt)",
    "depthwise convolutions, one with a multiplier",
    "gated convolution by chunk",
    "AdaIN from pooled features",
    "self-attention of BigGAN",
    "an activation of one's own with a shift",
)
"""Styles with different sites of gates."""


@pytest.mark.filterwarnings("ignore:a search of")
@pytest.mark.parametrize("title", MASKED)
def test_masks_begin_at_the_image_and_are_pruned_as_they_are(title: str) -> None:
    torch.manual_seed(0)
    teacher, x = copy.deepcopy(wrapped(title)), image(dtype=torch.float32)
    cost = CostModel(teacher, SHAPE)
    context = MethodContext(parse_budget("1.1x", cost()), cost, 1, lambda: [image(dtype=torch.float32)])
    method = make_method("dmad", {})
    model = method.prepare(teacher, context)
    with torch.no_grad():
        assert difference(model(x), teacher(x)) < 1e-3
        kept = method.select(model, context)
        small = shrink(model, kept)
        close_gates_(model, kept)  # folded away, what follows a producer could revive its closed channels
        assert difference(small(x), model(x)) < 1e-5
    assert context.budget.of(CostModel(small, SHAPE)()) <= context.budget.limit


def test_the_export_agrees(tmp_path: Path) -> None:
    """Exports take seconds: only one style, as the networks of the zoo cover other operators."""
    model = wrapped("gated convolution by two layers, and GLU")
    small = shrink(model, random_selection(model, 2))
    exported = export_onnx(small, tmp_path / "g.onnx", size=SHAPE, verify=False)
    x = image(1, torch.float32)
    (output,) = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"]).run(None, {"image": x.numpy()})
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(output), Deployable(small)(x), rtol=0, atol=2e-5)


def test_the_manual_shows_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "foreign.md").read_text()
    section = page.partition("## What works\n")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| ")][1:] == rows()
