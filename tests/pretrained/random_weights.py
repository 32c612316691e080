"""Random weights, equal on every machine, with which the activations of a deep network neither vanish nor overflow."""

import torch


def draw_(state: dict[str, torch.Tensor], *, fixed: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    """New values for all tensors but the ``fixed`` ones and the counts of batches, in the order of the state."""
    rng = torch.Generator().manual_seed(0)
    for name, tensor in state.items():
        if name in fixed or name.endswith("num_batches_tracked"):
            continue
        if tensor.ndim > 1:
            tensor.copy_(torch.randn(tensor.shape, generator=rng) * (2 / tensor[0].numel()) ** 0.5)
        elif name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=rng) + 0.5)
        elif name.endswith("weight"):
            tensor.copy_(torch.rand(tensor.shape, generator=rng) * 0.5 + 0.3)
        else:
            tensor.copy_(torch.randn(tensor.shape, generator=rng) * 0.1)
    return state
