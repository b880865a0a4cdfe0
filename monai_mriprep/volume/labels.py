"""Label values: counting, and casting to the smallest safe integer type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.errors import LabelError
from monai_mriprep.types import LABEL, LABEL_INTEGRALITY_TOLERANCE, LABEL_MAX
from monai_mriprep.volume.label_map import unclear_labels
from monai_mriprep.volume.threads import share_out

__all__ = [
    "apply_cast",
    "label_histogram",
    "narrowed",
    "plan_cast",
    "renumbered",
    "require_clear_map",
    "vanished_labels",
]

INT8_MAX = 127

PART_VOXELS = 1 << 20
"""Voxels that are counted or cast at once: what that takes beside the label is the same for a label of any size."""


def label_histogram(label: torch.Tensor) -> dict[int, int]:
    """Number of voxels of each value that occurs.

    Most rows of a label hold one value, and are counted at once.

    Parameters
    ----------
    label
        ``(..., W)``; float values are rounded.
    """
    rows = label.detach().cpu().numpy().reshape(-1, label.shape[-1])
    at_once = max(1, PART_VOXELS // rows.shape[1])
    parts = [rows[first : first + at_once] for first in range(0, len(rows), at_once)]
    found: list[Counter[int]] = []

    def work(numbers: Iterable[int]) -> None:
        for number in numbers:
            found.append(_counted_rows(parts[number]))

    share_out(len(parts), work)
    return dict(sorted(sum(found, Counter[int]()).items()))


def _counted_rows(rows: NDArray[Any]) -> Counter[int]:
    rows = np.rint(rows) if rows.dtype.kind == "f" else rows
    low = rows.min(axis=1)
    whole = low == rows.max(axis=1)
    counts: Counter[int] = Counter()
    for found, weight in ((low[whole], rows.shape[1]), (rows[~whole], 1)):
        for value, count in zip(*_count(found), strict=True):
            counts[int(value)] += int(count) * weight
    return counts


def _count(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """``np.unique`` with counts, without sorting where the values lie close together, as classes do."""
    if values.size == 0 or int(values.max()) - int(values.min()) > LABEL_MAX:
        return np.unique(values, return_counts=True)
    base = int(values.min())
    flat = values.ravel() if values.dtype.kind == "f" else values.ravel().astype(np.int64)  # int8 differences wrap
    counts = torch.bincount(torch.from_numpy((flat - flat.min()).astype(np.int64))).numpy()
    present = np.flatnonzero(counts)
    return present + base, counts[present]


def narrowed(values: NDArray[Any]) -> NDArray[Any]:
    """A label in 16 bits, where they hold every value exactly: else as it is.

    Parameters
    ----------
    values
        ``(D, H, W)``, any real type; not written to.

    Returns
    -------
    array
        int16, of the shape of `values`; or `values` itself, where its type is not wider, or int16 would change it.
    """
    if values.dtype.itemsize < 2 or values.dtype == np.int16 or not all(map(_fits_int16, values)):
        return values
    return values.view(np.int16) if values.dtype == np.uint16 else values.astype(np.int16)


def _fits_int16(plane: NDArray[Any]) -> bool:
    limits = np.iinfo(np.int16)
    if plane.min() < limits.min or plane.max() > limits.max:
        return False
    return plane.dtype.kind != "f" or bool((plane == np.rint(plane)).all())


def vanished_labels(before: dict[int, int], after: dict[int, int]) -> list[int]:
    """Positive values that occurred before and do not after."""
    return sorted(value for value in before if value > 0 and value not in after)


def plan_cast(label: torch.Tensor, name: str = LABEL.name, lowest: int = 0) -> tuple[str, int]:
    """Find the smallest safe type of a label.

    Parameters
    ----------
    label
        Any shape, any real type.
    name
        What to call it in an error, such as its file.
    lowest
        The lowest value that is kept: 0 or -1.

    Returns
    -------
    tuple
        ``"int8"``, or ``"int16"`` where the maximum is over 127; and how many voxels are below `lowest`.

    Raises
    ------
    LabelError
        If a value is over 32767, or further than `LABEL_INTEGRALITY_TOLERANCE` from an integer.
    """
    parts = list(_parts(label))
    if label.is_floating_point():
        _require_integral(parts, name)
    ends = [_ends(part) for part in parts]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    if high > LABEL_MAX:
        shown = high if high < 2**53 else f"{float(high):g}"
        problem = f"label value {shown} is over {LABEL_MAX}; renumber the labels, or check that this is one"
        raise LabelError(name, problem)
    n_negative = sum(int(torch.count_nonzero(_whole(part) < lowest)) for part in parts) if low < lowest else 0
    return "int8" if high <= INT8_MAX else "int16", n_negative


def _parts(label: torch.Tensor) -> Sequence[torch.Tensor]:
    """All voxels, some at a time."""
    parts: Sequence[torch.Tensor] = label.detach().reshape(-1).split(PART_VOXELS)
    return parts


def _ends(part: torch.Tensor) -> tuple[int, int]:
    low, high = torch.aminmax(part.to(torch.uint8) if part.dtype == torch.bool else _whole(part))
    return int(low), int(high)


def _whole(part: torch.Tensor) -> torch.Tensor:
    return part.round() if part.is_floating_point() else part


def _require_integral(parts: Iterable[torch.Tensor], name: str) -> None:
    for part in parts:
        off = (part - part.round()).abs()
        if not bool((off <= LABEL_INTEGRALITY_TOLERANCE).all()):
            value = float(part[int(off.nan_to_num(nan=1.0).argmax())])
            raise LabelError(name, f"label value {value:g} is not an integer; a label must hold class numbers")


def apply_cast(label: torch.Tensor, dtype: str, n_negative: int = 0, lowest: int = 0) -> torch.Tensor:
    """Set values below `lowest` to 0 and cast, by what `plan_cast` has found; `label` is not written to."""
    result = torch.empty(label.shape, dtype=getattr(torch, dtype), device=label.device)
    for part, target in zip(_parts(label), _parts(result), strict=True):
        whole = _whole(part)
        target.copy_(whole.masked_fill(whole < lowest, 0) if n_negative else whole)
    return result


def require_clear_map(label: torch.Tensor, new_numbers: Mapping[int, int], name: str = LABEL.name) -> None:
    """Refuse a label in which a value that `new_numbers` does not name is the new number of another one.

    See `monai_mriprep.volume.label_map.unclear_labels`.

    Parameters
    ----------
    label
        ``(..., W)``, any real type.
    new_numbers
        By the values of the label.
    name
        What to call it in an error, such as its file.

    Raises
    ------
    LabelError
        If there is such a value, or one that is further than `LABEL_INTEGRALITY_TOLERANCE` from an integer.
    """
    if label.is_floating_point():
        _require_integral(_parts(label), name)
    for problem in unclear_labels(label_histogram(label), new_numbers):
        raise LabelError(name, problem)


def renumbered(label: torch.Tensor, new_numbers: Mapping[int, int]) -> torch.Tensor:
    """A label with new numbers, in a type that holds 16 bits at least; values without one stay.

    Parameters
    ----------
    label
        Any shape, any real type; float values are rounded. Not written to.
    new_numbers
        By the values of the label.
    """
    result = torch.empty(label.shape, dtype=torch.promote_types(label.dtype, torch.int16), device=label.device)
    olds = torch.tensor(sorted(new_numbers), device=label.device)
    news = torch.tensor([new_numbers[old] for old in sorted(new_numbers)], device=label.device)
    for part, target in zip(_parts(label), _parts(result), strict=True):
        values = _whole(part).long()
        place = torch.bucketize(values, olds).clamp_(max=len(olds) - 1)
        target.copy_(torch.where(olds[place] == values, news[place], values))
    return result
