"""Law 8: what is saved and loaded is the same, bit for bit. Artifacts are in float32."""

from pathlib import Path

import torch

from pocketgan.core.artifact import load_artifact, save_artifact
from pocketgan.core.dims import widths_of
from pocketgan.core.spec import Spec, spec_of
from zoo import every_example, example, predict


@every_example
def test_save_then_load_gives_the_same_bits(spec: Spec, tmp_path: Path) -> None:
    shared = example(spec, torch.float32)
    save_artifact(tmp_path / "a.safetensors", shared.model, size=64)
    loaded = load_artifact(tmp_path / "a.safetensors").model
    assert spec_of(loaded) == spec
    assert widths_of(loaded) == shared.widths
    before, after = shared.model.state_dict(), loaded.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(after[name], tensor) and after[name].dtype == tensor.dtype for name, tensor in before.items())
    assert torch.equal(predict(loaded, shared.x), shared.output)
    save_artifact(tmp_path / "b.safetensors", loaded, size=64)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
