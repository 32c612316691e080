"""Complete configurations as Python functions; each file's header has the command and the published numbers."""

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
