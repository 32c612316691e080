"""Spectral norm: there while a network learns, folded into its weights before it is cut or shipped."""

from __future__ import annotations

import copy
import dataclasses

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from pocketgan.core.spec import Spec


def spectral_(layer: nn.Module) -> None:
    """Divide the layer's weight by its largest singular value from now on (Miyato et al. 2018, eq. 8), in place."""
    spectral_norm(layer)


def folded(model: nn.Module) -> nn.Module:
    """A copy that computes the same as ``model`` does in evaluation mode, with plain weights; its spec says so, too."""
    plain = copy.deepcopy(model).eval()
    for module in plain.modules():
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name)
    spec = getattr(plain, "spec", None)
    if isinstance(spec, Spec) and getattr(spec, "spectral", False):
        plain.spec = dataclasses.replace(spec, spectral=False)  # type: ignore[assignment, call-arg]
    return plain.train(model.training)
