"""Complete configurations as Python functions; each module's docstring has the commands and the published figures."""

from pocketgan.recipes import cat, dmad, dmad_ablations, gan_compression, gaugan, latents, munit, published, quickstart  # noqa: F401
from pocketgan.recipes.base import RECIPES

__all__ = ["RECIPES"]
