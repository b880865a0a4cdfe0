"""Label values: counting, and casting to the smallest safe integer type."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.errors import LabelError
from monai_mriprep.types import LABEL, LABEL_INTEGRALITY_TOLERANCE, LABEL_MAX

__all__ = ["apply_cast", "label_histogram", "plan_cast", "vanished_labels"]

INT8_MAX = 127


def label_histogram(label: torch.Tensor) -> dict[int, int]:
    """Number of voxels of each value that occurs.

    Most rows of a label hold one value, and are counted at once.

    Parameters
    ----------
    label
        ``(..., W)``; float values are rounded.
    """
    values = label.detach().cpu().numpy()
    rows = (np.rint(values) if values.dtype.kind == "f" else values).reshape(-1, values.shape[-1])
    low = rows.min(axis=1)
    whole = low == rows.max(axis=1)
    counts: Counter[int] = Counter()
    for found, weight in ((low[whole], rows.shape[1]), (rows[~whole], 1)):
        for value, count in zip(*_count(found), strict=True):
            counts[int(value)] += int(count) * weight
    return dict(sorted(counts.items()))


def _count(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """``np.unique`` with counts, without sorting where the values lie close together, as classes do."""
    if values.size == 0 or int(values.max()) - int(values.min()) > LABEL_MAX:
        return np.unique(values, return_counts=True)
    base = int(values.min())
    flat = values.ravel() if values.dtype.kind == "f" else values.ravel().astype(np.int64)  # int8 differences wrap
    counts = torch.bincount(torch.from_numpy((flat - flat.min()).astype(np.int64))).numpy()
    present = np.flatnonzero(counts)
    return present + base, counts[present]


def vanished_labels(before: dict[int, int], after: dict[int, int]) -> list[int]:
    """Positive values that occurred before and do not after."""
    return sorted(value for value in before if value > 0 and value not in after)


def plan_cast(label: torch.Tensor, name: str = LABEL.name) -> tuple[str, int]:
    """Find the smallest safe type of a label.

    Parameters
    ----------
    label
        Any shape, any real type.
    name
        What to call it in an error, such as its file.

    Returns
    -------
    tuple
        ``"int8"``, or ``"int16"`` where the maximum is over 127; and how many voxels are negative.

    Raises
    ------
    LabelError
        If a value is over 32767, or further than `LABEL_INTEGRALITY_TOLERANCE` from an integer.
    """
    if label.is_floating_point():
        label = _integral(label, name)
    low, high = (int(value) for value in torch.aminmax(label.to(torch.uint8) if label.dtype == torch.bool else label))
    if high > LABEL_MAX:
        shown = high if high < 2**53 else f"{float(high):g}"
        problem = f"label value {shown} is over {LABEL_MAX}; renumber the labels, or check that this is one"
        raise LabelError(name, problem)
    n_negative = int(torch.count_nonzero(label < 0)) if low < 0 else 0
    return "int8" if high <= INT8_MAX else "int16", n_negative


def apply_cast(label: torch.Tensor, dtype: str, n_negative: int = 0) -> torch.Tensor:
    """Set negative values to 0 and cast, by what `plan_cast` has found; `label` is not written to."""
    whole = label.round() if label.is_floating_point() else label
    return (whole.clamp(min=0) if n_negative else whole).to(getattr(torch, dtype), copy=True)


def _integral(label: torch.Tensor, name: str) -> torch.Tensor:
    rounded = label.round()
    off = (label - rounded).abs()
    if not bool((off <= LABEL_INTEGRALITY_TOLERANCE).all()):
        value = float(label.flatten()[int(off.nan_to_num(nan=1.0).argmax())])
        raise LabelError(name, f"label value {value:g} is not an integer; a label must hold class numbers")
    return rounded
