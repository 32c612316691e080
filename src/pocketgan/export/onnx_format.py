"""ONNX, through the exporter that is based on ``torch.export``."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from pocketgan.core.shape import Size, as_shape
from pocketgan.core.spec import spec_of
from pocketgan.export.deployable import Deployable, frozen
from pocketgan.export.fold import fold_norms
from pocketgan.export.formats import FORMATS, Exported
from pocketgan.export.onnx_graph import IMAGE, OUTPUT, name_sides, onnx_name, strip_traces, wrap_pad_crop
from pocketgan.export.verify import TOLERANCE, Verification, verify_model
from pocketgan.utils.files import atomic

if TYPE_CHECKING:
    from onnx import ModelProto

# The lowest that torch's exporter writes without a conversion afterwards, so the one that most runtimes read.
OPSET = 18
LARGEST = 2**31 - 1


@FORMATS.register("onnx")
def export_onnx(generator: nn.Module, path: str | Path, *, size: Size, verify: bool = True) -> Exported:
    """Write ``generator`` as one ONNX file (opset 18, float32) for any batch, height and width.

    Input ``image`` and output ``image`` are batch x C x height x width, RGB in [-1, 1]. Sides that are no multiples
    of the generator's stride are padded and cropped inside, as ``Deployable`` does. Of one that generates from numbers the
    input is ``latent``, batch x how many, standard normal; of one that generates in styles there is a second one: ``style``,
    numbers as well, or, with its style encoder, a ``reference`` image of ``size``. ``path`` appears only once all is
    written and verified; equal generators give equal bytes. The generator is not touched. Batch norms are folded away.

    Args:
        generator: as ``Deployable`` takes it.
        path: the file to write.
        size: the side, or (height, width), that the file is meant for: remembered in it, and verified.
        verify: hold the file against PyTorch at ``size`` and at smaller, odd and oblong sizes.

    Raises:
        ValueError: the network cannot be traced, is above 2 GB, has a batch norm without running statistics, ``size`` is
            too small, the file differs, or the disk refuses.
    """
    path = Path(path)
    model = Deployable(fold_norms(frozen(generator)))
    data = to_onnx(model, size=_sides(size, model))
    verification: Verification | None = None
    if verify:
        verification = verify_model(data, generator, shapes=None, tolerance=TOLERANCE, label=str(path))
    with atomic(path) as temporary:
        temporary.write_bytes(data)
    return Exported(path, "onnx", len(data), verification)


def to_onnx(model: Deployable, *, size: tuple[int, int]) -> bytes:
    """The ONNX file of a frozen ``model``, as bytes; ``size`` is that of reference images, and written into its metadata."""
    weight = sum(tensor.nbytes for tensor in model.state_dict().values())
    if weight > LARGEST:
        raise ValueError(f"the weights take {weight / 2**30:.1f} GiB, but one ONNX file holds less than 2; compress first")
    proto = _trace(model, size)
    strip_traces(proto)
    wrap_pad_crop(proto, model.stride)
    name_sides(proto)
    _describe(proto, model, size)
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def _trace(model: Deployable, size: tuple[int, int]) -> ModelProto:
    """The bare network with sides that are multiples of its stride by construction, so that nothing guards them."""
    # At least 2: torch.export treats a side of one as a constant. ONNX knows no such bound, and verification covers it.
    least = max(2, model.units)
    rows, columns, batch = (
        torch.export.Dim(name, min=low) for name, low in (("rows", least), ("columns", least), ("batch", 1))
    )
    one = model.stride == 1
    if model.numbers is None:
        first = torch.zeros(2, model.in_channels, model.stride * least, model.stride * (least + 1))
        sides = {2: rows if one else model.stride * rows, 3: columns if one else model.stride * columns}
        names = [IMAGE]
    else:
        first, sides, names = torch.zeros(2, model.in_channels), {}, [onnx_name(model.numbers)]
    examples = (first, *(torch.zeros(each.shape(2, size)) for each in model.more))
    dynamic = ({0: batch, **sides}, *({0: batch} for _ in model.more))
    try:
        with _quiet():
            traced = torch.export.export(model.traced, examples, dynamic_shapes=dynamic, strict=False)
            program = torch.onnx.export(
                traced,
                (),
                dynamo=True,
                input_names=[*names, *map(onnx_name, model.more)],
                output_names=[OUTPUT],
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:  # the two exporters raise whatever the network's own code raises
        raise ValueError(
            f"{type(model.generator).__name__} cannot be exported to ONNX: {_reason(error)}; write its forward without"
            " branches on values or sizes of tensors"
        ) from error
    assert program is not None
    proto: ModelProto = program.model_proto
    return proto


def _describe(proto: ModelProto, model: Deployable, size: tuple[int, int]) -> None:
    from onnx import helper

    version = importlib.metadata.version("pocketgan")
    proto.producer_name, proto.producer_version = "pocketgan", version
    proto.ir_version = helper.find_min_ir_version_for(proto.opset_import)
    proto.graph.name = "generator"
    facts = {
        "version": version,
        "size": "x".join(map(str, size)),
        "stride": str(model.stride),
        "min_side": str(model.min_side),
        "value_range": "-1..1",
        "layout": "NCHW RGB float32",
    }
    if model.numbers is not None:
        del facts["stride"], facts["min_side"]
    helper.set_model_props(proto, {f"pocketgan.{key}": value for key, value in facts.items()})


def _sides(size: Size, model: Deployable) -> tuple[int, int]:
    height, width = as_shape(size)
    if model.numbers is not None:
        generated = spec_of(model.generator).output_shape
        assert generated is not None, "what generates from numbers generates one size"
        if generated != (height, width):
            raise ValueError(f"size {height}x{width}: this generator generates {generated[0]}x{generated[1]} only")
        return generated
    min_side = model.min_side
    if min(height, width) < min_side:
        raise ValueError(f"size {height}x{width} is too small for this generator: it takes {min_side} or more a side")
    return int(height), int(width)


def _reason(error: Exception) -> str:
    """The innermost cause in one line, without terminal colors."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(cause))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(cause).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' prints, log lines and warnings of their own internals from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "torch.fx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        unheard = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(unheard), contextlib.redirect_stderr(unheard):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
