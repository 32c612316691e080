"""Tiny examples of every registered model, in which no two widths are equal and no layer is the identity.

Equal widths hide swapped axes; initial values (norm scales 1, shifts 0, means 0) hide tensors that were not carried along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import pocketgan.models  # noqa: F401  (fills the registries)
from pocketgan.core.dims import removable_groups
from pocketgan.core.inputs import ModelInputs, run
from pocketgan.core.spec import MODELS, Spec

T = TypeVar("T")

PRIMES = (5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)
DISTINCT = (*PRIMES, *(number for number in range(8, 42) if number not in PRIMES))
"""For networks of more groups than there are small primes."""


def tiny(name: str, *, absent: tuple[str, ...] = (), **choices: Any) -> Spec:
    """The registered model with a different prime for every group; the groups in ``absent`` are 0."""
    spec = MODELS[name](**choices)
    primes = dict(zip(spec.groups(), DISTINCT, strict=False))
    return spec.resized(primes | dict.fromkeys(absent, 0))


EXAMPLES: dict[str, dict[str, Spec]] = {
    "resnet": {
        "instance": tiny("resnet", blocks=2, in_channels=1, out_channels=2),
        "affine": tiny("resnet", blocks=3, norm="instance_affine"),
        "batch": tiny("resnet", blocks=2, norm="batch", dropout=0.5),
        "no-blocks": tiny("resnet", blocks=0, norm="batch"),
        "five-blocks": tiny("resnet", blocks=5),
        "absent-block": tiny("resnet", blocks=2, norm="batch", absent=("block0",)),
        "absent-plain-block": tiny("resnet", blocks=2, absent=("block1",)),
    },
    "mobile-resnet": {
        "instance": tiny("mobile-resnet", blocks=2, in_channels=4),
        "affine": tiny("mobile-resnet", blocks=2, norm="instance_affine", depthwise_norm="instance_affine"),
        "batch": tiny("mobile-resnet", blocks=2, norm="batch"),
        "depthwise-batch": tiny("mobile-resnet", blocks=2, norm="batch", depthwise_norm="batch", dropout=0.5),
        "absent-block": tiny("mobile-resnet", blocks=2, norm="batch", depthwise_norm="batch", absent=("block1",)),
    },
    "unet": {
        "depth-2": tiny("unet", depth=2, in_channels=1, out_channels=2),
        "depth-3-instance": tiny("unet", depth=3, norm="instance"),
        "depth-4-affine": tiny("unet", depth=4, norm="instance_affine"),
        "depth-6-dropout": tiny("unet", depth=6),
        "absent-levels": tiny("unet", depth=5, absent=("down4", "up4", "down5", "up5")),
    },
    "inception": {
        "plain": tiny("inception", blocks=1, kernels=(1, 3), norm="instance", in_channels=1, out_channels=2),
        "absent-branches": tiny(
            "inception", blocks=2, kernels=(3, 5), norm="batch", dropout=0.5, absent=("block0_res3", "block0_dw5")
        ),
        "absent-block": tiny("inception", blocks=2, kernels=(1,), absent=("block0_res1", "block0_dw1")),
    },
    # Of many modules each, so that every law takes seconds: one example of each, and together all norms.
    "spade": {"batch": tiny("spade", in_channels=4, upsamplings=5, spectral=False)},
    "mobile-spade": {
        "instance": tiny(
            "mobile-spade", in_channels=3, upsamplings=5, spade_norm="instance", depthwise_norm="batch", spectral=False
        ),
    },
    "inception-spade": {
        "absent-branches": tiny(
            "inception-spade",
            in_channels=3,
            upsamplings=5,
            kernels=(3,),
            absent=(
                "head_res3",
                "head_dw3",
                "head_spade_res3",
                "head_spade_dw3",
                "middle0_spade_res3",
                "middle0_spade_dw3",
                "up0_dw3",
                "up1_spade_res3",
            ),
        ),
    },
    "munit": {
        "affine": tiny("munit", blocks=1, in_channels=1, out_channels=2, style_dim=6, norm="instance_affine"),
        "without-style-encoder": tiny("munit", blocks=2, style_encoder=False),
    },
    "mobile-munit": {"instance": tiny("mobile-munit", blocks=1)},
    "sagan": {
        "published": tiny("sagan", size=32, latent=9, spectral=False),
        "other-attention": tiny("sagan", size=32, latent=7, out_channels=1, attention=(4,), spectral=False),
    },
    "sagan-discriminator": {"published": tiny("sagan-discriminator", size=32, spectral=False)},
    "patchgan": {
        "1-layer": tiny("patchgan", layers=1),
        "2-layers-batch": tiny("patchgan", layers=2, norm="batch"),
        "3-layers-conditional": tiny("patchgan", layers=3, in_channels=6),
        "4-layers-affine": tiny("patchgan", layers=4, norm="instance_affine"),
    },
    "multiscale": {
        "two-scales": tiny("multiscale", layers=2, in_channels=4, spectral=False),
        "three-scales-batch": tiny("multiscale", scales=3, layers=1, norm="batch", spectral=False),
    },
    "ms-image": {"two-scales": tiny("ms-image", scales=2, layers=2)},
    "pixel": {
        "instance": tiny("pixel"),
        "affine": tiny("pixel", norm="instance_affine", in_channels=6),
        "batch": tiny("pixel", norm="batch"),
    },
    "stylegan2": {
        "skip": tiny("stylegan2", size=8, latent=6, mapping=2),
        "residual": tiny("stylegan2", size=16, latent=9, mapping=1, output="residual"),
    },
    "stylegan2-discriminator": {
        "residual": tiny("stylegan2-discriminator", size=16),
        "plain": tiny("stylegan2-discriminator", size=8, residual=False, batch_group=1),
    },
}
"""``{registered name: {variant: spec}}``."""

SPECS = {f"{name}-{variant}": spec for name, variants in EXAMPLES.items() for variant, spec in variants.items()}

every_example = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
"""The test runs over the whole zoo."""

few = settings(
    max_examples=2,
    phases=(Phase.generate, Phase.shrink),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""For properties tried over the whole zoo: a few cases each, the same ones in every run."""


def size(spec: Spec) -> tuple[int, int]:
    """A small (height, width), not square, that the network accepts at any of its widths."""
    if spec.output_shape is not None:
        return spec.output_shape
    if (side := getattr(spec, "size", None)) is not None:
        return side, side
    if spec.name in ("patchgan", "multiscale", "ms-image"):
        return 48, 64
    side = max(16, 2 ** getattr(spec, "depth", 0), 2 ** getattr(spec, "upsamplings", 0))
    return side, 2 * side


def in_channels(spec: Spec) -> int:
    """Channels of the input."""
    return int(spec.in_channels)  # type: ignore[attr-defined]


def example_input(spec: Spec, *, batch: int = 2, dtype: torch.dtype = torch.float32) -> Any:
    """``batch`` images of `size`, always the same; of a network that reads something else, all that it reads."""
    generator = torch.Generator().manual_seed(1)
    reads = [each for each in spec.inputs if not each.optional]
    shapes = [each.shape(batch, size(spec)) for each in reads] or [(batch, in_channels(spec), *size(spec))]
    drawn = tuple(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes)
    return drawn if reads else drawn[0]


def randomized(spec: Spec, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The network in evaluation mode with every weight, bias, norm statistic, scale and shift drawn at random."""
    return randomize_(spec.build(), seed=seed).to(dtype).eval()


def generate(model: nn.Module, x: ModelInputs) -> Tensor:
    """What the model gives; of several scales as one tensor."""
    given = run(model, x)
    return given if isinstance(given, Tensor) else torch.cat([logits.flatten(1) for logits in given], 1)


def randomize_(model: nn.Module, *, seed: int = 0) -> nn.Module:
    """Fill every floating tensor: kernels keep the size of what passes, everything else is of order one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.ndim > 1:
                tensor.normal_(0, (tensor[0].numel() + 1) ** -0.5, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, 1, generator=generator)
    return model


def selections(spec: Spec) -> st.SearchStrategy[dict[str, Tensor]]:
    """Any channels of any groups, in any order; branches may be emptied, and groups left out."""
    return selections_of(spec.widths, _removable(spec))


def selections_of(widths: Mapping[str, int], removable: frozenset[str]) -> st.SearchStrategy[dict[str, Tensor]]:
    """The same for given widths and the groups that may be emptied."""
    return st.builds(
        lambda kept, seed: {
            group: torch.randperm(widths[group], generator=torch.Generator().manual_seed(seed + i))[:width]
            for i, (group, width) in enumerate(kept.items())
        },
        narrower_than(widths, removable),
        st.integers(0, 1000),
    )


def narrower(spec: Spec) -> st.SearchStrategy[dict[str, int]]:
    """Any smaller widths of any groups; branches may be emptied."""
    return narrower_than(spec.widths, _removable(spec))


def narrower_than(widths: Mapping[str, int], removable: frozenset[str]) -> st.SearchStrategy[dict[str, int]]:
    """The same for given widths and the groups that may be emptied."""
    ranges = {group: st.integers(int(group not in removable), width) for group, width in widths.items() if width > 0}
    return st.fixed_dictionaries({}, optional=ranges)


def once(make: Callable[[Spec], T]) -> Callable[[Spec], T]:
    """Made once for every example: specs cannot be hashed, but the examples live as long as the tests."""
    made: dict[int, tuple[Spec, T]] = {}

    def get(spec: Spec) -> T:
        if id(spec) not in made:
            made[id(spec)] = spec, make(spec)
        return made[id(spec)][1]

    return get


@once
def _removable(spec: Spec) -> frozenset[str]:
    return removable_groups(spec.build(device="meta"))
