"""Label values: counting, and casting to the smallest safe integer type."""

from __future__ import annotations

import numpy as np
import torch

from monai_mriprep.errors import LabelError
from monai_mriprep.types import LABEL_INTEGRALITY_TOLERANCE

__all__ = ["cast_label", "label_histogram", "vanished_labels"]

INT8_MAX, INT16_MAX = 127, 32767


def label_histogram(label: torch.Tensor) -> dict[int, int]:
    """Voxels of each value that occurs.

    Parameters
    ----------
    label
        Any shape; float values are rounded.
    """
    values = label.detach().cpu()
    values = values.round().to(torch.int64) if values.is_floating_point() else values
    if values.dtype == torch.bool:
        values = values.to(torch.uint8)
    low = int(values.min())
    if int(values.max()) - low > 2 * INT16_MAX:
        found, counts = torch.unique(values, return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))
    histogram = torch.bincount((values.to(torch.int64) - low if low else values).flatten()).numpy()
    return {int(value) + low: int(histogram[value]) for value in np.flatnonzero(histogram)}


def vanished_labels(before: dict[int, int], after: dict[int, int]) -> list[int]:
    """Positive values that occurred before and do not after."""
    return sorted(value for value in before if value > 0 and value not in after)


def cast_label(label: torch.Tensor, name: str = "label") -> tuple[torch.Tensor, int]:
    """Set negative values to 0 and cast to int8, or int16 where the maximum is over 127.

    Parameters
    ----------
    label
        Any shape, any real type; not written to.
    name
        What to call it in an error, such as its file.

    Returns
    -------
    tuple
        The new label, and how many voxels were negative.

    Raises
    ------
    LabelError
        If a value is over 32767, or further than `LABEL_INTEGRALITY_TOLERANCE` from an integer.
    """
    if label.is_floating_point():
        label = _integral(label, name)
    low, high = (int(value) for value in torch.aminmax(label.to(torch.uint8) if label.dtype == torch.bool else label))
    if high > INT16_MAX:
        raise LabelError(
            name, f"label value {high} is over {INT16_MAX}; renumber the labels, or check that this is one"
        )
    n_negative = int(torch.count_nonzero(label < 0)) if low < 0 else 0
    dtype = torch.int8 if high <= INT8_MAX else torch.int16
    return (label.clamp(min=0) if low < 0 else label).to(dtype, copy=True), n_negative


def _integral(label: torch.Tensor, name: str) -> torch.Tensor:
    rounded = label.round()
    off = (label - rounded).abs()
    if not bool((off <= LABEL_INTEGRALITY_TOLERANCE).all()):
        value = float(label.flatten()[int(off.nan_to_num(nan=1.0).argmax())])
        raise LabelError(name, f"label value {value:g} is not an integer; a label must hold class numbers")
    return rounded
