"""Every method that needs no training, on every generator: within the budget, what it says, and a network that runs."""

import pytest
import torch

import pocketgan.methods
from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Spec
from pocketgan.methods import METHODS, Method, MethodContext, make_method
from pocketgan.metrics.cost import CostModel
from pocketgan.models import mobile_resnet, resnet, unet
from pocketgan.pruning.budget import parse_budget
from pocketgan.pruning.fit_budget import floor_widths
from pocketgan.pruning.importance import IMPORTANCES
from pocketgan.pruning.selection import shrink
from zoo import randomized

SPECS = {"resnet": resnet(6, blocks=2), "mobile": mobile_resnet(6, blocks=2), "unet": unet(4, depth=5)}
READY = [name for name, method in METHODS.items() if not method.learns]


def context(spec: Spec, budget: str, multiple: int = 1) -> MethodContext:
    cost = CostModel(spec.build(device="meta"), 32)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return MethodContext(parse_budget(budget, cost()), cost, multiple, lambda: [images])


@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize(("kind", "unit"), [("macs", ""), ("params", "params"), ("macs_paper", "paper")])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("name", READY)
def test_the_student_is_within_the_budget_and_generates(name: str, spec: Spec, kind: str, unit: str, multiple: int) -> None:
    model, cost = randomized(spec), CostModel(spec.build(device="meta"), 32)
    low, high = (getattr(c, kind) for c in (cost(floor_widths(model, multiple=multiple, removing=False)), cost()))
    about = context(spec, f"{(2 * low + high) // 3}{unit}", multiple)
    small = shrink(model, make_method(name, {}).select(model, about))
    assert about.budget.allows(CostModel(small, 32)())
    assert small(torch.zeros(1, 3, 32, 32)).isfinite().all()
    assert all(new % multiple == 0 or new == old for new, old in zip(*map(list_of_widths, (small, model)), strict=True))


def list_of_widths(model: torch.nn.Module) -> list[int]:
    return list(widths_of(model).values())


def test_uniform_scales_all_groups_alike_and_keeps_the_best_channels() -> None:
    spec = SPECS["resnet"]
    model, about = randomized(spec), context(spec, "4x")
    kept = make_method("uniform", {}).select(model, about)
    parts = [len(kept[group]) / width for group, width in spec.widths.items()]
    assert max(parts) - min(parts) <= 1 / min(spec.widths.values())
    scores = IMPORTANCES["contribution"](model, about.images())
    for group, indices in kept.items():
        out = [i for i in range(spec.widths[group]) if i not in indices.tolist()]
        assert scores[group][indices].min() >= scores[group][out].max()


def test_magnitude_keeps_everything_above_one_threshold() -> None:
    spec = SPECS["resnet"]
    model, about = randomized(spec), context(spec, "3x")
    kept = make_method("magnitude", {"least": 0.0}).select(model, about)
    scores = IMPORTANCES["contribution"](model, about.images())
    inside = torch.cat([scores[group][indices] for group, indices in kept.items()])
    outside = torch.cat([scores[g][[i for i in range(w) if i not in kept[g].tolist()]] for g, w in spec.widths.items()])
    alone = [float(scores[group].max()) for group in spec.widths if len(kept[group]) == 1]  # kept for being the last
    assert inside[~torch.isin(inside, torch.tensor(alone).double())].min() >= outside.max()


def test_the_published_norm_is_an_option_and_decides_otherwise() -> None:
    spec = SPECS["resnet"]
    model, about = randomized(spec), context(spec, "3x")
    ours, theirs = (make_method("uniform", {"importance": name}).select(model, about) for name in ("contribution", "l1"))
    assert {group: len(kept) for group, kept in ours.items()} == {group: len(kept) for group, kept in theirs.items()}
    assert any(not torch.equal(ours[group], theirs[group]) for group in ours)


@pytest.mark.parametrize("name", READY)
def test_a_budget_below_the_floor_names_the_floor(name: str) -> None:
    spec = SPECS["unet"]
    model = randomized(spec)
    with pytest.raises(ValueError, match=r"budget '100params' \(100 params\) is below the floor: .* ask for at least that"):
        make_method(name, {}).select(model, context(spec, "100params"))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_tells_what_it_does_in_one_line(name: str) -> None:
    method = METHODS[name]
    assert issubclass(method, Method)
    assert 20 < len(method.summary) < 110
    assert "\n" not in method.summary
    assert name.replace("-", "_") in pocketgan.methods.__all__


def test_unknown_names_options_and_values() -> None:
    with pytest.raises(ValueError, match=r"no method named 'magnitud'. Did you mean 'magnitude'"):
        make_method("magnitud", {})
    with pytest.raises(ValueError, match=r"no field named 'importence'. Did you mean 'importance'"):
        make_method("uniform", {"importence": "l1"})
    with pytest.raises(ValueError, match="importance='l2': Input should be 'contribution' or 'l1'"):
        make_method("uniform", {"importance": "l2"})
