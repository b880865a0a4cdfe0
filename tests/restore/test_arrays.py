"""What the values of a prediction become."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_mriprep import restore
from monai_mriprep.errors import ResamplingError
from monai_mriprep.restore import arrays
from monai_mriprep.restore.arrays import restore_array
from monai_mriprep.restore.source_space import SourceSpace
from monai_mriprep.steps import AppliedStep, Trace
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling
from tests.restore.files import assert_geometry, voxels
from tests.runs import done_records


def test_channels_are_interpolated_then_compared(made, predictions, tmp_path):
    out, facts = made
    record = done_records(out)["10_mha_Ima"]
    trace = SourceSpace.of(record).trace
    floats = np.random.default_rng(0).random((3, *trace.target.shape), np.float32)
    np.save(predictions / "10_mha_Ima.npy", floats)
    expected = apply_plan(torch.from_numpy(floats), plan_resampling(trace.target, trace.source, 1))
    (path,) = restore(out, predictions, tmp_path / "classes").restored
    np.testing.assert_array_equal(voxels(path), expected.argmax(0))
    assert voxels(path).dtype == np.uint8
    (path,) = restore(out, predictions, tmp_path / "floats", probabilities=True).restored
    np.testing.assert_array_equal(np.moveaxis(voxels(path), -1, 0), expected)
    assert_geometry(path, facts["10_mha"], 0)


FINE, COARSE = Grid((4, 5, 6), np.eye(4)), Grid((2, 5, 6), np.diag([2.0, 1.0, 1.0, 1.0]))
REFINED = Trace(COARSE, (AppliedStep(Resampling(target=(1.0, 1.0, 1.0)), {"grid": FINE.to_json()}, COARSE),))
"""Of a source whose slices are every second one of the predictions'."""


def test_one_channel_of_floats_is_a_probability_of_the_foreground():
    chance = np.linspace(0, 1, 120, dtype=np.float32).reshape(1, 4, 5, 6)
    np.testing.assert_array_equal(restore_array(chance, REFINED), (chance[0, ::2] >= 0.5).astype(np.uint8))
    np.testing.assert_array_equal(restore_array(chance, REFINED, probabilities=True), chance[0, ::2])
    certain = restore_array(np.round(chance), REFINED, probabilities=True)
    assert certain.dtype == np.float32, "what is asked for does not depend on the values"


def test_exactly_one_half_is_the_foreground():
    halves = np.resize(np.array([0.5, np.nextafter(np.float32(0.5), np.float32(0))], np.float32), (1, 4, 5, 6))
    np.testing.assert_array_equal(restore_array(halves, REFINED), halves[0, ::2] == 0.5)


def test_of_equal_channels_the_first_wins():
    channels = np.zeros((4, 4, 5, 6), np.float32)
    channels[1:3, :, 1:] = 1
    channels[3, :, 2:] = 1
    found = restore_array(channels, REFINED)
    np.testing.assert_array_equal(found, channels[:, ::2].argmax(0))  # numpy's argmax is the first, too
    assert np.unique(found).tolist() == [0, 1]


@pytest.mark.parametrize(("count", "dtype"), [(2, "uint8"), (256, "uint8"), (257, "int16"), (400, "int16")])
def test_the_type_of_an_argmax_holds_its_last_class(count, dtype):
    channels = np.zeros((count, 2, 1, 1), np.float32)
    channels[-1] = 1
    found = restore_array(channels, Trace(Grid((2, 1, 1), np.eye(4))))
    assert found.dtype == dtype
    assert np.unique(found).tolist() == [count - 1]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([0, 3], "uint8"), ([0, 300], "int16"), ([-1, 3], "int16"), ([0, 70000], "int32")],
)
@pytest.mark.parametrize("stored", ["int64", "float64"])
def test_class_numbers_keep_their_values(values, dtype, stored):
    array = np.resize(np.array(values, stored), (1, 4, 5, 6))
    found = restore_array(array, REFINED)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, array[0, ::2])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_scores_of_other_types_are_compared_as_float32(dtype):
    scores = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(dtype)
    np.testing.assert_array_equal(restore_array(scores, REFINED), scores[:, ::2].argmax(0))


def test_scores_beyond_float32_are_refused():
    with np.errstate(over="ignore"), pytest.raises(ResamplingError, match="not finite"):
        restore_array(np.full((3, 4, 5, 6), 1e300), REFINED)


@pytest.mark.parametrize("trace", [REFINED, Trace(FINE)], ids=["resampled", "nothing to undo"])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_prediction_is_not_written_to(trace, n_channels):
    floats = np.random.default_rng(0).random((n_channels, 4, 5, 6), np.float32)
    before = floats.copy()
    for probabilities in (False, True):
        restore_array(floats, trace, probabilities)
        np.testing.assert_array_equal(floats, before)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_prediction_may_be_read_only(dtype):
    array = np.ones((1, 4, 5, 6), dtype)
    array.setflags(write=False)
    assert restore_array(array, REFINED).tolist() == np.ones(REFINED.source.shape).tolist()


def test_memory_does_not_grow_with_the_channels_that_are_kept(monkeypatch):
    """They are taken back one at a time."""
    shapes = []

    def noted(trace, volume):
        shapes.append(tuple(volume.shape))
        return arrays_backward(trace, volume)

    arrays_backward = arrays.backward
    monkeypatch.setattr(arrays, "backward", noted)
    restore_array(np.random.default_rng(0).random((5, 4, 5, 6), np.float32), REFINED, probabilities=True)
    assert shapes == [(1, 4, 5, 6)] * 5


@pytest.mark.parametrize("array", [np.full((1, 4, 5, 6), 2.5), np.full((1, 4, 5, 6), -0.5), np.ones((2, 4, 5, 6), int)])
def test_values_that_could_be_anything_are_refused(array):
    with pytest.raises(ValueError, match="class numbers"):
        restore_array(array, REFINED)
