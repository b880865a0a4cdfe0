"""Types of the values of recipes' keys and of steps' settings."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

__all__ = [
    "FROM_LIST",
    "Amount",
    "Codes",
    "Count",
    "PathText",
    "Seconds",
    "SpacingTriple",
    "SplineOrders",
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

Codes = Annotated[str, AfterValidator(orientation_codes)]
"""An orientation, such as RAS."""
