"""Complete configurations as Python functions; each file's header has the command and the published numbers."""

from pocketgan.recipes import dmad, dmad_ablations, gan_compression, published, quickstart
from pocketgan.recipes.base import RECIPES, Recipe

__all__ = ["RECIPES", "Recipe", "dmad", "dmad_ablations", "gan_compression", "published", "quickstart"]
