"""What tells two recipes apart, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_mriprep.recipe.model import Recipe
from monai_mriprep.recipe.sections import Section, facts_of, shown

__all__ = ["changed_keys"]


DEFAULT = Recipe()


def changed_keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that change voxels and have another value, each as ``key: before -> now``.

    Parameters
    ----------
    before, now
        Recipes as `Recipe.as_dict` gives them, by any version: a key that one lacks has its default.
    """
    default = _flat(DEFAULT.as_dict())
    old, new = default | _flat(before), default | _flat(now)
    keys = (key for key in default if facts_of(Recipe, key.partition(".")[0])["voxels"])
    return tuple(f"{key}: {shown(old[key])} -> {shown(new[key])}" for key in keys if _differ(old[key], new[key]))


def _flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """With a dot between section and key."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        is_section = isinstance(value, Mapping) and isinstance(getattr(DEFAULT, key, None), Section)
        flat |= {f"{key}.{name}": inner for name, inner in value.items()} if is_section else {key: value}
    return flat


def _differ(old: object, new: object) -> bool:
    """One spline order is the same as three that are equal."""
    old, new = ([value] * 3 if isinstance(value, int) else value for value in (old, new))
    return old != new
