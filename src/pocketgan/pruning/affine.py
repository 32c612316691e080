"""Scales on norms that have none, so that there is something to learn, to rank and to fold into."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from pocketgan.core.spec import spec_of


def affine_norms(model: nn.Module) -> nn.Module:
    """The same function with a scale of 1 and a shift of 0 on every norm without them, where a spec says ``instance``.

    A network whose norms have scales comes back as it is. The one model in the house's own words: its spec says
    ``instance_affine``, so what is learnt on the scales is saved and exported like any other weight.
    """
    spec = spec_of(model)
    if getattr(spec, "norm", None) != "instance":
        return model
    richer = dataclasses.replace(spec, norm="instance_affine").build(device="meta").to_empty(device="cpu")  # type: ignore[call-arg]
    known = model.state_dict()
    new = {
        name: torch.full_like(own, name.endswith("weight")) for name, own in richer.state_dict().items() if name not in known
    }
    richer.load_state_dict({**new, **known})
    return richer.train(model.training)
