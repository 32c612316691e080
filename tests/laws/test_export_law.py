"""Law 7: an exported generator computes what PyTorch does.

Exporting takes seconds, so each registered generator is tried once, on the example with the most kinds of layers.
"""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch

from pocketgan.core.spec import MODELS
from pocketgan.export import FORMATS, Deployable
from zoo import EXAMPLES, in_channels, randomised, size

VARIANTS = {
    "resnet": "batch",
    "mobile-resnet": "absent-block",
    "unet": "absent-levels",
    "inception": "absent-branches",
}
ELSEWHERE = {"spade", "mobile-spade", "inception-spade"}
"""Half a minute each: `tests/pipeline/test_label_runs.py` exports the one with the most kinds of layers, of a run."""


def test_every_generator_is_tried() -> None:
    models = {name: next(iter(variants.values())).build(device="meta") for name, variants in EXAMPLES.items()}
    generators = {name for name, model in models.items() if hasattr(model, "stride")}
    assert set(VARIANTS) | ELSEWHERE == generators
    assert set(MODELS) - generators == {"patchgan", "pixel", "multiscale"}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", VARIANTS)
def test_export_is_eager(name: str, format: str, tmp_path: Path) -> None:
    assert format == "onnx", "a new format needs its own way to be run here"
    spec = EXAMPLES[name][VARIANTS[name]]
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
