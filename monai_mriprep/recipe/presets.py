"""Presets: names for sets of keys. A preset only sets keys, and what the user sets himself wins over it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

__all__ = ["PRESETS", "under_users_keys"]

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "default": MappingProxyType({}),
        "panther2025": MappingProxyType(
            {
                "grid": "itk",
                "boundary": "mirror",
                "normalization": MappingProxyType({"foreground": "resampled_positive", "epsilon": 1e-6}),
            }
        ),
    }
)
"""The keys that each preset sets; the others keep their default.

``panther2025`` is what the authors of the recipe run themselves, by their public inference code: the resampling of
SimpleITK, then z-scores over the voxels that are greater than zero.
"""


def under_users_keys(values: object) -> object:
    """Lay what the user has set over his preset, sections key by key.

    Parameters
    ----------
    values
        What a recipe is made of, not validated yet. What is no mapping, or names no preset, comes back as it is, for
        the validation to refuse it.
    """
    preset = values.get("preset", "default") if isinstance(values, Mapping) else None
    if not isinstance(values, Mapping) or not isinstance(preset, str):
        return values
    return _laid_over(PRESETS.get(preset, {}), values)


def _laid_over(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    laid = {**base, **values}
    for key, section in base.items():
        given = values.get(key, {})
        if isinstance(given, BaseModel):  # made in Python; only what was given to it counts
            given = given.model_dump(exclude_unset=True)
        if isinstance(section, Mapping) and isinstance(given, Mapping):
            laid[key] = _laid_over(section, given)
    return laid
