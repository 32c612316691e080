"""Law 7: an exported generator computes what PyTorch does.

Exporting takes seconds, so each registered generator is tried once, on the example with the most kinds of layers.
"""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch

from pocketgan.core.dims import removable_groups
from pocketgan.core.spec import MODELS, Spec
from pocketgan.export import FORMATS, Deployable
from zoo import EXAMPLES, in_channels, randomised, size, tiny


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
}
OF_THE_SAME_LAYERS = {"spade", "mobile-spade"}
"""Half a minute each, for nothing that the others do not have."""


def test_every_generator_is_tried() -> None:
    models = {name: next(iter(variants.values())).build(device="meta") for name, variants in EXAMPLES.items()}
    generators = {name for name, model in models.items() if hasattr(model, "stride")}
    assert set(TRIED) | OF_THE_SAME_LAYERS == generators
    assert set(MODELS) - generators == {"patchgan", "pixel", "multiscale"}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", TRIED)
def test_export_is_eager(name: str, format: str, tmp_path: Path) -> None:
    assert format == "onnx", "a new format needs its own way to be run here"
    spec = TRIED[name]
    model = randomised(spec)
    done = FORMATS[format](model, tmp_path / "g.onnx", size=size(spec), verify=False)
    nodes = {node.op_type for node in onnx.load(done.path).graph.node}
    assert "BatchNormalization" not in nodes
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    height, width = size(spec)
    for batch, sides in ((1, (height, width)), (2, (height + 3, width - 1))):
        generator = torch.Generator().manual_seed(batch)
        image = torch.rand(batch, in_channels(spec), *sides, generator=generator) * 2 - 1
        (picture,) = session.run(None, {"image": image.numpy()})
        with torch.inference_mode():
            torch.testing.assert_close(torch.from_numpy(picture), Deployable(model)(image), rtol=0, atol=2e-5)
