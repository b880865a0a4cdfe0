"""One file of volumes: shared, and removed by its maker alone."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest

from monai_mriprep.errors import DiskFullError, OutputError
from monai_mriprep.patches.native_volumes import NativeVolumes

ARRAYS = [
    np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4),
    np.array([[[[1.5]]]], np.float64),
    np.arange(12, dtype=np.int8)[::-1].reshape(2, 1, 2, 3),
]


@pytest.fixture
def natives(tmp_path) -> NativeVolumes:
    return NativeVolumes(tmp_path)


def test_volumes_come_back_in_their_types_whenever_they_are_asked_for(natives):
    places = []
    for array in ARRAYS:
        places.append(natives.append(array))
        for place, before in zip(places, ARRAYS, strict=False):
            found = natives.volume(place).numpy()
            assert found.dtype == before.dtype
            assert np.array_equal(found, before)
    assert all(place.begin % 64 == 0 for place in places)


def test_nobody_but_the_maker_removes_the_file(natives, tmp_path):
    place = natives.append(ARRAYS[0])
    child = multiprocessing.get_context("fork").Process(target=natives._finalizer)
    child.start()
    child.join()
    assert child.exitcode == 0
    copy = pickle.loads(pickle.dumps(natives))
    assert np.array_equal(copy.volume(place).numpy(), ARRAYS[0])
    assert list(tmp_path.iterdir()) == [natives.path]
    natives._finalizer()
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="keep the dataset that made them"):
        pickle.loads(pickle.dumps(natives)).volume(place)


def test_what_cannot_be_written_names_the_folder_and_the_remedy(natives, tmp_path, monkeypatch):
    with pytest.raises(OutputError, match=r"gone: no file for decoded scans .*\(cache=\)"):
        NativeVolumes(tmp_path / "gone")
    monkeypatch.setattr("monai_mriprep.patches.native_volumes.Path.open", _full)
    with pytest.raises(DiskFullError, match=r"a decoded scan of 0 MiB cannot be written .*\(cache=\)"):
        natives.append(ARRAYS[0])


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")
