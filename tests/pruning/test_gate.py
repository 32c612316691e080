import pytest
import torch
from torch import nn

from pocketgan.core.spec import Spec
from pocketgan.models import mobile_resnet, patchgan, pixel, resnet, unet
from pocketgan.pruning.gate import Gate, GateSite, add_gates_, close_gates_, gate_sites, remove_gates_
from zoo import example_input, randomized

SMALL = [
    resnet(3, blocks=1, norm="batch"),
    resnet(3, blocks=1, norm="batch").resized({"block0": 0}),
    mobile_resnet(3, blocks=1),
    unet(3, depth=2),
    patchgan(3, layers=1),
    pixel(3),
]
every_kind = pytest.mark.parametrize("spec", SMALL, ids=["resnet", "absent-block", "mobile", "unet", "patchgan", "pixel"])


def gated(spec: Spec) -> nn.Module:
    """Model with gates between open and closed."""
    model = randomized(spec)
    for gate in add_gates_(model).values():
        gate.mask.uniform_(generator=torch.Generator().manual_seed(0))
    return model


def test_gates_survive_compilation() -> None:
    spec = mobile_resnet(3, blocks=1)
    model, x = gated(spec), example_input(spec)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), atol=1e-6, rtol=0)
        close_gates_(model, {})
        torch.testing.assert_close(compiled(x), model(x), atol=1e-6, rtol=0)


@every_kind
def test_gates_survive_export(spec: Spec) -> None:
    model, x = gated(spec), example_input(spec)
    program = torch.export.export(model, (x,))
    assert {name for name in program.state_dict if name.endswith("gate.mask")} == {
        f"{site.module}.gate.mask" for site in gate_sites(model)
    }
    torch.testing.assert_close(program.module()(x), model(x), atol=1e-6, rtol=0)


def test_sites_name_producers_and_pass_through_layers() -> None:
    model = mobile_resnet(3, blocks=1).build(device="meta")
    w = model.spec.widths
    sites = [(site.module, site.producer, repr(site.dim), site.pass_through) for site in gate_sites(model)]
    assert sites == [
        ("stem.norm", "stem.conv", f"Dim(stem:{w['stem']})", False),
        ("down1.norm", "down1.conv", f"Dim(down1:{w['down1']})", False),
        ("down2.norm", "down2.conv", f"Dim(trunk:{w['trunk']})", False),
        ("block0.a.norm", "block0.a.conv", f"Dim(block0:{w['block0']})", False),
        ("block0.a.conv.norm", "block0.a.conv.depthwise", f"Dim(trunk:{w['trunk']})", True),
        ("block0.b.norm", "block0.b.conv", f"Dim(trunk:{w['trunk']})", False),
        ("block0.b.conv.norm", "block0.b.conv.depthwise", f"Dim(block0:{w['block0']})", True),
        ("up1.norm", "up1.conv", f"Dim(up1:{w['up1']})", False),
        ("up2.norm", "up2.conv", f"Dim(up2:{w['up2']})", False),
    ]


def test_a_layer_without_norm_is_its_own_site() -> None:
    assert [site[:2] for site in gate_sites(patchgan(3, layers=1).build())] == [
        ("conv1.conv", "conv1.conv"),
        ("conv2.norm", "conv2.conv"),
    ]


def test_the_shift_of_an_absent_block_has_its_own_site() -> None:
    sites = {site.module: site for site in gate_sites(SMALL[1].build())}
    shift = sites["block0.shift"]
    assert shift == GateSite("block0.shift", "block0.shift", shift.dim, False)
    assert shift.dim.groups == ("trunk",)


def test_a_gate_scales_channels() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    assert gate_sites(model) == []
    gate = Gate(patchgan(3).build().conv1.conv.out_channels)
    gate.mask.copy_(torch.tensor([0.0, 0.5, 1.0]))
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(gate(x), torch.stack([x[:, 0] * 0, x[:, 1] * 0.5, x[:, 2]], 1))


def test_other_hooks_stay_when_gates_go() -> None:
    model, seen = randomized(resnet(3, blocks=1)), []
    model.stem.norm.register_forward_hook(lambda *_: seen.append(1))
    add_gates_(model)
    remove_gates_(model)
    remove_gates_(model)
    model(torch.zeros(1, 3, 16, 16))
    assert seen == [1]


def test_closing_again_opens_the_selected_channels() -> None:
    model = randomized(resnet(3, blocks=1))
    x = torch.randn(1, 3, 16, 16)
    before = model(x)
    close_gates_(model, {"trunk": torch.tensor([0])})
    assert not torch.equal(model(x), before)
    close_gates_(model, {})
    assert torch.equal(model(x), before)
