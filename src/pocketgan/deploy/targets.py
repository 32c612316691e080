"""Targets of an export: a runtime with its precision, the file it reads, and the check of that file in the runtime itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pocketgan.core.inputs import Size, as_shape
from pocketgan.deploy.deployable import reason_of
from pocketgan.deploy.formats import Exported, Exporter, export_onnx, to_onnx
from pocketgan.deploy.verify import TOLERANCE, compare, shapes_of
from pocketgan.utils.files import atomic
from pocketgan.utils.registry import Registry

LEAST_PSNR = 50.0
"""Decibels between a bf16 file and PyTorch, at least: some 60 are usual."""


@dataclass(frozen=True)
class Target:
    """Runtime with its precision: the ending of its file, the extra that installs it, its tolerance and its exporter."""

    suffix: str
    extra: str | None
    """Extra of pyproject.toml; None where pocketgan itself depends on the runtime."""
    tolerance: float | None
    """Largest absolute difference to PyTorch; None where ``least_psnr`` decides."""
    least_psnr: float | None
    export: Exporter


TARGETS: Registry[Target] = Registry("target")


def find_target(name: str) -> Target:
    """The target of ``runtime:precision``; a runtime alone is its float32. Raises ``ValueError`` for an unknown one."""
    return TARGETS[f"{name}:f32" if f"{name}:f32" in TARGETS else name]


def run_openvino(path: Path, *, weights: Path | None = None, precision: str, threads: int) -> Callable[..., Tensor]:
    """Function of all inputs of an OpenVINO file (float32) -> its output, on ``threads`` threads of the CPU.

    ``weights`` is the file of the weights, by default the one beside ``path`` that ends in ``.bin``. The precision is always
    stated: left to itself, OpenVINO computes in bf16 where the processor can.
    """
    core = _openvino().Core()
    hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    hints |= {"NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    model = core.read_model(str(path), str(weights or path.with_suffix(".bin")))
    compiled = core.compile_model(model, "CPU", hints)

    def run(*inputs: Tensor) -> Tensor:
        found = compiled([np.ascontiguousarray(x.numpy()) for x in inputs])
        return torch.from_numpy(np.array(found[0]))  # a copy: the runtime reuses its memory

    return run


def _openvino_target(precision: str) -> Target:
    exact = precision == "f32"

    def export(generator: nn.Module, path: str | Path, *, size: Size, verify: bool = True) -> Exported:
        """Write an .xml of the graph and beside it a .bin of the weights, in float32; ``precision`` is that of the check."""
        path = Path(path)
        if path.suffix != ".xml":
            raise ValueError(f"{path}: OpenVINO reads a graph that ends in .xml and weights in .bin; use {path.stem}.xml")
        openvino, shape = _openvino(), as_shape(size)
        core = openvino.Core()
        if not exact and precision.upper() not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ValueError(f"this processor has no {precision} for OpenVINO, so the file cannot be checked: use openvino:f32")
        data = to_onnx(generator, shape)
        try:
            model = core.read_model(data, b"")
        except Exception as error:  # OpenVINO's errors share no public base class
            raise ValueError(f"OpenVINO cannot read this network: {reason_of(error)}; export it for onnxruntime") from error
        model.set_rt_info(precision, ["pocketgan", "precision"])
        verification, weights = None, path.with_suffix(".bin")
        # The graph is replaced last: it is never there without its weights.
        with atomic(path) as new_graph, atomic(weights) as new_weights:
            openvino.serialize(model, str(new_graph), str(new_weights))
            if verify:
                run = run_openvino(new_graph, weights=new_weights, precision=precision, threads=torch.get_num_threads())
                verification = compare(
                    run,
                    generator,
                    shapes=shapes_of(generator, shape),
                    label=str(path),
                    tolerance=TOLERANCE if exact else None,
                    least_psnr=None if exact else LEAST_PSNR,
                    size=shape,
                )
        size_bytes = path.stat().st_size + weights.stat().st_size
        return Exported(path, f"openvino:{precision}", size_bytes, verification)

    tolerance, least = (TOLERANCE, None) if exact else (None, LEAST_PSNR)
    return Target(".xml", "openvino", tolerance, least, export)


def _openvino() -> Any:
    """The module ``openvino``, which is an extra."""
    try:
        return importlib.import_module("openvino")
    except ImportError:
        raise ValueError("openvino is not installed: pip install 'pocketgan[openvino]'") from None


TARGETS["onnxruntime:f32"] = Target(".onnx", None, TOLERANCE, None, export_onnx)
for _precision in ("f32", "bf16"):
    TARGETS[f"openvino:{_precision}"] = _openvino_target(_precision)
