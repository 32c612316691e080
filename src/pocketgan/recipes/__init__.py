"""Complete configurations as Python functions; each module's docstring has the commands and the published figures."""

from pocketgan.recipes import cat, dmad, dmad_ablations, gan_compression, gaugan, latents, munit, published, quickstart
from pocketgan.recipes.base import RECIPES, Recipe

__all__ = [
    "RECIPES",
    "Recipe",
    "cat",
    "dmad",
    "dmad_ablations",
    "gan_compression",
    "gaugan",
    "latents",
    "munit",
    "published",
    "quickstart",
]
