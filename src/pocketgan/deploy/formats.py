"""ONNX, the file format that every target starts from, through the exporter that is based on ``torch.export``."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from pocketgan.core.inputs import Shape, Size, as_shape, output_channels
from pocketgan.core.spec import spec_of
from pocketgan.deploy.deployable import Deployable, frozen, reason_of
from pocketgan.deploy.fold import fold_norms
from pocketgan.deploy.onnx_graph import IMAGE, OUTPUT, name_sides, onnx_name, strip_traces, wrap_pad_crop
from pocketgan.deploy.verify import Verification, verify_onnx
from pocketgan.utils.files import atomic

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
"""Lowest opset that torch's exporter writes without a conversion, so the one that most runtimes read."""
MAX_BYTES = 2**31 - 1


@dataclass(frozen=True)
class Exported:
    """A file for a device: its path, its name among ``TARGETS``, its size, and, if verified, differences from eager PyTorch."""

    path: Path
    target: str
    bytes: int
    verification: Verification | None

    def summary(self) -> dict[str, object]:
        """Entries of ``result.json``."""
        checked = self.verification.summary() if self.verification else {}
        return {"file": self.path.name, "bytes": self.bytes, **checked}


class Exporter(Protocol):
    """Function that writes a generator to a file."""

    def __call__(self, generator: nn.Module, path: str | Path, *, size: Size, verify: bool = True) -> Exported:
        """Write ``path`` at once or not at all, for images of ``size`` (a side, or height and width)."""


def export_onnx(generator: nn.Module, path: str | Path, *, size: Size, verify: bool = True) -> Exported:
    """Write ``generator`` as one ONNX file (opset 18, float32) for any batch, height and width.

    Input ``image`` and output ``output`` are batch x C x height x width in [-1, 1], RGB where C is 3. Sides that are no
    multiples of the generator's stride are padded and cropped inside, as ``Deployable`` does. A generator that reads a latent
    has the input ``latent``, batch x length, standard normal. A generator that reads a style has a second input: ``style``, a
    latent too, or, with its style encoder, a ``reference`` image of ``size``. ``path`` appears only once all is written and
    verified; equal generators give equal bytes. The generator is not touched. Batch norms are folded away.

    Args:
        generator: as ``Deployable`` takes it.
        path: the file to write.
        size: the side, or (height, width), that the file is meant for: stored in it, and verified.
        verify: compare the file with PyTorch at ``size`` and at smaller, odd and oblong sizes.

    Raises:
        ValueError: the network cannot be traced, is above 2 GB, has a batch norm without running statistics, ``size`` is
            too small, the file differs, or the disk refuses.
    """
    path = Path(path)
    data = to_onnx(generator, as_shape(size))
    verification = verify_onnx(data, generator, label=str(path)) if verify else None
    with atomic(path) as temporary:
        temporary.write_bytes(data)
    return Exported(path, "onnxruntime:f32", len(data), verification)


def to_onnx(generator: nn.Module, size: Shape) -> bytes:
    """The content of an ONNX file of ``generator``. Raises ``ValueError`` as `export_onnx` does."""
    model = Deployable(fold_norms(frozen(generator)))
    _check_size(size, model)
    weight = sum(tensor.nbytes for tensor in model.state_dict().values())
    if weight > MAX_BYTES:
        raise ValueError(f"the weights take {weight / 2**30:.1f} GiB, but one ONNX file holds less than 2; compress first")
    proto = _trace(model, size)
    try:
        strip_traces(proto)
        wrap_pad_crop(proto, model.stride)
        name_sides(proto)
        _add_metadata(proto, model, size)
        data: bytes = proto.SerializeToString(deterministic=True)
    except Exception as error:  # a graph of unusual inputs or outputs, or one that protobuf refuses to write
        raise ValueError(f"the ONNX graph of {type(model.generator).__name__} is not an image's: {reason_of(error)}") from error
    return data


def _trace(model: Deployable, size: Shape) -> ModelProto:
    """The bare network with sides that are multiples of its stride by construction, so that nothing guards them."""
    # At least 2: torch.export treats a side of one as a constant. ONNX knows no such bound, and verification covers it.
    least = max(2, model.units)
    rows, columns, batch = (
        torch.export.Dim(name, min=low) for name, low in (("rows", least), ("columns", least), ("batch", 1))
    )
    if model.latent is not None:
        first, sides, name = torch.zeros(2, model.in_channels), {}, onnx_name(model.latent)
    else:
        first = torch.zeros(2, model.in_channels, model.stride * least, model.stride * (least + 1))
        multiples = (rows, columns) if model.stride == 1 else (model.stride * rows, model.stride * columns)
        sides, name = dict(zip((2, 3), multiples, strict=True)), IMAGE
    examples = (first, *(torch.zeros(item.shape(2, size)) for item in model.extra_inputs))
    dynamic = ({0: batch, **sides}, *({0: batch} for _ in model.extra_inputs))
    try:
        with _quiet():
            traced = torch.export.export(model.traced, examples, dynamic_shapes=dynamic, strict=False)
            program = torch.onnx.export(
                traced,
                (),
                dynamo=True,
                input_names=[name, *map(onnx_name, model.extra_inputs)],
                output_names=[OUTPUT],
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:  # the two exporters raise whatever the network's own code raises
        raise ValueError(
            f"{type(model.generator).__name__} cannot be exported to ONNX: {reason_of(error)}; write its forward without"
            " branches on values or sizes of tensors"
        ) from error
    assert program is not None
    proto: ModelProto = program.model_proto
    return proto


def _add_metadata(proto: ModelProto, model: Deployable, size: Shape) -> None:
    from onnx import helper

    version = importlib.metadata.version("pocketgan")
    proto.producer_name, proto.producer_version = "pocketgan", version
    proto.ir_version = helper.find_min_ir_version_for(proto.opset_import)
    proto.graph.name = "generator"
    sides = {"stride": str(model.stride), "min_side": str(model.min_side)} if model.latent is None else {}
    facts = {"version": version, "size": "x".join(map(str, size)), **sides}
    channels = {model.in_channels, output_channels(model.generator)}
    facts |= {"value_range": "-1..1", "layout": "NCHW RGB float32" if channels == {3} else "NCHW float32"}
    helper.set_model_props(proto, {f"pocketgan.{key}": value for key, value in facts.items()})


def _check_size(size: Shape, model: Deployable) -> None:
    height, width = size
    shape = spec_of(model.generator).output_shape if model.latent is not None else size
    assert shape is not None, "a generator that reads a latent makes images of one size"
    if shape != size:
        raise ValueError(f"size {height}x{width}: this generator makes images of {shape[0]}x{shape[1]} only")
    if min(size) < model.min_side:
        raise ValueError(f"size {height}x{width} is too small for this generator: it takes {model.min_side} or more a side")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporters' prints, log lines and warnings about their own internals."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "torch.fx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        ignored = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(ignored), contextlib.redirect_stderr(ignored):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
