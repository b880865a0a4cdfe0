"""What the viewer is handed: NIfTI that nibabel reads, where it lay, within its budget."""

from __future__ import annotations

import base64
import gzip

import nibabel
import numpy as np
import pytest

from monai_mriprep.pictures.palette import colour_of
from monai_mriprep.report.html.viewer.volumes import viewer_volume
from monai_mriprep.volume.geometry import Grid, reverse_axes
from tests.phantoms import MIXED

PHANTOM = MIXED["20001_0002_t2w"]  # oblique, and its axes run P R I
PLENTY = 10_000_000


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, Grid, np.ndarray]:
    return PHANTOM.image(0).astype(np.float32), Grid(PHANTOM.shape, PHANTOM.affine), PHANTOM.label()


def nifti(text: str) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def test_it_is_nifti_of_8_bits_in_mm(case):
    volume = viewer_volume(*case, PLENTY)
    assert volume.mm == 2.0
    for text in (volume.image, volume.label):
        found = nifti(text)
        assert found.get_data_dtype() == np.uint8
        assert found.header.get_xyzt_units()[0] == "mm"
        assert found.shape == (180, 180, 22)


def test_the_label_lies_where_it_lay(case):
    _, grid, label = case
    volume = viewer_volume(*case, PLENTY)
    before = (reverse_axes(grid.affine) @ [*np.argwhere(label.T).mean(axis=0), 1])[:3]
    found = nifti(volume.label)
    after = (found.affine @ [*np.argwhere(np.asarray(found.dataobj)).mean(axis=0), 1])[:3]
    np.testing.assert_allclose(after, before, atol=0.5)
    np.testing.assert_allclose(volume.centre, after, atol=1e-4)


def test_numbers_of_the_label_stand_for_classes_in_the_colours_of_the_pictures(case):
    image, grid, label = case
    volume = viewer_volume(image, grid, label * 9, PLENTY)
    assert volume.classes == ((9, colour_of(9)),)
    assert np.unique(nifti(volume.label).dataobj).tolist() == [0, 1]


def test_without_a_label_the_crosshair_is_at_the_centre_of_the_image(case):
    image, grid, _ = case
    volume = viewer_volume(image, grid, None, PLENTY)
    assert (volume.label, volume.classes) == ("", ())
    middle = grid.affine[:3, :3] @ (np.subtract(grid.shape, 1) / 2) + grid.origin
    np.testing.assert_allclose(volume.centre, middle)
    empty = viewer_volume(image, grid, np.zeros(grid.shape, np.int8), PLENTY)
    np.testing.assert_allclose(empty.centre, middle)
    assert (empty.label, empty.classes) == ("", ())


def test_a_small_budget_makes_voxels_larger(case):
    volume = viewer_volume(*case, 60_000)
    assert 30_000 < volume.size <= 60_000
    assert volume.mm > 2.5


def test_no_room_at_all_is_told(case):
    with pytest.raises(ValueError, match="it would take more than 100 characters of the page"):
        viewer_volume(*case, 100)


def test_equal_volumes_give_equal_text(case):
    assert viewer_volume(*case, PLENTY) == viewer_volume(*case, PLENTY)
