"""Hooks and modes end with their block, also after an error."""

import pytest
import torch
from torch import nn

from pocketgan.core.hooks import evaluation_mode, forward_hooks


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 3), nn.Dropout()), nn.Linear(3, 1))


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_hooks_before_and_after_a_forward() -> None:
    model, calls = network(), []
    with (
        forward_hooks([(model[0], lambda module, inputs: calls.append("before"))], before=True),
        forward_hooks([(model[0], lambda module, inputs, output: calls.append("after"))]),
    ):
        model(torch.zeros(1, 2))
    assert calls == ["before", "after"]
    assert hooks(model) == 0


def test_an_error_leaves_no_hook_and_the_modes_as_they_were() -> None:
    model = network()

    def fail() -> None:
        with forward_hooks([(model[0], print)]), evaluation_mode(model):
            model(torch.zeros(1, 5))

    with pytest.raises(RuntimeError):
        fail()
    assert hooks(model) == 0
    assert all(module.training for module in model.modules())


def test_modes_come_back_module_by_module() -> None:
    model = network()
    model[1].eval()
    before = [module.training for module in model.modules()]
    with evaluation_mode(model) as same:
        assert same is model
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == before
    assert True in before
    assert False in before
