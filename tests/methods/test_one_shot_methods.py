"""Methods without a search training: within the budget, exact selections, a network that runs; names and options."""

import pytest
import torch

from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Spec
from pocketgan.methods import METHODS, Method, MethodContext, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet, resnet, unet
from pocketgan.pruning.allocation import floor_widths
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.importance import IMPORTANCES
from pocketgan.pruning.selection import shrink
from zoo import randomized

SPECS = {"resnet": resnet(6, blocks=2), "mobile": mobile_resnet(6, blocks=2), "unet": unet(4, depth=5)}
ONE_SHOT = [name for name, method in METHODS.items() if not method.learns]


def make_context(spec: Spec, budget: str, multiple: int = 1) -> MethodContext:
    cost = CostModel(spec.build(device="meta"), 32)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return MethodContext(parse_budget(budget, cost()), cost, multiple, lambda count=2: [images])


@pytest.mark.parametrize(
    ("network", "kind", "unit", "multiple"),
    [("resnet", "macs", "", 1), ("mobile", "params", "params", 4), ("unet", "macs_paper", "paper", 4)],
)
@pytest.mark.parametrize("name", ONE_SHOT)
def test_the_student_is_within_the_budget_and_runs(name: str, network: str, kind: str, unit: str, multiple: int) -> None:
    spec = SPECS[network]
    model, cost = randomized(spec), CostModel(spec.build(device="meta"), 32)
    low, high = (getattr(c, kind) for c in (cost(floor_widths(model, multiple=multiple, removing=False)), cost()))
    context = make_context(spec, f"{(2 * low + high) // 3}{unit}", multiple)
    small = shrink(model, make_method(name, {}).select(model, context))
    assert context.budget.allows(CostModel(small, 32)())
    assert small(torch.zeros(1, 3, 32, 32)).isfinite().all()
    assert all(width % multiple == 0 or width == spec.widths[group] for group, width in widths_of(small).items())


def test_uniform_scales_all_groups_alike_and_keeps_the_best_channels() -> None:
    spec = SPECS["resnet"]
    model, context = randomized(spec), make_context(spec, "4x")
    kept = make_method("uniform", {}).select(model, context)
    parts = [len(kept[group]) / width for group, width in spec.widths.items()]
    assert max(parts) - min(parts) <= 1 / min(spec.widths.values())
    scores = IMPORTANCES["contribution"](model, context.images())
    for group, indices in kept.items():
        out = [i for i in range(spec.widths[group]) if i not in indices.tolist()]
        assert scores[group][indices].min() >= scores[group][out].max()


def test_magnitude_keeps_everything_above_one_threshold() -> None:
    spec = SPECS["resnet"]
    model, context = randomized(spec), make_context(spec, "3x")
    kept = make_method("magnitude", {"least": 0.0}).select(model, context)
    scores = IMPORTANCES["contribution"](model, context.images())
    inside = torch.cat([scores[group][indices] for group, indices in kept.items()])
    outside = torch.cat([scores[g][[i for i in range(w) if i not in kept[g].tolist()]] for g, w in spec.widths.items()])
    alone = [float(scores[group].max()) for group in spec.widths if len(kept[group]) == 1]  # the last of their group
    assert inside[~torch.isin(inside, torch.tensor(alone).double())].min() >= outside.max()


def test_the_published_norm_is_an_option_with_another_selection() -> None:
    spec = SPECS["resnet"]
    model, context = randomized(spec), make_context(spec, "3x")
    ours, theirs = (make_method("uniform", {"importance": name}).select(model, context) for name in ("contribution", "l1"))
    assert {group: len(kept) for group, kept in ours.items()} == {group: len(kept) for group, kept in theirs.items()}
    assert any(not torch.equal(ours[group], theirs[group]) for group in ours)


@pytest.mark.parametrize("name", ONE_SHOT)
def test_a_budget_below_the_floor_names_the_floor(name: str) -> None:
    spec = SPECS["unet"]
    model = randomized(spec)
    with pytest.raises(ValueError, match=r"budget '100params' \(100 params\) is below the floor: .* ask for at least that"):
        make_method(name, {}).select(model, make_context(spec, "100params"))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_summary_of_one_line(name: str) -> None:
    method = METHODS[name]
    assert issubclass(method, Method)
    assert 20 < len(method.summary) < 110
    assert "\n" not in method.summary


def test_unknown_names_options_and_values() -> None:
    with pytest.raises(ValueError, match=r"no method named 'magnitud'. Did you mean 'magnitude'"):
        make_method("magnitud", {})
    with pytest.raises(ValueError, match=r"no field named 'importence'. Did you mean 'importance'"):
        make_method("uniform", {"importence": "l1"})
    with pytest.raises(ValueError, match="importance='l2': Input should be 'contribution' or 'l1'"):
        make_method("uniform", {"importance": "l2"})


def test_a_given_factor_sets_all_widths() -> None:
    spec = SPECS["resnet"]
    model, context = randomized(spec), make_context(spec, "2x")
    method = make_method("uniform", {"factor": 0.5})
    method.check(model, context, features=False)
    kept = method.select(model, context)
    assert {group: len(indices) for group, indices in kept.items()} == {g: w // 2 for g, w in spec.widths.items()}
    for factor, message in (
        (1.0, r"factor=1.0 leaves [\d,]+ macs, budget '2x' allows [\d,]+: give a smaller factor, or none"),
        (0.0, r"factor=0.0: a part of every width, above 0 and at most 1"),
        (1.1, r"factor=1.1: a part of every width, above 0 and at most 1"),
    ):
        with pytest.raises(ValueError, match=message):
            make_method("uniform", {"factor": factor}).check(model, context, features=False)
