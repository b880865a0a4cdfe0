"""The spline order of each volume: declared by the user, not guessed from a name."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from operator import index

from monai_mriprep.errors import ResamplingError
from monai_mriprep.types import FOREGROUND, LABEL

__all__ = ["Mode", "Order", "orders_of"]

Mode = str | int
Order = int | tuple[int, ...]
"""Spline order, one for all axes or one each for z, y, x."""

MODES = {"nearest": 0, "bilinear": 1, "bicubic": 3}
KNOWN_LABELS = (LABEL.name, FOREGROUND.name)
LABEL_LIKE = re.compile(
    r"label|lbl|seg|mask|pred|truth|annot|contour|foreground|lesion|\bgt\b|_gt|gt_|roi", re.IGNORECASE
)


def orders_of(
    keys: Sequence[Hashable],
    mode: Mode | Sequence[Mode] | None = None,
    order: int | Sequence[int | Sequence[int]] | None = None,
) -> tuple[Order, ...]:
    """The spline order of each key.

    Parameters
    ----------
    keys
        If nothing is declared, the first is an image and the others, which must be called ``label`` or ``foreground``,
        are labels.
    mode
        ``bicubic``, ``bilinear``, ``nearest``, or an order from 0 to 3; one for all keys or one each.
    order
        An order, one for all keys or one each. An entry may be a triple for z, y, x.

    Raises
    ------
    ResamplingError
        If both are given, if one does not fit the keys, or if none is given and the names do not say what is a label.
    """
    if mode is not None and order is not None:
        msg = f"give either mode or order, not both; found mode={mode!r} and order={order!r}"
        raise ResamplingError(msg)
    if mode is not None:
        return tuple(_order_of_mode(entry) for entry in _one_each("mode", mode, len(keys)))
    if order is not None:
        return tuple(_order(entry) for entry in _one_each("order", order, len(keys)))
    first, *rest = map(str, keys)
    if LABEL_LIKE.search(first) or not set(rest) <= set(KNOWN_LABELS):
        msg = (
            f"keys {[first, *rest]} do not tell which volumes are images and which are labels; declare it with mode, "
            'one entry for each key, for example mode=["bicubic", "nearest"]'
        )
        raise ResamplingError(msg)
    return (3, *(0 for _ in rest))


def _one_each(name: str, value: object, count: int) -> Sequence[object]:
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return (value,) * count
    entries = tuple(value)  # type: ignore[var-annotated, arg-type]
    if len(entries) != count:
        msg = f"{name} must be one for all, or one entry for each of the {count} keys, not {value!r}"
        raise ResamplingError(msg)
    return entries


def _order_of_mode(mode: object) -> int:
    if isinstance(mode, str) and mode in MODES:
        return MODES[mode]
    order = _order(mode)
    if isinstance(order, int):
        return order
    msg = f"mode must be one of {', '.join(MODES)}, or an order from 0 to 3, not {mode!r}"
    raise ResamplingError(msg)


def _order(order: object) -> Order:
    """Convert any kind of integers to plain ones; the resampling checks their range."""
    try:
        return tuple(map(index, order)) if hasattr(order, "__len__") else index(order)  # type: ignore[call-overload, arg-type]
    except TypeError:
        msg = f"mode must be one of {', '.join(MODES)}, and mode or order an order from 0 to 3, not {order!r}"
        raise ResamplingError(msg) from None
