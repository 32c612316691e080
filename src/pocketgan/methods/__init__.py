"""How to decide which channels to keep: one file a method. Importing this room fills the registry."""

from pocketgan.methods import magnitude, uniform
from pocketgan.methods.base import METHODS, Method, Setting, make_method

__all__ = ["METHODS", "Method", "Setting", "magnitude", "make_method", "uniform"]
