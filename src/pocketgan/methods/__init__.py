"""How to decide which channels to keep: one file a method. Importing this room fills the registry."""

from pocketgan.methods import cat, dmad, gan_compression, magnitude, slimming, sss, uniform
from pocketgan.methods.base import METHODS, Method, MethodContext, make_method

__all__ = [
    "METHODS",
    "Method",
    "MethodContext",
    "cat",
    "dmad",
    "gan_compression",
    "magnitude",
    "make_method",
    "slimming",
    "sss",
    "uniform",
]
