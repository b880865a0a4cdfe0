"""Pictures from what a run has written."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from monai_mriprep.errors import NpzError
from monai_mriprep.formats.npz import NpzVolume, encode_npz
from monai_mriprep.pictures import Scan, draw
from monai_mriprep.pictures.outputs import TITLE, draw_outputs
from tests.pictures.scans import ball, body, centre_of_ball, grid_of
from tests.test_docs import ROOT

GRID = grid_of()


@pytest.fixture
def written(tmp_path):
    def write(name, array, affine=GRID.affine):
        volume = NpzVolume(array[None], np.array(GRID.spacing), affine)
        (tmp_path / name).write_bytes(b"".join(encode_npz(volume)))
        return tmp_path / name

    return write


def test_one_scan_is_drawn_and_says_that_it_is_alone(written):
    voxels, label = body(GRID).astype(np.float32), ball(GRID, centre_of_ball(GRID)).astype(np.int8)
    drawn = draw_outputs(written("image.npz", voxels), written("label.npz", label))
    assert drawn == draw([Scan(voxels, GRID, label, title=TITLE)])
    assert "no picture" in TITLE
    assert draw_outputs(written("image.npz", voxels)) == draw([Scan(voxels, GRID, title=TITLE)])


def test_a_folder_of_the_first_version_is_drawn():
    folder = ROOT / "tests" / "folder_of_0_1_0"
    (image, *_), (label, *_) = (sorted(folder.rglob(f"{name}/*.npz")) for name in ("imagesTr", "labelsTr"))
    with Image.open(io.BytesIO(draw_outputs(image, label))) as picture:
        assert np.asarray(picture).std() > 10


def test_a_damaged_file_is_named(written, tmp_path):
    image = written("image.npz", body(GRID))
    image.write_bytes(image.read_bytes()[:500])
    with pytest.raises(NpzError, match=r"image\.npz"):
        draw_outputs(image)
