"""Types of the values of recipes' keys and of steps' settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, TypeGuard, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from monai_mriprep.types import LABEL_MAX, TargetRule

__all__ = [
    "FROM_LIST",
    "Amount",
    "AxisOrder",
    "ChannelNames",
    "Codes",
    "Count",
    "LabelMap",
    "PathText",
    "Seconds",
    "SpacingTriple",
    "SplineOrders",
    "TargetRuleOrPlans",
    "Transpose",
    "orientation_codes",
]

AXIS_ENDS = ({"R", "L"}, {"A", "P"}, {"S", "I"})
"""The two ends of each world axis: right or left, anterior or posterior, superior or inferior."""


def _path(text: str) -> str:
    if not text.strip() or "\0" in text:
        msg = "is no path"
        raise ValueError(msg)
    return os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises if there is no such user


def _not_negative(number: int) -> int:
    if number < 0:
        msg = "is negative"
        raise ValueError(msg)
    return number


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _permutation(order: tuple[int, int, int]) -> tuple[int, int, int]:
    if sorted(order) != [0, 1, 2]:
        msg = "is no order of three axes"
        raise ValueError(msg)
    return order


def _rule_or_plans(text: str) -> str:
    if text in get_args(TargetRule):
        return text
    if not text.endswith(".json"):
        msg = "is neither a rule nor the path of a .json file"
        raise ValueError(msg)
    return _path(text)


def orientation_codes(codes: str) -> str:
    """Check that three letters name one end of each world axis, and return them.

    Raises
    ------
    ValueError
        If they do not.
    """
    if len(codes) != 3 or any(len(ends & set(codes)) != 1 for ends in AXIS_ENDS):
        msg = "is no orientation"
        raise ValueError(msg)
    return codes


FROM_LIST = BeforeValidator(_as_tuple)
"""Accepts a list as a tuple, which YAML and JSON do not have."""

PathText = Annotated[str, AfterValidator(_path)]
"""A path; ``~`` is expanded here, because no shell does it for a file."""
Count = Annotated[int, AfterValidator(_not_negative)]
"""A whole number from 0."""

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""From 0, in mm or in units of the image."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Edge = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SpacingTriple = Annotated[tuple[Edge, Edge, Edge], FROM_LIST]
"""A spacing in mm, z y x."""

Order = Annotated[int, Field(ge=0, le=3)]
SplineOrders = Annotated[Order | tuple[Order, Order, Order], FROM_LIST]
"""The order of a spline, one for all axes or one each for z, y, x."""


AxisOrder = Annotated[tuple[int, int, int], FROM_LIST, AfterValidator(_permutation)]
"""For each new axis, from 0, the one of z, y, x (0, 1, 2) that becomes it."""
Transpose = Literal["none", "coarsest_first"] | AxisOrder

TargetRuleOrPlans = Annotated[str, AfterValidator(_rule_or_plans)]
"""The name of a rule, or the path of a ``.json`` file of nnU-Net's plans."""


def _channel_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) < len(names) or any(re.fullmatch(r"[^\s,/]+", name) is None for name in names):
        msg = "names no channels, or one twice, or holds blanks, commas or slashes"
        raise ValueError(msg)
    return names


ChannelNames = Annotated[tuple[str, ...], FROM_LIST, AfterValidator(_channel_names)]
"""The channels of an image, in order."""

Codes = Annotated[str, AfterValidator(orientation_codes)]
"""An orientation, such as RAS."""


WHOLE_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})")
"""One that 64 bits hold: labels are compared in them."""


def _label_map(value: object) -> object:
    """Pairs of old and new label, by the old one, of a mapping whose keys may be text, as in YAML and JSON."""
    if value is None:
        return ()
    if not isinstance(value, Mapping | tuple | list):
        return value
    pairs = [_renaming(entry) for entry in (value.items() if isinstance(value, Mapping) else value)]
    _require_one_place(old for old, _ in pairs)
    return tuple(sorted(pairs))


def _renaming(entry: object) -> tuple[int, int]:
    """One entry of a label map, checked."""
    old, new = entry if isinstance(entry, tuple | list) and len(entry) == 2 else (entry, None)
    if isinstance(old, str) and WHOLE_NUMBER.fullmatch(old):
        old = int(old)
    if not _is_whole(old) or not _is_whole(new):
        hint = "; write a blank after the colon" if isinstance(old, str) and ":" in old else ""
        msg = f"has the entry {old!r}: {new!r}, where both must be whole numbers{hint}"
        raise ValueError(msg)
    if not WHOLE_NUMBER.fullmatch(str(old)):
        msg = f"names {old}, which no label holds"
        raise ValueError(msg)
    if not 0 <= new <= LABEL_MAX:
        msg = f"makes {new} of {old}, where a label is from 0 to {LABEL_MAX}"
        raise ValueError(msg)
    if old == 0 != new:
        msg = f"makes {new} of 0, which is the background, and all that lies outside a label"
        raise ValueError(msg)
    return old, new


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _require_one_place(olds: Iterable[int]) -> None:
    seen: set[int] = set()
    for old in olds:
        if old in seen:
            msg = f"names {old} twice"
            raise ValueError(msg)
        seen.add(old)


Renaming = tuple[int, int]
LabelMap = Annotated[tuple[Renaming, ...], BeforeValidator(_label_map), PlainSerializer(dict)]
"""Pairs of an old label and its new number, sorted; written, and given, as a mapping."""
