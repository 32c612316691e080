"""Complete configurations as Python functions; each module's docstring has the commands and the published figures.

The recipe NAME-teacher writes runs/NAME, where the recipes of its students expect the teacher.
"""

from pocketgan.recipes import cat, dmad, dmad_ablations, gan_compression, gaugan, latents, munit, published, quickstart  # noqa: F401
from pocketgan.recipes.base import RECIPES

__all__ = ["RECIPES"]
