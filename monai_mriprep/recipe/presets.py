"""Presets: names for sets of keys. Keys that the user sets override those of the preset."""

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
        "nnunet": MappingProxyType(
            {
                "target_rule": "nnunet",
                "transpose": "coarsest_first",
                "crop": "nonzero_filled",
                "grid": "nnunet_exact",
                "separate_axis": "auto",
                "clip": "slice",
                "label": "linear",
                "normalization": MappingProxyType({"foreground": "crop"}),
                "label_outside": -1,
            }
        ),
    }
)
"""The keys that each preset sets; the others keep their default.

``panther2025`` is what the authors of the recipe run themselves, by their public inference code: the resampling of
SimpleITK, then z-scores over the voxels that are greater than zero.

``nnunet`` gives the arrays of nnU-Net 2.8.1 with batchgenerators 0.25.5; what nnU-Net decides by the voxels of all
cases is the user's to set (``normalization.foreground``).
"""


def under_users_keys(values: object) -> object:
    """Merge the user's keys into those of the preset; sections are merged key by key.

    Parameters
    ----------
    values
        The keys and values of a recipe before validation. Anything but a mapping, or one with an invalid preset, is
        returned unchanged, and the validation refuses it.
    """
    preset = values.get("preset", "default") if isinstance(values, Mapping) else None
    if not isinstance(values, Mapping) or not isinstance(preset, str):
        return values
    return _merged(PRESETS.get(preset, {}), values)


def _merged(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **values}
    for key, section in base.items():
        given = values.get(key, {})
        if isinstance(given, BaseModel):  # made in Python: only the keys that were given
            given = given.model_dump(exclude_unset=True)
        if isinstance(section, Mapping) and isinstance(given, Mapping):
            merged[key] = _merged(section, given)
    return merged
