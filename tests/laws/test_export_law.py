"""Law 7: an exported generator computes what PyTorch does.

Exporting takes seconds, so each registered generator is tried once, on the example with the most kinds of layers.
"""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from pocketgan.core.dims import removable_groups
from pocketgan.core.inputs import Input
from pocketgan.core.spec import MODELS, Spec
from pocketgan.export import FORMATS, Deployable
from zoo import EXAMPLES, in_channels, randomized, size, tiny


def with_few_branches() -> Spec:
    """All kinds of layers that SPADE networks have, each about once: exporting takes time by the layer."""
    spec = tiny("inception-spade", in_channels=3, upsamplings=5, kernels=(3,))
    kept = {"head_res3", "head_spade_dw3", "up0_dw3", "up0_spade_res3"}
    return spec.resized(dict.fromkeys(removable_groups(spec.build(device="meta")) - kept, 0))


TRIED = {
    "resnet": EXAMPLES["resnet"]["batch"],
    "mobile-resnet": EXAMPLES["mobile-resnet"]["absent-block"],
    "unet": EXAMPLES["unet"]["absent-levels"],
    "inception": EXAMPLES["inception"]["absent-branches"],
    "inception-spade": with_few_branches(),
    "munit": EXAMPLES["munit"]["affine"],
    "munit-without-style-encoder": tiny("munit", blocks=1, style_encoder=False),
    "sagan": EXAMPLES["sagan"]["published"],
    "stylegan2": EXAMPLES["stylegan2"]["skip"],
    "stylegan2-residual": EXAMPLES["stylegan2"]["residual"],
}
OF_THE_SAME_LAYERS = {"spade", "mobile-spade", "mobile-munit"}
"""Half a minute each, for nothing that the others do not have."""
READS = {
    "munit": {"image": 4, "reference": 4},
    "munit-without-style-encoder": {"image": 4, "style": 2},
    **{name: {"latent": 2} for name in ("sagan", "stylegan2", "stylegan2-residual")},
}
"""``{name of an input: its dimensions}`` of those that do not read one image."""


def test_every_generator_is_tried() -> None:
    specs = {name: next(iter(variants.values())) for name, variants in EXAMPLES.items()}
    generators = {name for name, spec in specs.items() if spec.output_shape or hasattr(spec.build(device="meta"), "stride")}
    assert {name for name in TRIED if name in MODELS} | OF_THE_SAME_LAYERS == generators
    accumulators = {"patchgan", "pixel", "multiscale", "ms-image", "sagan-discriminator", "stylegan2-discriminator"}
    assert set(MODELS) - generators == accumulators


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", TRIED)
def test_export_is_eager(name: str, format: str, tmp_path: Path) -> None:
    assert format == "onnx", "a new format needs its own way to be run here"
    spec = TRIED[name]
    model = randomized(spec)
    done = FORMATS[format](model, tmp_path / "g.onnx", size=size(spec), verify=False)
    nodes = {node.op_type for node in onnx.load(done.path).graph.node}
    assert "BatchNormalization" not in nodes
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    assert {given.name: len(given.shape) for given in session.get_inputs()} == READS.get(name, {"image": 4})
    height, width = size(spec)
    for batch, sides in ((1, (height, width)), (2, (height + 3, width - 1))):
        given = drawn(spec, batch, sides)
        (image,) = session.run(None, dict(zip(READS.get(name, ["image"]), (x.numpy() for x in given), strict=True)))
        with torch.inference_mode():
            torch.testing.assert_close(torch.from_numpy(image), Deployable(model)(*given), rtol=0, atol=2e-5)


def drawn(spec: Spec, batch: int, sides: tuple[int, int]) -> tuple[Tensor, ...]:
    """All that the network reads, images of those sides; images that a style is read off have the file's own."""
    generator = torch.Generator().manual_seed(batch)
    first, *more = (each for each in spec.inputs or (Input("input", in_channels(spec)),) if not each.optional)
    shapes = (first.shape(batch, sides), *(each.shape(batch, size(spec)) for each in more))
    return tuple(
        torch.randn(shape, generator=generator) if len(shape) == 2 else torch.rand(shape, generator=generator) * 2 - 1
        for shape in shapes
    )
