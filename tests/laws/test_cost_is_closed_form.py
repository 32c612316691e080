"""Law 6: the cost of the shrunk network is the cost computed from the widths alone."""

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Spec
from pocketgan.metrics.cost import CostModel
from zoo import every_example, example, example_input, predict, size


def counted_macs(model: nn.Module, spec: Spec) -> int:
    """Counted by torch's own counter, which watches the operations of a real forward."""
    with FlopCounterMode(display=False) as counter:
        predict(model, example_input(spec, batch=1, dtype=torch.float64))
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return flops // 2


def parameters_of(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@every_example
def test_cost_of_the_shrunk_is_cost_at_the_widths(spec: Spec) -> None:
    shared = example(spec)
    cost = CostModel(shared.model, size(spec))
    at_widths = cost(widths_of(shared.small))
    assert at_widths == CostModel(shared.small, size(spec))()
    assert at_widths.params == parameters_of(shared.small)
    assert at_widths.macs == counted_macs(shared.small, spec)
    rows = [{**spec.widths, **shared.narrower(seed)} for seed in range(3)]
    table = np.array([[row[group] for group in cost.widths] for row in rows])
    assert cost.many(table, chunk=2).tolist() == [list(cost(row)) for row in rows]
    for row in rows:
        assert [sum(column) for column in zip(*cost.by_group(row).values(), strict=True)] == list(cost(row))


@every_example
def test_cost_of_the_original_network(spec: Spec) -> None:
    """Against one forward; the paper count charges norms, and outputs of transposed convolutions, by the shapes seen there."""
    model, cost = spec.build().double().eval(), CostModel(spec.build(device="meta"), size(spec))
    surplus: list[int] = []

    def watch(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        match module:
            case nn.ConvTranspose2d():
                taps = module.kernel_size[0] ** 2 * int(module.in_channels) * int(module.out_channels) // int(module.groups)
                surplus.append(taps * (output[:, 0].numel() - inputs[0][:, 0].numel()))
            case nn.BatchNorm2d() | nn.InstanceNorm2d():
                surplus.append(output.numel())

    for module in model.modules():
        module.register_forward_hook(watch)
    macs = counted_macs(model, spec)
    assert not cost.uncounted
    assert cost() == cost(spec.widths)
    assert cost() == (parameters_of(model), macs, macs + sum(surplus))
