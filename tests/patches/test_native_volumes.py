"""One file of volumes: shared, and without a name."""

from __future__ import annotations

import multiprocessing
import os
import pickle

import numpy as np
import pytest

from monai_mriprep.errors import DiskFullError, OutputError
from monai_mriprep.patches.native_volumes import NativePlace, NativeVolumes

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


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.stress)])
def test_a_file_without_a_name_is_shared_and_left_to_nobody(natives, tmp_path, method):
    place = natives.append(ARRAYS[0])
    child = multiprocessing.get_context(method).Process(target=require_first, args=(natives, place))
    child.start()
    child.join()
    assert child.exitcode == 0
    copy = pickle.loads(pickle.dumps(natives))
    assert os.fstat(copy._file.fileno()).st_ino == os.fstat(natives._file.fileno()).st_ino
    volume = copy.volume(place)
    del natives, copy
    assert np.array_equal(volume.numpy(), ARRAYS[0])
    assert not list(tmp_path.iterdir())


def require_first(natives: NativeVolumes, place: NativePlace) -> None:
    assert np.array_equal(natives.volume(place).numpy(), ARRAYS[0])


def test_what_cannot_be_written_names_the_folder_and_the_remedy(natives, tmp_path, monkeypatch):
    with pytest.raises(OutputError, match=r"gone: no file for decoded scans .*\(cache=\)"):
        NativeVolumes(tmp_path / "gone")
    monkeypatch.setattr(natives, "_file", Full())
    with pytest.raises(DiskFullError, match=r"a decoded scan of 0 MiB cannot be written .*\(cache=\)"):
        natives.append(ARRAYS[0])


class Full:
    def seek(self, *_: object) -> int:
        return 0

    def write(self, _: object) -> None:
        raise OSError(28, "No space left on device")
