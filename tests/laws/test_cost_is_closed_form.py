"""Law 6: the cost of the shrunk network is the cost computed from the widths alone."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Spec
from pocketgan.metrics.cost import CostModel
from pocketgan.pruning.selection import shrink
from zoo import every_example, example_input, few, generate, narrower, once, selections, size


@once
def whole(spec: Spec) -> CostModel:
    return CostModel(spec.build(device="meta"), size(spec))


def counted_macs(model: nn.Module, spec: Spec) -> int:
    """By torch's own counter, which watches the operations of a real forward."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        generate(model.eval(), example_input(spec, batch=1))
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return flops // 2


@every_example
@few
@given(data=st.data())
def test_cost_of_the_shrunk_is_cost_at_the_widths(spec: Spec, data: st.DataObject) -> None:
    cost = whole(spec)
    small = shrink(spec.build(), data.draw(selections(spec)))
    assert cost(widths_of(small)) == CostModel(small, size(spec))()
    assert cost(widths_of(small)).params == sum(parameter.numel() for parameter in small.parameters())
    assert cost(widths_of(small)).macs == counted_macs(small, spec)


@every_example
def test_cost_of_the_whole_network(spec: Spec) -> None:
    model, cost = spec.build(), whole(spec)
    assert not cost.uncounted
    assert cost() == cost(spec.widths)
    assert cost().params == sum(parameter.numel() for parameter in model.parameters())
    assert cost().macs == counted_macs(model, spec)


@every_example
@few
@given(data=st.data())
def test_many_at_once_is_one_at_a_time(spec: Spec, data: st.DataObject) -> None:
    cost = whole(spec)
    rows = [{**spec.widths, **widths} for widths in data.draw(st.lists(narrower(spec), min_size=3, max_size=3))]
    table = np.array([[row[group] for group in cost.widths] for row in rows])
    assert cost.many(table, chunk=2).tolist() == [list(cost(row)) for row in rows]
    for row in rows:
        assert [sum(column) for column in zip(*cost.by_group(row).values(), strict=True)] == list(cost(row))


@every_example
def test_paper_count_charges_norms_and_outputs_of_transposed_convolutions(spec: Spec) -> None:
    """Counted from the shapes that a real forward shows, layer by layer, without any named width; products as they are."""
    model = spec.build().eval()
    seen = [counted_macs(model, spec)]

    def watch(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        match module:
            case nn.ConvTranspose2d():
                taps = module.kernel_size[0] ** 2 * int(module.in_channels) * int(module.out_channels) // int(module.groups)
                seen.append(taps * (output[:, 0].numel() - inputs[0][:, 0].numel()))
            case nn.BatchNorm2d() | nn.InstanceNorm2d():
                seen.append(output.numel())

    for module in model.modules():
        module.register_forward_hook(watch)
    with torch.no_grad():
        generate(model, example_input(spec, batch=1))
    assert whole(spec)().macs_paper == sum(seen)
