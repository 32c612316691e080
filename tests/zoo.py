"""Tiny examples of every registered model, in which no two widths are equal and no layer is the identity.

Equal widths hide swapped axes; initial values (norm scales 1, shifts 0, means 0) hide tensors that were not carried along.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from torch import Tensor, nn

import pocketgan.models  # noqa: F401  (fills the registries)
from pocketgan.core.dims import removable_groups, widths_of
from pocketgan.core.inputs import ModelInputs, run
from pocketgan.core.spec import MODELS, Spec
from pocketgan.pruning.selection import shrink

PRIMES = (5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)
DISTINCT = (*PRIMES, *(number for number in range(8, 42) if number not in PRIMES))
"""For networks of more groups than there are small primes."""


def tiny(name: str, *, absent: tuple[str, ...] = (), **choices: Any) -> Spec:
    """The registered model with a different width for every group, primes where they suffice; groups in ``absent`` are 0.

    Of networks with more groups the last ones, which run at full resolution, get the smallest widths.
    """
    spec = MODELS[name](**choices)
    groups = spec.groups() if len(spec.groups()) <= len(PRIMES) else reversed(spec.groups())
    distinct = dict(zip(groups, DISTINCT, strict=False))
    return spec.resized(distinct | dict.fromkeys(absent, 0))


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


def _parameters(names: list[str]) -> list[Any]:
    # One worker of xdist runs all tests of a network, so that each network is built once.
    return [pytest.param(SPECS[name], id=name, marks=pytest.mark.xdist_group(f"zoo-{name}")) for name in names]


every_example = pytest.mark.parametrize("spec", _parameters(list(SPECS)))
"""Runs a test over the whole zoo."""

REPRESENTATIVES = {
    "resnet-batch": "residual blocks",
    "mobile-resnet-absent-block": "separable convolutions",
    "unet-depth-3-instance": "concatenations",
    "inception-absent-branches": "parallel branches",
    "mobile-spade-instance": "modulation by labels, separable",
    "inception-spade-absent-branches": "modulation by labels, parallel branches",
    "munit-affine": "styles",
    "sagan-published": "attention",
    "sagan-discriminator-published": "attention in a discriminator",
    "multiscale-two-scales": "several discriminators",
    "stylegan2-residual": "modulated convolutions",
    "stylegan2-discriminator-residual": "statistics over a batch",
}
"""``{name in SPECS: block type that it stands for}``."""

with_branches = pytest.mark.parametrize(
    "spec", _parameters([name for name, spec in SPECS.items() if any(spec.widths[group] for group in spec.optional())])
)
"""Runs a test over the examples with branches that can be removed."""

one_of_each_block = pytest.mark.parametrize("spec", _parameters(list(REPRESENTATIVES)))
"""Runs a test over one network of each block type: for laws in float32, and for repeats of a law."""

few = settings(
    max_examples=2,
    phases=(Phase.generate, Phase.shrink),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""For costly properties: a few cases each, the same ones in every run."""


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
    """``batch`` images of `size`, always the same; a tuple of all required inputs for a network that reads anything else."""
    generator = torch.Generator().manual_seed(1)
    required = [entry for entry in spec.inputs if not entry.optional]
    shapes = [entry.shape(batch, size(spec)) for entry in required] or [(batch, in_channels(spec), *size(spec))]
    tensors = tuple(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes)
    return tensors if required else tensors[0]


def randomized(spec: Spec, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The network in evaluation mode with every weight, bias, norm statistic, scale and shift drawn at random."""
    return randomize_(spec.build(), seed=seed).to(dtype).eval()


def generate(model: nn.Module, x: ModelInputs) -> Tensor:
    """The model's output; that of a discriminator of several scales as one tensor."""
    output = run(model, x)
    return output if isinstance(output, Tensor) else torch.cat([logits.flatten(1) for logits in output], 1)


@torch.no_grad()
def predict(model: nn.Module, x: ModelInputs) -> Tensor:
    """The same without gradients."""
    return generate(model, x)


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


def narrower(widths: Mapping[str, int], removable: frozenset[str], seed: int) -> dict[str, int]:
    """Random widths of about three quarters of the present groups, at least 1; a quarter of the removable groups are 0."""
    draw = random.Random(seed)
    present = [group for group, width in widths.items() if width > 0]
    chosen = [group for group in present if draw.random() < 0.75] or present[:1]
    return {group: 0 if group in removable and draw.random() < 0.25 else draw.randint(1, widths[group]) for group in chosen}


def random_selection(widths: Mapping[str, int], removable: frozenset[str], seed: int) -> dict[str, Tensor]:
    """As many channels of each group as `narrower` says, in random order."""
    generator = torch.Generator().manual_seed(seed)
    return {
        group: torch.randperm(widths[group], generator=generator)[:width]
        for group, width in narrower(widths, removable, seed).items()
    }


class Example:
    """A randomized network of the zoo with all that its laws share, each part made once a session.

    No test may change any of it: `copy.deepcopy` the model first.
    """

    def __init__(self, spec: Spec, dtype: torch.dtype):
        self.spec, self.dtype = spec, dtype
        self.model = randomized(spec, dtype=dtype)
        self.x = example_input(spec, dtype=dtype)
        self.widths, self.removable = widths_of(self.model), removable_groups(self.model)

    @cached_property
    def output(self) -> Tensor:
        """The model's output of `x`."""
        return predict(self.model, self.x)

    def narrower(self, seed: int) -> dict[str, int]:
        """Random smaller widths."""
        return narrower(self.widths, self.removable, seed)

    def random_selection(self, seed: int) -> dict[str, Tensor]:
        """A random selection of channels, in random order."""
        return random_selection(self.widths, self.removable, seed)

    @cached_property
    def selection(self) -> dict[str, Tensor]:
        """The selection that the laws share."""
        return self.random_selection(0)

    @cached_property
    def small(self) -> nn.Module:
        """The model cut down to `selection`."""
        return shrink(self.model, self.selection)

    @cached_property
    def small_output(self) -> Tensor:
        """The small network's output of `x`."""
        return predict(self.small, self.x)


_EXAMPLES: dict[tuple[int, torch.dtype], Example] = {}


def example(spec: Spec, dtype: torch.dtype = torch.float64) -> Example:
    """The shared example of a spec in `SPECS`. Specs cannot be hashed, but those in `SPECS` live as long as the tests."""
    key = id(spec), dtype
    if key not in _EXAMPLES:
        _EXAMPLES[key] = Example(spec, dtype)
    return _EXAMPLES[key]
