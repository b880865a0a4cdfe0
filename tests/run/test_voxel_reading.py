"""What is read of one case before a run: each file once, for what is said, measured and shown of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.pictures.layout import lay_out
from monai_mriprep.pictures.place import view_of
from monai_mriprep.pictures.scan import Scan
from monai_mriprep.run import voxel_reading
from monai_mriprep.run.check import check_dataset
from monai_mriprep.volume.geometry import Grid
from tests.layouts import write_layout
from tests.runs import write_case

SHAPE, SPACING = (8, 30, 32), (3.0, 1.0, 1.0)
AT = (0.0, 0.0, 0.0)
BOX = np.s_[2:5, 10:16, 12:18]
ORANGE = np.array([0xE6, 0x9F, 0x00])
"""Of class 1."""


def write_pair(root: Path, label_origin=AT) -> Path:
    """One case, `a`: noise, and a box as its label, whose header may put it elsewhere; RAS+ mm."""
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(0).integers(300, 400, SHAPE, np.int16)
    label = np.zeros(SHAPE, np.int16)
    label[BOX] = 1
    write_metaimage(root / "ImagesTr" / "a.mha", image, SPACING)
    write_metaimage(root / "LabelsTr" / "a.mha", label, SPACING, origin=label_origin)
    return root


def pictures_of(root: Path, **options) -> dict[str, bytes]:
    """The pictures that a check hands over, by case."""
    kept: dict[str, bytes] = {}
    check_dataset(root, voxels=True, workers=1, keep_picture=kept.__setitem__, **options)
    return kept


def pixels_of(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def grid_at(origin: tuple[float, float, float]) -> Grid:
    """Of a file that states no direction: to ITK its axes run to L, P and S. Index z, y, x to RAS+ mm."""
    affine = np.array([[0.0, 0.0, -1.0, 0.0], [0.0, -1.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    affine[:3, 3] = origin
    return Grid(SHAPE, affine)


def outlined(picture: bytes) -> np.ndarray:
    """Columns and rows of the pixels that have the colour of class 1; WebP blurs colours."""
    near = np.abs(pixels_of(picture) - ORANGE).sum(axis=2) < 150
    return np.argwhere(near)[:, ::-1]


@pytest.mark.parametrize("origin", [AT, (36.0, 0.0, 0.0)], ids=["on the image", "beside it"])
def test_the_label_is_drawn_where_its_header_puts_it(tmp_path, origin):
    root = write_pair(tmp_path, origin)
    picture = pictures_of(root)["a"]
    label = np.zeros(SHAPE, np.int16)
    label[BOX] = 1
    scan = Scan(np.ones(SHAPE), grid_at(AT), label, grid_at(origin))
    axial = lay_out(view_of([scan]), 1).panels[0]
    middle = grid_at(origin).affine @ [3.0, 12.5, 14.5, 1.0]
    found = outlined(picture)
    in_panel = (found[:, 0] >= axial.left) & (found[:, 0] < axial.left + axial.width)
    in_panel &= (found[:, 1] >= axial.top) & (found[:, 1] < axial.top + axial.height)
    assert in_panel.sum() > 20
    assert np.allclose(found[in_panel].mean(axis=0), axial.pixel(middle[:3]), atol=1.5)
    corners = [axial.pixel((grid_at(AT).affine @ [3, y, x, 1])[:3])[0] for y in (0, 29) for x in (-0.5, 31.5)]
    inside = (found[in_panel, 0] > min(corners)) & (found[in_panel, 0] < max(corners))
    assert inside.all() if origin == AT else not inside.any()


def test_each_file_is_read_once(tmp_path, monkeypatch):
    root = write_layout("nnU-Net", tmp_path / "raw")
    read = []
    original = voxel_reading.read_voxels
    monkeypatch.setattr(voxel_reading, "read_voxels", lambda header: read.append(header.path) or original(header))
    dataset = next(root.iterdir())
    kept: dict[str, bytes] = {}
    report = check_dataset(dataset, voxels=True, workers=2, keep_picture=kept.__setitem__)
    assert sorted(read) == sorted(file for case in report.cases for file in case.files)
    assert sorted(kept) == [case.case for case in report.cases]
    assert {len(case.channels) for case in report.cases} == {1}


def test_what_is_found_is_the_same_with_and_without_pictures(tmp_path):
    root = write_layout("nnU-Net", tmp_path / "raw")
    with_pictures, without = (
        check_dataset(next(root.iterdir()), voxels=True, keep_picture=keep) for keep in (lambda *_: None, None)
    )
    assert with_pictures.cases == without.cases
    assert with_pictures.cohort == without.cohort


def test_nothing_is_drawn_unless_it_is_wanted(tmp_path, monkeypatch):
    monkeypatch.setattr(voxel_reading, "draw", lambda *_: pytest.fail("drawn"))
    (case,) = check_dataset(write_pair(tmp_path), voxels=True).cases
    assert case.warnings == ()


def test_what_cannot_be_drawn_is_a_warning(tmp_path, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(voxel_reading, "draw", fail)
    (case,) = check_dataset(write_pair(tmp_path), voxels=True, keep_picture=lambda *_: None).cases
    assert (case.problems, case.warnings) == ((), ("no picture of it could be made: ZeroDivisionError: ",))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def test_an_image_that_cannot_be_read_has_no_picture(tmp_path):
    write_pair(tmp_path)
    write_case(tmp_path, "b", SHAPE, SPACING)
    cut_short(tmp_path / "ImagesTr" / "b.mha")
    assert list(pictures_of(tmp_path)) == ["a"]


def test_a_label_that_cannot_be_read_is_missing_in_the_picture(tmp_path):
    write_pair(tmp_path)
    assert len(outlined(pictures_of(tmp_path)["a"])) > 50
    cut_short(tmp_path / "LabelsTr" / "a.mha")
    assert len(outlined(pictures_of(tmp_path)["a"])) == 0


def test_numbers_beyond_float32_are_shown_though_they_are_a_problem(tmp_path):
    write_pair(tmp_path)
    image = np.full(SHAPE, 1e300)
    image[:, 10:20] = -1e300
    write_metaimage(tmp_path / "ImagesTr" / "a.mha", image, SPACING)
    assert list(pictures_of(tmp_path)) == ["a"]
