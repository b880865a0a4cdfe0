"""The recipe: what is done to every case, as frozen, validated values.

A recipe comes from a YAML file, from ``key=value`` overrides, or from Python; the three meet in `Recipe`, and
whatever is wrong with them ends as one `RecipeError` that names the place, the key and the remedy. Files are data:
they are parsed into plain mappings, lists and scalars, and nothing in them (a tag, MONAI's ``$`` or ``_target_``)
is ever evaluated.

Numbers that come in threes are in array axis order z, y, x; spacings are in millimetres.
"""

from monai_mriprep.recipe.model import Normalization, Recipe, given_or_default
from monai_mriprep.recipe.reading import load_config, load_recipe
from monai_mriprep.recipe.run_settings import RunSettings
from monai_mriprep.recipe.writing import commented_yaml

__all__ = ["Normalization", "Recipe", "RunSettings", "commented_yaml", "given_or_default", "load_config", "load_recipe"]
