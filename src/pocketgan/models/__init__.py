"""Generators and discriminators, each architecture written once. Importing this room fills the registries."""

from pocketgan.models.discriminators import PatchSpec, PixelSpec, patchgan, pixel
from pocketgan.models.resnet import ResnetSpec, mobile_resnet, resnet
from pocketgan.models.unet import UnetSpec, unet

__all__ = [
    "PatchSpec",
    "PixelSpec",
    "ResnetSpec",
    "UnetSpec",
    "mobile_resnet",
    "patchgan",
    "pixel",
    "resnet",
    "unet",
]
