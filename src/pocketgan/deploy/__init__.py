"""File formats and runtimes for devices, and the verification that they compute what PyTorch computes."""

from pocketgan.deploy.deployable import Deployable, frozen
from pocketgan.deploy.formats import FORMATS, Exported, export_onnx
from pocketgan.deploy.runtimes import RUNTIMES, Runner, torch_runner
from pocketgan.deploy.verify import Verification

__all__ = ["FORMATS", "RUNTIMES", "Deployable", "Exported", "Runner", "Verification", "export_onnx", "frozen", "torch_runner"]
