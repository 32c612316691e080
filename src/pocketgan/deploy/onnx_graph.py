"""Edits of an ONNX graph: padding and cropping around the network, plain names, removal of stack traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pocketgan.core.inputs import Input

if TYPE_CHECKING:
    from onnx import ModelProto

IMAGE = "image"
OUTPUT = "output"
LATENT = "latent"
_PADDED = "frame.padded"
_RAW_OUTPUT = "frame.generated"


def wrap_pad_crop(model: ModelProto, stride: int) -> None:
    """Put the padding and cropping of ``Deployable`` around a graph ``image`` -> ``output``, in place.

    Six nodes, written by hand: traced through ``torch.export``, sizes rounded up to a multiple leave guards on every
    later layer that its solver cannot decide (a U-Net fails to export), and shape arithmetic in the graph.
    """
    import numpy as np
    from onnx import helper, numpy_helper

    if stride == 1:
        return
    graph = model.graph
    for node in graph.node:
        _rename(node.input, IMAGE, _PADDED)
        _rename(node.output, OUTPUT, _RAW_OUTPUT)
        _rename(node.input, OUTPUT, _RAW_OUTPUT)
    # The prefix keeps these names apart from those of the network's modules.
    size, minus, missing, pads = "frame.size", "frame.minus_size", "frame.missing", "frame.pads"
    modulus, zeros, origin, sides = "frame.stride", "frame.zeros", "frame.origin", "frame.sides"
    before = [
        helper.make_node("Shape", [IMAGE], [size], name=size, start=2, end=4),
        helper.make_node("Neg", [size], [minus], name=minus),
        # Mod takes the sign of the divisor, as in Python: -size % stride is what is missing to the next multiple.
        helper.make_node("Mod", [minus, modulus], [missing], name=missing),
        helper.make_node("Concat", [zeros, missing], [pads], name=pads, axis=0),
        helper.make_node("Pad", [IMAGE, pads], [_PADDED], name="frame.pad", mode="reflect"),
    ]
    after = helper.make_node("Slice", [_RAW_OUTPUT, origin, size, sides], [OUTPUT], name="frame.crop")
    nodes = [*before, *graph.node, after]
    del graph.node[:]
    graph.node.extend(nodes)
    constants = {modulus: [stride], zeros: [0] * 6, origin: [0, 0], sides: [2, 3]}
    graph.initializer.extend(numpy_helper.from_array(np.array(v, np.int64), k) for k, v in constants.items())


def onnx_name(item: Input) -> str:
    """Name of a generator's input in a file: ``image``, ``latent``, ``reference`` for a reference image, or its own."""
    if item.name == "input":
        return LATENT if item.is_latent else IMAGE
    return "reference" if item.reference_channels else item.name


def name_sides(model: ModelProto) -> None:
    """State every input and output as batch x ..., and input and output image as batch x C x height x width, in place.

    Shapes in between are removed; images made from a latent keep their one size.
    """
    del model.graph.value_info[:]
    has_image = any(value.name == IMAGE for value in model.graph.input)
    for value in (*model.graph.input, *model.graph.output):
        batch, *sides = value.type.tensor_type.shape.dim
        batch.dim_param = "batch"
        if has_image and value.name in (IMAGE, OUTPUT):
            _, height, width = sides
            height.dim_param, width.dim_param = "height", "width"


def strip_traces(model: ModelProto) -> None:
    """Remove documentation and metadata that the exporter leaves: stack traces with file paths, and their size."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]


def _rename(names: list[str], old: str, new: str) -> None:
    for index, name in enumerate(names):
        if name == old:
            names[index] = new
