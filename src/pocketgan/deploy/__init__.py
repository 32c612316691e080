"""File formats and runtimes for devices, and the verification that they compute what PyTorch computes."""

from pocketgan.deploy.deployable import Deployable, frozen
from pocketgan.deploy.formats import FORMATS, Exported, Exporter, export_onnx
from pocketgan.deploy.runtimes import RUNTIMES, Runner, Runtime, onnxruntime_runner, torch_runner
from pocketgan.deploy.verify import Verification

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
]
