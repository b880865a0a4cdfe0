"""What a volume was made by, in sixteen digits: equal for equal recipe, target and algorithm."""

from __future__ import annotations

import hashlib
import json

from monai_mriprep.recipe.model import Recipe
from monai_mriprep.types import Spacing

__all__ = ["ALGORITHM_VERSION", "fingerprint_of"]

ALGORITHM_VERSION = 1
"""Raised whenever the same input and recipe would give other voxels; records of other versions are not reused."""


def fingerprint_of(recipe: Recipe, target: Spacing) -> str:
    """Sixteen hexadecimal digits; the target is in mm, z y x."""
    facts = {"recipe": recipe.fingerprint(), "target": list(target), "algorithm": ALGORITHM_VERSION}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
