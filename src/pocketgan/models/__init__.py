"""Generators and discriminators, one file an architecture. Importing this package fills the registries."""

from pocketgan.models.discriminators import (
    MsImageSpec,
    MultiscaleSpec,
    PatchSpec,
    PixelSpec,
    ms_image,
    multiscale,
    patchgan,
    pixel,
)
from pocketgan.models.inception import InceptionSpec, inception
from pocketgan.models.inception_spade import InceptionSpadeSpec, inception_spade
from pocketgan.models.munit import MunitSpec, assembled, mobile_munit, munit, without_style_encoder
from pocketgan.models.resnet import ResnetSpec, mobile_resnet, resnet
from pocketgan.models.sagan import SaganDiscriminatorSpec, SaganSpec, sagan, sagan_discriminator
from pocketgan.models.spade import SpadeSpec, mobile_spade, spade
from pocketgan.models.stylegan2 import StyleGan2Spec, stylegan2
from pocketgan.models.stylegan2_discriminator import StyleGan2DiscriminatorSpec, stylegan2_discriminator
from pocketgan.models.unet import UnetSpec, unet

__all__ = [
    "InceptionSpadeSpec",
    "InceptionSpec",
    "MsImageSpec",
    "MultiscaleSpec",
    "MunitSpec",
    "PatchSpec",
    "PixelSpec",
    "ResnetSpec",
    "SaganDiscriminatorSpec",
    "SaganSpec",
    "SpadeSpec",
    "StyleGan2DiscriminatorSpec",
    "StyleGan2Spec",
    "UnetSpec",
    "assembled",
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
    "without_style_encoder",
]
