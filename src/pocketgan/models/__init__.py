"""Generators and discriminators, each architecture written once. Importing this room fills the registries."""

from pocketgan.models.discriminators import PatchSpec, PixelSpec, patchgan, pixel
from pocketgan.models.inception import InceptionSpec, inception
from pocketgan.models.resnet import ResnetSpec, mobile_resnet, resnet
from pocketgan.models.unet import UnetSpec, unet

__all__ = [
    "InceptionSpec",
    "PatchSpec",
    "PixelSpec",
    "ResnetSpec",
    "UnetSpec",
    "inception",
    "mobile_resnet",
    "patchgan",
    "pixel",
    "resnet",
    "unet",
]
