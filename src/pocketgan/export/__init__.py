"""Formats for devices, and the proof that they compute the same."""

from pocketgan.export.deployable import Deployable, frozen
from pocketgan.export.formats import FORMATS, Exported, Exporter
from pocketgan.export.onnx_format import export_onnx
from pocketgan.export.onnxruntime_runtime import onnxruntime_runner
from pocketgan.export.runtimes import RUNTIMES, Runner, Runtime
from pocketgan.export.torch_runtime import torch_runner
from pocketgan.export.verify import Verification, verify_onnx

__all__ = [
    "FORMATS",
    "RUNTIMES",
    "Deployable",
    "Exported",
    "Exporter",
    "Runner",
    "Runtime",
    "Verification",
    "export_onnx",
    "frozen",
    "onnxruntime_runner",
    "torch_runner",
    "verify_onnx",
]
