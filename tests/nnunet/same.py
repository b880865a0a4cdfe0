"""Whether two preprocessed cases are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["assert_same_arrays", "assert_same_case", "assert_same_properties"]

TOLERANCE = 2e-6
"""Of the range of the image."""


def assert_same_case(stock: Path, ours: Path, case: str) -> None:
    """Of two folders, as nnU-Net's own dataset class reads them."""
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class

    one, other = (infer_dataset_class(str(folder))(str(folder), [case]).load_case(case) for folder in (stock, ours))
    for part in (0, 1):
        assert (one[part].blocks, one[part].chunks) == (other[part].blocks, other[part].chunks)
    assert_same_arrays((one[0][:], one[1][:]), (other[0][:], other[1][:]))
    assert_same_properties(one[3], other[3])


def assert_same_arrays(stock: tuple[Any, Any], ours: tuple[Any, Any]) -> None:
    """Data within the tolerance, labels equal; and their types."""
    for one, other in zip(stock, ours, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
    assert np.abs(stock[0] - ours[0]).max() <= TOLERANCE * np.ptp(stock[0])
    assert np.count_nonzero(stock[1] != ours[1]) == 0


def assert_same_properties(stock: Any, ours: Any) -> None:
    """Equal in value and type, at every depth, and in the order of keys."""
    assert type(stock) is type(ours)
    if isinstance(stock, dict):
        assert list(stock) == list(ours)
        for key in stock:
            assert_same_properties(stock[key], ours[key])
    elif isinstance(stock, (list, tuple)):
        assert len(stock) == len(ours)
        for one, other in zip(stock, ours, strict=True):
            assert_same_properties(one, other)
    elif isinstance(stock, np.ndarray):
        assert stock.dtype == ours.dtype
        np.testing.assert_array_equal(stock, ours)
    else:
        assert stock == ours
