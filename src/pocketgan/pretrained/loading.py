"""Networks with the tensors of other people's files, to look at images with and never to train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from pocketgan.pretrained.weights import Published

Network = TypeVar("Network", bound=nn.Module)

_TOLD = 3  # names in an error


def filled(make: Callable[[], Network], state: Mapping[str, Tensor], *, path: Path, weights: Published) -> Network:
    """The network of ``make`` with exactly the tensors of ``state``, in float32, frozen and in evaluation mode.

    Counts of batches may be absent: files older than PyTorch 0.4.1 have none. Raises ``ValueError`` that says how the file
    at ``path`` differs from ``weights``, by names that are missing or unknown and shapes that differ, and where those are.
    """
    with torch.device("meta"):  # no time is spent on weights that are replaced
        network = make()
    expected = {name: tensor for name, tensor in network.state_dict().items() if not _is_count(name)}
    given = {name: tensor for name, tensor in state.items() if not _is_count(name)}
    shapes = {
        f"{name} {tuple(given[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    }
    missing, unknown = expected.keys() - given.keys(), given.keys() - expected.keys()
    told = [_told(*item) for item in (("missing", missing), ("unknown", unknown), ("of other shape", shapes)) if item[1]]
    if told:
        source = weights.url or weights.page
        raise ValueError(f"{path} does not hold {weights.name}: {'; '.join(told)}; take {source}")
    counts = {name: torch.zeros((), dtype=torch.int64) for name in network.state_dict() if _is_count(name)}
    network.load_state_dict({name: tensor.float() for name, tensor in given.items()} | counts, assign=True)
    return network.eval().requires_grad_(False)


def _is_count(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _told(what: str, names: set[str]) -> str:
    rest = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return f"{what}: {', '.join(sorted(names)[:_TOLD])}{rest}"
