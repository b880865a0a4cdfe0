"""From 0 to 1 by percentiles, beside numpy in float64, and its way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_mriprep.errors import MriprepWarning, RecordError
from monai_mriprep.steps import Trace, Volumes, backward, forward
from monai_mriprep.steps.percentile_range import PercentileRange
from monai_mriprep.types import IMAGE
from tests.steps.cases import GRIDS, unlike_foregrounds, volumes_on

GRID = GRIDS["oblique"]


@pytest.mark.parametrize("over", ["nonzero", "positive", "foreground"])
def test_as_numpy_in_float64(over):
    volumes, foregrounds = unlike_foregrounds(volumes_on(GRID, torch.float32, channels=2))
    done, trace = forward([PercentileRange(over=over)], volumes, GRID)
    params = trace.params("percentile_range")
    for channel, values in enumerate(volumes.by_role[IMAGE].double().numpy()):
        inside = values[foregrounds[over][channel]]
        low, high = np.percentile(inside, [0.5, 99.5])
        assert [params["low"][channel], params["high"][channel]] == pytest.approx([low, high], rel=1e-13)
        np.testing.assert_allclose(
            done.by_role[IMAGE][channel], (values.clip(low, high) - low) / (high - low), atol=2e-7
        )


def test_an_image_gets_its_units_back_but_what_was_clipped():
    volumes = volumes_on(GRID, torch.float32, channels=2)
    done, trace = forward([PercentileRange()], volumes, GRID)
    back, _ = backward(Trace.from_json(trace.to_json()), done.by_role[IMAGE], IMAGE)
    params = trace.params("percentile_range")
    for channel, image in enumerate(volumes.by_role[IMAGE]):
        clipped = image.clamp(params["low"][channel], params["high"][channel])
        assert float((back[channel] - clipped).abs().max()) <= 3e-7 * 900


@pytest.mark.parametrize(("value", "problem"), [(0, "the foreground is empty"), (7, "are both 7; only that is")])
def test_a_foreground_without_a_range_is_warned_of(value, problem):
    image = torch.zeros(1, *GRID.shape)
    image[0, 2:5] = value
    with pytest.warns(MriprepWarning, match=rf"scan\.mha: .*{problem}"):
        done, trace = forward([PercentileRange()], Volumes({IMAGE: image}, {IMAGE: "scan.mha"}), GRID)
    assert torch.equal(done.by_role[IMAGE], image - value)
    assert torch.equal(backward(trace, done.by_role[IMAGE], IMAGE)[0], image)


@pytest.mark.parametrize(
    "params", [{}, {"low": [1.0], "high": [2.0]}, {"low": [1.0], "high": ["a"], "voxels": [3]}], ids=str
)
def test_a_range_whose_record_somebody_has_edited_is_not_undone(params):
    trace = Trace.from_json({"source": GRID.to_json(), "steps": [{"step": "percentile_range", "params": params}]})
    with pytest.raises(RecordError, match=r"of 1 channels cannot be undone by .*: preprocess the case again"):
        backward(trace, torch.zeros(1, *GRID.shape), IMAGE)
