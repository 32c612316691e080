"""Files between two stages that are not whole: the stage that makes them again is named, or they are done without."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn

from pocketgan.core.run import Run
from pocketgan.pipeline import compress, prune
from pocketgan.pipeline.plan import CompressionState
from pocketgan.utils.progress import Reporter


class Told(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def state_in(path: Path, reporter: Reporter) -> CompressionState:
    return CompressionState(cast(Any, SimpleNamespace()), Run(path, reporter))


@pytest.mark.parametrize("damage", ["one bit", "gone", "other widths", "other names"])
def test_a_search_that_is_not_whole_is_never_pruned(damage: str, tmp_path: Path) -> None:
    file, trained = tmp_path / prune.SEARCHED, nn.Linear(3, 2)
    prune._save(file, {"G": trained, "D": nn.Linear(1, 1)})
    same = nn.Linear(3, 2)
    prune._load(file, "G", same)
    assert torch.equal(same.weight, trained.weight)
    if damage == "gone":
        file.unlink()
    elif damage == "one bit":
        content = bytearray(file.read_bytes())
        content[-2] ^= 1
        file.write_bytes(content)
    model = {"other widths": nn.Linear(3, 4), "other names": nn.Bilinear(3, 2, 2)}.get(damage, nn.Linear(3, 2))
    with pytest.raises(ValueError, match=r"searched\.safetensors .*: --from search makes it again$") as caught:
        prune._load(file, "G", model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "null", '{"search": "long"}', '{"search": null}', '{"a', "[" * 2000, '{"a": [1]}'])
def test_seconds_that_cannot_be_read_are_left_out(content: str, tmp_path: Path) -> None:
    told = Told()
    (tmp_path / "seconds.json").write_text(content)
    assert compress._read_seconds(state_in(tmp_path, told)) == {}
    assert told.said == [f"warning: {tmp_path / 'seconds.json'} cannot be read: the seconds of the stages before are left out"]
    (tmp_path / "seconds.json").write_text(json.dumps({"search": 2, "prune": 0.5}))
    assert compress._read_seconds(state_in(tmp_path, told)) == {"search": 2.0, "prune": 0.5}
    assert len(told.said) == 1
