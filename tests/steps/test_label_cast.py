"""Class numbers in the smallest safe type, beside numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_mriprep.errors import LabelError, MriprepWarning
from monai_mriprep.steps import Volumes, backward, forward
from monai_mriprep.steps.label_cast import LabelCast
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL
from monai_mriprep.volume.geometry import Grid

GRID = Grid((2, 3, 4), np.eye(4))


def cast(values: np.ndarray) -> tuple[torch.Tensor, dict]:
    label = torch.from_numpy(np.resize(values, (1, *GRID.shape)))
    volumes, trace = forward([LabelCast()], Volumes({LABEL: label}, {LABEL: "seg.mha"}), GRID)
    assert torch.equal(backward(trace, volumes.by_role[LABEL], LABEL)[0], volumes.by_role[LABEL])
    return volumes.by_role[LABEL], trace.params("label_cast")["label"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize(("highest", "type_"), [(0, "int8"), (127, "int8"), (128, "int16"), (255, "int16")])
def test_the_smallest_safe_type(dtype, highest, type_):
    values = np.arange(24).astype(dtype)
    values[3] = highest
    values[values > highest] = 0
    found, params = cast(values)
    assert params == {"dtype": type_, "negative": 0}
    assert found.dtype == getattr(torch, type_)
    assert np.array_equal(found.numpy().ravel(), values.astype(np.int64))


def test_negative_values_become_0_and_are_counted():
    with pytest.warns(MriprepWarning, match=r"seg\.mha: 2 negative label voxels became 0"):
        found, params = cast(np.array([-1, 5, -7, *[300] * 21], np.int16))
    assert params == {"dtype": "int16", "negative": 2}
    assert found.ravel()[:4].tolist() == [0, 5, 0, 300]


def test_one_negative_voxel_is_not_said_to_be_many():
    with pytest.warns(MriprepWarning, match=r"seg\.mha: 1 negative label voxel became 0$"):
        cast(np.array([-1, *[5] * 23], np.int16))


@pytest.mark.parametrize(("value", "reason"), [(32768, "over 32767"), (0.5, "is not an integer"), (np.nan, "nan is")])
def test_what_no_label_holds_names_the_file(value, reason):
    with pytest.raises(LabelError, match=rf"seg\.mha: label value .*{reason}"):
        cast(np.array([value], np.float64))


def test_nothing_else_is_cast():
    image, mask = torch.rand(1, *GRID.shape), torch.ones(1, *GRID.shape, dtype=torch.bool)
    volumes, trace = forward([LabelCast()], Volumes({IMAGE: image, FOREGROUND: mask}), GRID)
    assert volumes.by_role[IMAGE] is image
    assert volumes.by_role[FOREGROUND] is mask
    assert trace.params("label_cast") == {}
