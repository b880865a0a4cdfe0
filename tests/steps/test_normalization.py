"""Z-scores beside numpy in float64, over every foreground, and their way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from monai_mriprep.errors import MriprepWarning, RecordError, VoxelError
from monai_mriprep.steps import Trace, Volumes, backward, forward
from monai_mriprep.steps.normalization import Normalization
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL, PREDICTION
from tests.steps.cases import GRIDS

GRID = GRIDS["oblique"]


@pytest.fixture
def volumes() -> Volumes:
    """Two channels of unlike range, a third of them air, some of the voxels negative; a mask that is something else."""
    rng = np.random.default_rng(3)
    image = rng.normal([[[[300.0]]], [[[-2.0]]]], [[[[80.0]]], [[[0.3]]]], (2, *GRID.shape))
    image[rng.random(image.shape) < 0.3] = 0
    mask = torch.from_numpy(rng.random(image.shape) < 0.4)
    label = torch.ones(1, *GRID.shape, dtype=torch.int16)
    return Volumes({IMAGE: torch.from_numpy(image.astype(np.float32)), LABEL: label, FOREGROUND: mask})


def masks(volumes: Volumes, over: str) -> np.ndarray:
    image = volumes.by_role[IMAGE].numpy()
    return {"nonzero": image != 0, "positive": image > 0, "foreground": volumes.by_role[FOREGROUND].numpy()}[over]


@pytest.mark.filterwarnings("ignore:.*foreground of channel 1 is empty:monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize("epsilon", [0.0, 5.0])
@pytest.mark.parametrize("over", ["nonzero", "positive", "foreground"])
def test_as_numpy_in_float64(volumes, over, epsilon):
    done, trace = forward([Normalization(over=over, epsilon=epsilon)], volumes, GRID)
    params = trace.params("normalization")
    assert done.by_role[IMAGE].dtype == torch.float32
    for channel, inside in enumerate(masks(volumes, over)):
        values = volumes.by_role[IMAGE][channel].numpy().astype(np.float64)
        assert params["voxels"][channel] == inside.sum()
        if not inside.any():
            assert torch.equal(done.by_role[IMAGE][channel], volumes.by_role[IMAGE][channel])
            continue
        mean, std = values[inside].mean(), values[inside].std()
        assert params["mean"][channel] == pytest.approx(mean, rel=1e-12)
        assert params["std"][channel] == pytest.approx(std, rel=1e-12)
        np.testing.assert_allclose(done.by_role[IMAGE][channel], (values - mean) / (std + epsilon), atol=2e-6)


@pytest.mark.parametrize("over", ["nonzero", "foreground"])
def test_an_image_gets_its_units_back_and_a_prediction_keeps_its_values(volumes, over):
    done, trace = forward([Normalization(over=over, epsilon=0.1)], volumes, GRID)
    image = volumes.by_role[IMAGE]
    back, _ = backward(trace, done.by_role[IMAGE], IMAGE)
    assert float((back - image).abs().max()) <= 3e-7 * float(image.abs().max())
    scores = done.by_role[IMAGE]
    assert backward(trace, scores, PREDICTION)[0] is scores


@pytest.mark.parametrize(("value", "problem"), [(0, "empty; its values are kept"), (7, "constant; only its mean")])
def test_a_foreground_without_deviation_is_warned_of(value, problem):
    image = torch.zeros(1, *GRID.shape)
    image[0, 2:5] = value
    with pytest.warns(MriprepWarning, match=rf"scan\.mha: the foreground is {problem}"):
        done, trace = forward([Normalization()], Volumes({IMAGE: image}, {IMAGE: "scan.mha"}), GRID)
    assert torch.equal(done.by_role[IMAGE], image - value)
    assert torch.equal(backward(trace, done.by_role[IMAGE], IMAGE)[0], image)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"mean": [1.0], "std": [2.0]},
        {"mean": [1.0], "std": ["a"], "voxels": [3]},
        {"mean": 1, "std": 2, "voxels": 3},
        {"mean": [1.0, 2.0], "std": [2.0, 2.0], "voxels": [3, 3]},
        {"mean": [1.0], "std": [2.0], "voxels": [float("inf")]},
    ],
    ids=str,
)
def test_z_scores_whose_record_somebody_has_edited_are_not_undone(params):
    trace = Trace.from_json({"source": GRID.to_json(), "steps": [{"step": "normalization", "params": params}]})
    with pytest.raises(RecordError, match=r"of 1 channels cannot be undone by .*: preprocess the case again"):
        backward(trace, torch.zeros(1, *GRID.shape), IMAGE)


@pytest.mark.parametrize("settings", [{"over": "every"}, {"epsilon": -1}, {"epsilon": float("nan")}, {"epsilon": "1"}])
def test_what_is_no_setting_is_refused(settings):
    with pytest.raises(ValidationError):
        Normalization(**settings)


@pytest.mark.parametrize(
    ("dtype", "value", "scale"), [(torch.float64, 1e50, 1.0), (torch.float32, 4e37, 1e-4)], ids=["value", "z-score"]
)
def test_a_value_beside_the_foreground_whose_z_score_float32_cannot_hold_is_refused(volumes, dtype, value, scale):
    image = (volumes.by_role[IMAGE] * scale).to(dtype)
    mask = volumes.by_role[FOREGROUND].clone()
    image[0, 0, 0, 0], mask[0, 0, 0, 0] = value, False
    named = Volumes({IMAGE: image, FOREGROUND: mask}, {IMAGE: "scan.mha"})
    with pytest.raises(VoxelError, match=r"^scan\.mha: holds the value"):
        Normalization(over="foreground").plan(named, GRID)
