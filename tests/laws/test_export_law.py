"""Law 7: an exported generator computes what PyTorch does.

Every generator is tried in the form that is exported: batch norms folded, any size. Exporting that form to ONNX takes seconds:
one network of each family of operators goes through a file.
"""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketgan.core.dims import removable_groups
from pocketgan.core.inputs import Input
from pocketgan.core.spec import MODELS, Spec
from pocketgan.deploy import Deployable, export_onnx
from pocketgan.deploy.fold import fold_norms
from zoo import EXAMPLES, example, in_channels, size, tiny

DISCRIMINATORS = {"patchgan", "pixel", "multiscale", "ms-image", "sagan-discriminator", "stylegan2-discriminator"}
GENERATORS = {
    f"{name}-{variant}": spec
    for name, variants in EXAMPLES.items()
    for variant, spec in variants.items()
    if name not in DISCRIMINATORS
}


def with_few_branches() -> Spec:
    """All kinds of layers that SPADE networks have, each about once: exporting takes time by the layer."""
    spec = tiny("inception-spade", in_channels=3, upsamplings=5, kernels=(3,))
    kept = {"head_res3", "head_spade_dw3", "up0_dw3", "up0_spade_res3"}
    return spec.resized(dict.fromkeys(removable_groups(spec.build(device="meta")) - kept, 0))


FAMILIES = {
    "convolutions and norms": tiny("inception", blocks=1, kernels=(3,), norm="batch", dropout=0.5),
    "modulation by labels": with_few_branches(),
    "styles": EXAMPLES["munit"]["affine"],
    "attention": EXAMPLES["sagan"]["published"],
    "modulated convolutions": EXAMPLES["stylegan2"]["skip"],
}
"""``{family of operators: a network of it}``. Concatenation (U-Net) and instance norms go through files in tests/deploy."""

FAMILY_OF = {
    **dict.fromkeys(("resnet", "mobile-resnet", "unet", "inception"), "convolutions and norms"),
    **dict.fromkeys(("spade", "mobile-spade", "inception-spade"), "modulation by labels"),
    **dict.fromkeys(("munit", "mobile-munit"), "styles"),
    "sagan": "attention",
    "stylegan2": "modulated convolutions",
}
INPUTS = {
    "styles": {"image": 4, "reference": 4},
    "attention": {"latent": 2},
    "modulated convolutions": {"latent": 2},
}
"""``{family: {name of an input in the file: its dimensions}}`` where the input is not one image."""


def test_every_generator_is_of_a_family() -> None:
    assert set(FAMILY_OF) | DISCRIMINATORS == set(MODELS)
    assert set(FAMILY_OF.values()) == set(FAMILIES)


def inputs_of(spec: Spec, batch: int, sides: tuple[int, int]) -> tuple[Tensor, ...]:
    """Random inputs for images of those sides; reference images have the file's own."""
    generator = torch.Generator().manual_seed(batch)
    first, *more = (entry for entry in spec.inputs or (Input("input", in_channels(spec)),) if not entry.optional)
    shapes = (first.shape(batch, sides), *(entry.shape(batch, size(spec)) for entry in more))
    return tuple(
        torch.randn(shape, generator=generator) if len(shape) == 2 else torch.rand(shape, generator=generator) * 2 - 1
        for shape in shapes
    )


def at_any_size(model: nn.Module, image: Tensor, *more: Tensor) -> Tensor:
    """The network's own output, of the image reflected at the bottom and right up to the next multiples of the stride."""
    if image.ndim == 2:
        return model(image).clamp(-1, 1)
    below, right = (-side % model.stride for side in image.shape[-2:])
    output = model(F.pad(image, (0, right, 0, below), mode="reflect") if below or right else image, *more)
    return output[..., : image.shape[-2], : image.shape[-1]]


def other_sides(spec: Spec) -> tuple[int, int]:
    height, width = size(spec)
    return height + 3, width - 1


@pytest.mark.parametrize("name", GENERATORS)
@torch.no_grad()
def test_the_form_that_is_exported_computes_the_same(name: str) -> None:
    spec = GENERATORS[name]
    model = example(spec).model
    exported = Deployable(fold_norms(model).float()).double()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in exported.modules())
    inputs = tuple(x.double() for x in inputs_of(spec, 2, other_sides(spec)))
    torch.testing.assert_close(exported(*inputs), at_any_size(model, *inputs), rtol=0, atol=2e-5)  # weights of float32


@pytest.mark.parametrize("family", FAMILIES)
def test_export_is_eager(family: str, tmp_path: Path) -> None:
    spec = FAMILIES[family]
    model = example(spec, torch.float32).model
    exported = export_onnx(model, tmp_path / "g.onnx", size=size(spec), verify=False)
    nodes = {node.op_type for node in onnx.load(exported.path).graph.node}
    assert "BatchNormalization" not in nodes
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    names = INPUTS.get(family, {"image": 4})
    assert {entry.name: len(entry.shape) for entry in session.get_inputs()} == names
    for batch, sides in ((1, size(spec)), (2, other_sides(spec))):
        inputs = inputs_of(spec, batch, sides)
        (image,) = session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))
        with torch.inference_mode():
            torch.testing.assert_close(torch.from_numpy(image), at_any_size(model, *inputs), rtol=0, atol=2e-5)
