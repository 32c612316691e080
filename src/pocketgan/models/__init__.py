"""Generators and discriminators, one file an architecture. Importing this package fills the registries."""

from pocketgan.models.discriminators import ms_image, multiscale, patchgan, pixel
from pocketgan.models.inception import inception
from pocketgan.models.inception_spade import inception_spade
from pocketgan.models.munit import mobile_munit, munit
from pocketgan.models.resnet import mobile_resnet, resnet
from pocketgan.models.sagan import sagan, sagan_discriminator
from pocketgan.models.spade import mobile_spade, spade
from pocketgan.models.stylegan2 import stylegan2
from pocketgan.models.stylegan2_discriminator import stylegan2_discriminator
from pocketgan.models.unet import unet

__all__ = [
    "inception",
    "inception_spade",
    "mobile_munit",
    "mobile_resnet",
    "mobile_spade",
    "ms_image",
    "multiscale",
    "munit",
    "patchgan",
    "pixel",
    "resnet",
    "sagan",
    "sagan_discriminator",
    "spade",
    "stylegan2",
    "stylegan2_discriminator",
    "unet",
]
