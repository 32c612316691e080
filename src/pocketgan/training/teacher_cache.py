"""Cache on disk of what a frozen teacher makes of each training input: its image, and features of its layers."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from time import monotonic

import torch
from torch import Tensor, nn

from pocketgan.core.inputs import latent_inputs, select_inputs
from pocketgan.core.tensor_file import DamagedFile, checksum, read_tensors, write_tensors
from pocketgan.training.features import Taps
from pocketgan.training.task import Batch

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_HALF = torch.finfo(torch.float16).max

IMAGE = "image"
"""Name of the image among the outputs."""


def parse_bytes(text: str | int) -> int:
    """Bytes of ``8G``, ``500M`` or a number. Raises ``ValueError`` for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)B?", str(text).strip().upper())
    if not found:
        raise ValueError(f"cache={text}: write a size such as 8G or 500M, or 0 for no cache")
    return int(float(found[1]) * _UNITS[found[2]])


class TeacherCache:
    """Outputs of frozen teachers by the bytes of their inputs, in a folder that several runs and processes may share.

    An entry depends on the teacher, its precision and one input alone: the teacher runs on one input at a time, and what it
    makes is rounded to float16, also when it is used for the first time. So a run computes the same numbers whether an entry
    was there or not. Entries carry a checksum; a damaged one is made again.
    """

    def __init__(self, folder: Path, limit: int, inputs: int):
        """``limit`` is the most bytes of the folder; what goes beyond is computed anew each time.

        ``inputs`` is the number of different training inputs.
        """
        self.folder, self.limit, self.inputs = folder, limit, inputs
        self.size = sum(map(_size, folder.rglob("*.safetensors")))
        self._refused = ""

    def of(self, teacher: nn.Module, layers: Iterable[str]) -> CachedTeacher | None:
        """Cached ``teacher`` with features of ``layers``.

        None for a teacher that reads latents: those are drawn anew in every step, so that no input comes twice.
        """
        if not self.limit or latent_inputs(teacher):
            return None
        return CachedTeacher(self, teacher, tuple(layers))

    def read(self, file: Path) -> Tensor | None:
        """Output in a file; None where there is none or a damaged one."""
        try:
            return read_tensors(file)[0].get("output")
        except DamagedFile:
            return None

    def write(self, file: Path, output: Tensor) -> None:
        """Keep an output while the cache has room. After an error of the disk nothing more is kept."""
        added = output.numel() * output.element_size()
        if self._refused or self.size + added > self.limit:
            return
        try:
            write_tensors(file, {"output": output}, {})
        except ValueError as error:
            self._refused = str(error)
            return
        self.size += added

    def remove(self) -> None:
        """Delete all entries."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.size = 0


class CachedTeacher:
    """Frozen teacher in evaluation mode whose image and features are computed once for each input."""

    def __init__(self, cache: TeacherCache, teacher: nn.Module, layers: tuple[str, ...]):
        self._cache, self._teacher, self.layers = cache, teacher, layers
        self._seconds, self._made = 0.0, 0

    @cached_property
    def _identity(self) -> str:
        weights = {name: tensor.cpu() for name, tensor in self._teacher.state_dict().items()}
        return checksum(weights, str(self._teacher))[:16]

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Images, and features by layer, of a batch; rounded to float16, in the type of the inputs."""
        inputs = select_inputs(batch, self._teacher)
        rows = [self._row(tuple(tensor[index : index + 1] for tensor in inputs)) for index in range(len(inputs[0]))]
        device, dtype = inputs[0].device, inputs[0].dtype
        found = {name: torch.cat([row[name].to(device, dtype) for row in rows]) for name in (IMAGE, *self.layers)}
        return found.pop(IMAGE), found

    def cost(self) -> tuple[float, int]:
        """Seconds of the teacher for an input, and how many more it is to see if all are kept; zeros if none was missing."""
        if not self._made:
            return 0.0, 0
        return self._seconds / self._made, max(0, self._cache.inputs - self._made)

    def _row(self, inputs: tuple[Tensor, ...]) -> Mapping[str, Tensor]:
        """Outputs for one input: those of the cache where it has them all."""
        key = _key(inputs)
        precision = "-bf16" if torch.is_autocast_enabled(inputs[0].device.type) else ""
        folder = self._cache.folder / f"{self._identity}{precision}" / key[:2]
        files = {name: folder / f"{key}-{name}.safetensors" for name in (IMAGE, *self.layers)}
        found = {name: output for name, file in files.items() if (output := self._cache.read(file)) is not None}
        if len(found) == len(files):
            return found
        began = monotonic()
        made = {name: _rounded(output) for name, output in self._outputs(inputs).items()}
        self._seconds, self._made = self._seconds + monotonic() - began, self._made + 1
        each = sum(output.numel() * output.element_size() for output in made.values())
        for name, output in made.items():
            # Features that do not fit for all inputs would push out images, which are worth more a byte.
            if name not in found and (name == IMAGE or each * self._cache.inputs <= self._cache.limit):
                self._cache.write(files[name], output)
        return made

    def _outputs(self, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        taps = Taps(self._teacher, self.layers)
        try:
            with torch.inference_mode():
                image = self._teacher(*inputs)
            return {IMAGE: image, **taps.take()}
        finally:
            taps.close()


def _size(file: Path) -> int:
    """Bytes of a file; 0 for one that another process has renamed or removed meanwhile."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _key(inputs: tuple[Tensor, ...]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for tensor in inputs:
        found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _rounded(output: Tensor) -> Tensor:
    """Copy on the CPU in float16, or in float32 where a number is beyond that type."""
    output = output.detach().float().cpu().clone()
    return output.half() if bool(output.abs().max() < _HALF) else output
