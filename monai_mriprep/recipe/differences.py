"""What tells two recipes apart, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_mriprep.recipe.model import Recipe
from monai_mriprep.recipe.sections import Section, facts_of, shown

__all__ = ["changed_keys"]


DEFAULT = Recipe()


def changed_keys(before: Mapping[str, Any], now: Recipe) -> tuple[str, ...]:
    """The keys that change voxels and have another value, each as ``key: before -> now``.

    Parameters
    ----------
    before
        A recipe as `Recipe.as_dict` gives it, by any version: a key that it lacks has its default.
    now
        Another recipe.
    """
    old, new = (_flat(DEFAULT.as_dict()) | _flat(recipe) for recipe in (before, now.as_dict()))
    keys = (key for key in new if facts_of(Recipe, key.partition(".")[0])["voxels"])
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
