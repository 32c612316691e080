"""File formats and runtimes for devices, and the verification that they compute what PyTorch computes."""

from pocketgan.deploy.deployable import Deployable, frozen
from pocketgan.deploy.formats import Exported, export_onnx
from pocketgan.deploy.runtimes import RUNTIMES, Runner, torch_runner
from pocketgan.deploy.targets import TARGETS, Target, find_target
from pocketgan.deploy.verify import Verification

__all__ = [
    "RUNTIMES",
    "TARGETS",
    "Deployable",
    "Exported",
    "Runner",
    "Target",
    "Verification",
    "export_onnx",
    "find_target",
    "frozen",
    "torch_runner",
]
