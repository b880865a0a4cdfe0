"""What a record says of files, grids and voxels."""

from __future__ import annotations

import hashlib
import os

import pytest
from pydantic import TypeAdapter

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.header import Frame
from monai_mriprep.models import checked
from monai_mriprep.store.record_parts import (
    HeaderRecord,
    LabelRecord,
    OutputRecord,
    RecordedFile,
    RecordedGrid,
    SourceRecord,
    json_histogram,
)
from monai_mriprep.volume.geometry import Grid
from tests.runs import done_line

FILE = {"path": "/data/a.raw", "size": 1, "mtime_ns": 2, "sha256": "3"}


def test_what_is_recorded_of_a_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"content")
    os.utime(path, ns=(5, 7))
    sha256 = hashlib.sha256(b"content").hexdigest()
    assert RecordedFile.of(path, path.stat()) == RecordedFile(path=str(path), size=7, mtime_ns=7, sha256=sha256)
    before = path.stat()
    path.write_bytes(b"more content")
    assert RecordedFile.of(path, before).size == 7


def test_a_file_fits_its_record_by_size_and_time(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"content")
    os.utime(path, ns=(5, 7))
    recorded = RecordedFile.of(path, path.stat())
    assert recorded.fits(path.stat())
    os.utime(path, ns=(5, 8))
    assert not recorded.fits(path.stat())
    path.write_bytes(b"contents")
    os.utime(path, ns=(5, 7))
    assert not recorded.fits(path.stat())


def test_its_path_is_absolute(tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    status = (tmp_path / "a").stat()
    monkeypatch.chdir(tmp_path)
    relative = (tmp_path / "a").relative_to(tmp_path)
    assert RecordedFile.of(relative, status).path == str(tmp_path / "a")


@pytest.mark.parametrize("path", ["a\0b", "\ud800"], ids=["nul", "half a character"])
def test_what_no_file_can_be_called_is_no_path(path):
    with pytest.raises(RecordError, match=r"path: .*is not the path of a file"):
        checked(TypeAdapter(RecordedFile), FILE | {"path": path})
    assert checked(TypeAdapter(RecordedFile), FILE | {"path": "caf\udce9"}).path == "caf\udce9", "a byte of a name"


def test_data_files_are_a_list_and_were_one_file_in_0_1_0():
    adapter = TypeAdapter(SourceRecord)
    one = checked(adapter, {**FILE, "data": FILE})
    several = checked(adapter, {**FILE, "data": [FILE, FILE], "reader": "metaimage"})
    assert one.data == (RecordedFile(**FILE),)
    assert one.reader == ""
    assert several.data == one.data * 2
    assert checked(adapter, FILE).data == ()


def test_an_output_has_a_checksum_of_its_voxels():
    assert checked(TypeAdapter(OutputRecord), FILE | {"crc32": 5}).crc32 == 5
    with pytest.raises(RecordError, match="crc32: Field required"):
        checked(TypeAdapter(OutputRecord), FILE)


def test_the_frame_of_a_header():
    rows = [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    header = checked(
        TypeAdapter(HeaderRecord), {"spacing": [3.0, 1.0, 0.5], "origin": [1.0, 2.0, 3.0], "direction": rows}
    )
    assert header.frame == Frame((3.0, 1.0, 0.5), (1.0, 2.0, 3.0), tuple(map(tuple, rows)))


def test_labels_are_numbers_which_json_has_as_text():
    labels = checked(TypeAdapter(LabelRecord), {"before": {"0": 5, "-1": 2}, "after": {}})
    assert labels.before == {0: 5, -1: 2}
    assert json_histogram(labels.before) == {"0": 5, "-1": 2}
    for wrong in ({"one": 1}, {"0": -1}, {str(2**63): 1}):
        with pytest.raises(RecordError, match="before"):
            checked(TypeAdapter(LabelRecord), {"before": wrong, "after": {}})


GRID = done_line()["source_grid"]
NO_GRIDS = {
    "no object": [],
    "no shape": {"affine": GRID["affine"]},
    "an empty one": {**GRID, "shape": [0, 4, 5]},
    "a number of 400 digits": {**GRID, "affine": [[10**400] * 4] * 4},
    "a flat one": {**GRID, "affine": [[0.0] * 4] * 4},
    "more voxels than 64 bits count": {**GRID, "shape": [2**31, 2**31, 2]},
}


def test_a_grid():
    adapter = TypeAdapter(dict[str, RecordedGrid])
    assert checked(adapter, {"grid": GRID})["grid"] == Grid.from_json(GRID)


@pytest.mark.parametrize("facts", NO_GRIDS.values(), ids=NO_GRIDS)
def test_what_is_no_grid_is_told(facts):
    with pytest.raises(RecordError, match=r"^grid: .*is no grid: "):
        checked(TypeAdapter(dict[str, RecordedGrid]), {"grid": facts})
