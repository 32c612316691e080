"""Methods: which channels the student keeps. The import fills the registry."""

from pocketgan.methods import allocation, cat, dmad, gan_compression, one_shot, slimming
from pocketgan.methods.base import METHODS, Method, MethodContext, make_method

__all__ = [
    "METHODS",
    "Method",
    "MethodContext",
    "allocation",
    "cat",
    "dmad",
    "gan_compression",
    "make_method",
    "one_shot",
    "slimming",
]
