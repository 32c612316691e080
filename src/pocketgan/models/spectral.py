"""Spectral norm: there while a network learns, folded into its weights before it is cut or shipped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.overrides import TorchFunctionMode

from pocketgan.core.spec import Spec


def spectral_(layer: nn.Module) -> None:
    """Divide the layer's weight by its largest singular value from now on (Miyato et al. 2018, eq. 8), in place."""
    if any(parameter.is_meta for parameter in layer.parameters()):
        with _WithoutLengths():
            spectral_norm(layer)
    else:
        spectral_norm(layer)


class _WithoutLengths(TorchFunctionMode):
    """Where there are no numbers a vector has no length: torch's first iterations would take a tenth of a second a layer."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return args[0] if func is nn.functional.normalize else func(*args, **(kwargs or {}))


def plain(spec: Spec) -> Spec:
    """The same description without spectral norm: of what is cut and shipped."""
    changed: dict[str, Any] = {"spectral": False}
    return dataclasses.replace(spec, **changed) if getattr(spec, "spectral", False) else spec


def folded(model: nn.Module) -> nn.Module:
    """The network with plain weights that computes what ``model`` does in evaluation mode; itself where its own are plain.

    Built anew: torch shares the class of a parametrized layer among its copies, so that one of them cannot be freed alone.
    """
    spec = getattr(model, "spec", None)
    if not isinstance(spec, Spec) or not getattr(spec, "spectral", False):
        return model
    bare, training = plain(spec).build(device="meta"), model.training
    if any(parameter.is_meta for parameter in model.parameters()):
        return bare.train(training)
    bare.to_empty(device="cpu")
    model.eval()
    with torch.no_grad():
        for name, tensor in bare.state_dict().items():
            path, _, leaf = name.rpartition(".")
            tensor.copy_(getattr(model.get_submodule(path), leaf))
    model.train(training)
    return bare.train(training)
