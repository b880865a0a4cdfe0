"""What the keys of a recipe ask of each other, and what is said where they do not agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from monai_mriprep.recipe.sections import ExplainedError
from monai_mriprep.types import SEPARATE_THRESHOLD

if TYPE_CHECKING:
    from monai_mriprep.recipe.model import Normalization

__all__ = ["DEPENDENT", "OF_CROP", "require_agreement", "require_effect"]

OF_CROP = ("crop", "filled")
"""The foregrounds of nnU-Net's z-scores."""

WITHOUT_EFFECT: Mapping[str, Mapping[str, object]] = {
    "percentile": {"epsilon": 0.0},
    "none": {"foreground": "carried", "epsilon": 0.0},
}
"""The keys of `Normalization` that change nothing under another intensity than z-scores, and their defaults."""

NEEDED = {
    ("separate_axis", "auto"): ("grid", "nnunet_exact", "none"),
    ("label", "linear"): ("grid", "nnunet_exact", "nearest"),
    ("label_outside", -1): ("crop", "nonzero_filled", 0),
}
"""What a value of a key needs: another key, and its value; and the value that needs nothing."""

DEPENDENT = ("crop_margin", "boundary", "order", "separate_axis", "separate_threshold", "label", "label_outside")
"""The keys whose values need others. They stand behind these in a recipe."""


def require_agreement(key: str, value: Any, before: Mapping[str, Any]) -> None:
    """Refuse a value that does not go with those of the keys before it.

    Raises
    ------
    ExplainedError
        With the reason, and what to set.
    """
    for problem in _problems(key, value, before):
        raise ExplainedError(problem)


def _problems(key: str, value: Any, before: Mapping[str, Any]) -> Iterator[str]:
    if key == "crop_margin" and value and before.get("crop") == "none":
        yield f"{value} has no effect without a crop; add `crop: nonzero`, or remove crop_margin"
    if key == "separate_threshold" and value != SEPARATE_THRESHOLD and before.get("separate_axis") == "none":
        yield f"{value} has no effect; add `separate_axis: auto`, or remove separate_threshold"
    if before.get("grid") == "nnunet_exact" and (value == "mirror" or isinstance(value, tuple)):
        what = "repeats the edge" if value == "mirror" else "has one order; `separate_axis: auto` is its other"
        yield f"`grid: nnunet_exact` {what}; set {key} to its default, or `grid: nnunet`"
    other, needed, default = NEEDED.get((key, value), ("", "", ""))
    if other and before.get(other) != needed:
        yield f"{value} needs `{other}: {needed}`; set that, too, or `{key}: {default}`"


def require_effect(section: Normalization, before: Mapping[str, Any]) -> None:
    """Refuse a key of the section that would have no effect, or needs another one.

    Raises
    ------
    ExplainedError
        With the reason, and what to set.
    """
    for problem in _without_effect(section, before):
        raise ExplainedError(problem)


def _without_effect(section: Normalization, before: Mapping[str, Any]) -> Iterator[str]:
    intensity, foreground = before.get("intensity", "zscore"), section.foreground
    for key, usual in WITHOUT_EFFECT.get(intensity, {}).items():
        if (value := getattr(section, key)) != usual:
            where = f"under `intensity: {intensity}`"
            yield f"{key} {value} has no effect {where}; set it to {usual}, its default, or set `intensity: zscore`"
    if foreground in OF_CROP and section.epsilon:
        yield f"epsilon {section.epsilon} has no effect under `foreground: {foreground}`; set it to 0.0"
    if foreground in OF_CROP and intensity != "zscore":
        yield f"foreground {foreground} is of z-scores; set `intensity: zscore`, or another foreground"
    if foreground == "filled" and before.get("crop") != "nonzero_filled":
        yield "foreground filled is the mask of `crop: nonzero_filled`; set it, too, or another foreground"
