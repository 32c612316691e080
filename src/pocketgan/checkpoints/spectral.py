"""Spectral norm by its published names: ``weight_orig``, ``weight_u`` and ``weight_v`` in the place of ``weight``.

These are the names of ``torch.nn.utils.spectral_norm``, by which SPADE trains; the vectors are those of its power iteration
(Miyato et al. 2018). Our networks have torch's parametrization: the same tensors, the same result, other names.
"""

from __future__ import annotations

from torch import Tensor

from pocketgan.core.tensors import State

LEAVES = {
    "parametrizations.weight.original": "weight_orig",
    "parametrizations.weight.0._u": "weight_u",
    "parametrizations.weight.0._v": "weight_v",
}
"""``{ours: theirs}`` of one layer's tensors."""

_ORIGINAL = ".weight_orig"


def is_spectral(state: State) -> bool:
    """True if any weight is under spectral norm."""
    return any(name.endswith(_ORIGINAL) for name in state)


def plain_names(state: State) -> dict[str, Tensor]:
    """The state with every weight under its name without spectral norm; values are as stored."""
    return {
        name.removesuffix("_orig") if name.endswith(_ORIGINAL) else name: tensor
        for name, tensor in state.items()
        if not name.endswith((".weight_u", ".weight_v"))
    }


def drop_legacy_spectral(state: State) -> State:
    """The state without spectral norm as PyTorch before 1.1 stored it: without vector v, the plain weight beside it."""
    legacy = {
        layer
        for name in state
        if name.endswith(_ORIGINAL)
        and f"{(layer := name.removesuffix(_ORIGINAL))}.weight_v" not in state
        and f"{layer}.weight" in state
    }
    surplus = {f"{layer}.{leaf}" for layer in legacy for leaf in ("weight_orig", "weight_u")}
    return {name: tensor for name, tensor in state.items() if name not in surplus}


def fold_spectral(state: State) -> State:
    """The state with plain weights: each divided by its largest singular value, by the stored vectors.

    A layer that lacks one of its vectors, or has one of another length, is left as it is.
    """
    result = dict(state)
    for name, weight in state.items():
        layer = name.removesuffix(_ORIGINAL)
        u, v = state.get(f"{layer}.weight_u"), state.get(f"{layer}.weight_v")
        if not name.endswith(_ORIGINAL) or u is None or v is None:
            continue
        matrix = weight.flatten(1)
        if (len(u), len(v)) == tuple(matrix.shape):
            for leaf in ("weight_orig", "weight_u", "weight_v"):
                del result[f"{layer}.{leaf}"]
            result[f"{layer}.weight"] = weight / u.dot(matrix.mv(v))
    return result
