"""Outlines lie where labels are, and before and after show the same place, whatever the axes."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import torch
from PIL import Image

from monai_mriprep.pictures.draw import BACKGROUND, BOX, SIDES, draw, render
from monai_mriprep.pictures.layout import lay_out
from monai_mriprep.pictures.palette import colour_of
from monai_mriprep.pictures.place import view_of
from monai_mriprep.pictures.planes import Panel
from monai_mriprep.pictures.scan import Scan
from monai_mriprep.recipe import Recipe
from monai_mriprep.steps import Volumes, forward, steps_of
from monai_mriprep.types import IMAGE
from monai_mriprep.volume.axes import turn_to_codes
from tests.pictures.scans import (
    MIDDLE,
    ball,
    body,
    centre_of_ball,
    cut_out,
    expected_pixel,
    grid_of,
    outlined,
    scan_of,
)

GRIDS = {
    "plain": grid_of(),
    "as ITK": grid_of(axes="SPL"),
    "oblique": grid_of(axes="SPL", degrees=17),
    "permuted": grid_of(axes="RSP"),
    "coronal and oblique": grid_of(axes="ASL", degrees=-14),
    "thick": grid_of((10, 40, 44), (7.5, 1.5, 1.4), axes="IAR", degrees=4),
}


def panels_of(*scans: Scan) -> tuple[Panel, ...]:
    return lay_out(view_of(scans), len(scans)).panels


def pixels_of(*scans: Scan) -> np.ndarray:
    return np.asarray(render(scans))


def preprocessed(scan: Scan, centre: np.ndarray) -> Scan:
    """As a run leaves it that turns and crops, and halves the voxels; its label is a ball on the new grid."""
    recipe = Recipe(orientation="RAS", crop="nonzero")
    target = steps_of(recipe, scan.grid.spacing)[0].grid(scan.grid).spacing
    volumes = Volumes({IMAGE: torch.from_numpy(scan.voxels)[None]})
    done, trace = forward(steps_of(recipe, tuple(s / 2 for s in target)), volumes, scan.grid)
    return Scan(done.by_role[IMAGE][0].numpy(), trace.target, ball(trace.target, centre), title="preprocessed")


# --- Where labels are -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_an_outline_is_centred_where_nibabel_puts_the_centre_of_the_label(grid):
    scan, centre = scan_of(grid), centre_of_ball(grid)
    stored = np.asarray(Image.open(io.BytesIO(draw([scan]))))
    for panel in panels_of(scan):
        expected = expected_pixel(grid, panel, centre)
        np.testing.assert_allclose(panel.pixel(centre), expected, atol=1)
        np.testing.assert_allclose(outlined(pixels_of(scan), panel).mean(axis=0), expected, atol=1)
        np.testing.assert_allclose(outlined(stored, panel).mean(axis=0), expected, atol=1.5)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_before_and_after_show_the_same_place(grid):
    before, centre = scan_of(grid), centre_of_ball(grid)
    after = preprocessed(before, centre)
    assert after.grid.shape != tuple(2 * n for n in grid.shape)
    picture, panels = pixels_of(before, after), panels_of(before, after)
    for first, second in zip(panels[:3], panels[3:], strict=True):
        assert (first.plane, first.height, first.width) == (second.plane, second.height, second.width)
        shift = np.subtract((second.left, second.top), (first.left, first.top))
        np.testing.assert_allclose(second.pixel(centre) - shift, first.pixel(centre), atol=1e-6)
        for panel in (first, second):
            np.testing.assert_allclose(outlined(picture, panel).mean(axis=0), panel.pixel(centre), atol=1)


def test_right_is_at_the_left_the_front_is_up_and_the_head_too():
    bright = np.zeros((24, 40, 44), np.int16)
    bright[:13, :21, :23] = 100  # by the axes: the head, the back, the patient's right
    scan = Scan(bright, grid_of(axes="IAL"))
    axial, coronal, sagittal = (cut_out(pixels_of(scan), panel)[..., 0] > 128 for panel in panels_of(scan))
    assert SIDES == {"axial": "R", "coronal": "R", "sagittal": "A"}
    for panel, corner in ((axial, (-9, 9)), (coronal, (25, 9)), (sagittal, (9, -9))):
        assert panel[corner]
        assert panel.mean() == pytest.approx(0.28, abs=0.03)


def test_another_order_of_the_axes_changes_no_pixel():
    scan = scan_of(grid_of(degrees=10))
    turn = turn_to_codes(scan.grid, "PIR")
    voxels, label = (turn.array(torch.from_numpy(array)[None])[0].numpy() for array in (scan.voxels, scan.label))
    turned = Scan(voxels, turn.grid(scan.grid), label, title=scan.title)
    assert voxels.shape != scan.voxels.shape
    assert np.array_equal(pixels_of(turned), pixels_of(scan))


def test_a_label_of_one_small_voxel_is_seen_in_every_plane():
    grid = grid_of((100, 400, 400), (1.0, 0.2, 0.2))
    label = np.zeros(grid.shape, np.int8)
    label[71, 113, 286] = 3
    scan = Scan(np.zeros(grid.shape, np.uint8), grid, label)
    assert max(np.linalg.norm(panel.right) for panel in panels_of(scan)) > 0.2
    for panel in panels_of(scan):
        assert len(outlined(pixels_of(scan), panel)) in (5, 11)


# --- Labels on other grids --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [0, 25])
def test_a_label_on_another_grid_appears_where_its_header_puts_it(degrees):
    image, other = grid_of(), grid_of((30, 30, 30), (2.0, 1.1, 1.3), "PLS", degrees)
    centre = centre_of_ball(other)
    scan = Scan(body(image), image, ball(other, centre, radius=8.3), other)
    for panel in panels_of(scan):
        found = outlined(pixels_of(scan), panel).mean(axis=0)
        np.testing.assert_allclose(found, expected_pixel(image, panel, centre), atol=1.5)


def test_a_label_beside_the_image_is_shown_by_its_box():
    image, other = grid_of(), grid_of(middle=MIDDLE + np.array((75, 0, 0)))  # to the right
    centre = centre_of_ball(other)
    scan = Scan(body(image), image, ball(other, centre, radius=9.2), other)
    for panel in panels_of(scan)[:2]:
        part = cut_out(pixels_of(scan), panel)
        width = round(44 * 1.4 / np.linalg.norm(panel.right))
        assert part[:, -width + 2 :].max() > 220, "the image is at the right"
        lines = (part[:, :-width] == BOX).all(axis=2)
        assert min(lines.sum(axis=axis).max() for axis in (0, 1)) > 10
        found = outlined(pixels_of(scan), panel).mean(axis=0)
        np.testing.assert_allclose(found, panel.pixel(centre), atol=1)
    sagittal = panels_of(scan)[2]
    assert len(outlined(pixels_of(scan), sagittal)) == 0, "no such plane cuts the image and the label"
    assert (cut_out(pixels_of(scan), sagittal) == BOX).all(axis=2).sum() > 100


def test_a_label_of_kilometres_costs_nothing_more():
    """Pillow takes seconds for a line of that many pixels."""
    image, other = grid_of(), grid_of((2, 2, 2), (1e8, 1e8, 1e8), degrees=30)
    label = np.ones(other.shape, np.uint8)
    start = time.process_time()
    assert len(draw([Scan(body(image), image, label, other)])) < 40 * 1024
    assert time.process_time() - start < 1


# --- Intensities ------------------------------------------------------------------------------------------------------


def values_of(voxels: np.ndarray) -> np.ndarray:
    """Greys of the axial panel of a scan, without its outer pixels."""
    scan = Scan(voxels, grid_of())
    return cut_out(pixels_of(scan), panels_of(scan)[0])[20:-2, 2:-2, 0]


NOISE = np.random.default_rng(0).normal(100, 10, (24, 40, 44))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64", ">i2"])
def test_any_type_of_number_uses_the_range_of_greys(dtype):
    greys = values_of(NOISE.astype(dtype))
    assert (greys.min(), greys.max()) == (0, 255)
    assert 110 < greys.mean() < 145


def test_outliers_do_not_darken_the_rest():
    voxels = NOISE.astype(np.float32)
    voxels[::5, ::9, ::9] = 3e38
    voxels[1::5, ::9, ::9] = -3e38
    assert 100 < np.median(values_of(voxels)) < 155


def test_a_range_beyond_float32_is_drawn():
    voxels = np.where(NOISE > 100, 3e38, -3e38).astype(np.float32)
    assert set(values_of(voxels).ravel()) == {0, 255}


@pytest.mark.parametrize("value", [0, 7.5, -4e37])
def test_a_constant_image_is_black_on_the_grey_of_the_ground(value):
    assert set(values_of(np.full((24, 40, 44), value)).ravel()) == {0}
    assert pixels_of(Scan(np.full((24, 40, 44), value), grid_of()))[-1, -1].tolist() == [BACKGROUND] * 3


def test_voxels_that_share_a_pixel_are_averaged():
    grid = grid_of((100, 500, 500), (1.0, 0.2, 0.2), axes="SAL")
    black, white, stripes = np.zeros((500, 150)), np.ones((500, 150)), np.tile([[0], [1]], (250, 200))
    plane = np.concatenate([black, stripes, white], axis=1)
    scan = Scan(np.broadcast_to(plane, grid.shape), grid)
    greys = cut_out(pixels_of(scan), panels_of(scan)[0])[20:-2, :, 0]
    left, right = greys.shape[1] * 31 // 100, greys.shape[1] * 69 // 100
    assert 60 < greys[:, left:right].min() < greys[:, left:right].max() < 195
    assert (greys[:, 2 : left - 6].max(), greys[:, right + 6 : -2].min()) == (0, 255)


# --- Outlines ---------------------------------------------------------------------------------------------------------


def test_the_border_of_two_classes_has_the_colour_of_the_higher_one():
    label = np.full((24, 40, 44), 2, np.uint8)
    label[:, :20] = 1
    axial = cut_out(pixels_of(scan := Scan(np.zeros(label.shape), grid_of(), label)), panels_of(scan)[0])
    rows = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in axial[20:-20, 60].tolist()]
    assert [rows.count(colour) for colour in ("#000000", colour_of(1), colour_of(2))] == [len(rows) - 2, 0, 2]


def test_each_class_has_its_colour_and_what_is_below_1_has_none():
    label = np.zeros((24, 40, 44), np.int16)
    label[:, 8:32, 8:16], label[:, 8:32, 16:24], label[:, 8:32, 24:32] = -3, 2, 49
    part = cut_out(pixels_of(scan := Scan(np.zeros(label.shape), grid_of(), label)), panels_of(scan)[0])[18:-1, 1:-1]
    colours = {"#{:02x}{:02x}{:02x}".format(*colour) for colour in part.reshape(-1, 3).tolist()}
    assert colours == {"#000000", colour_of(2), colour_of(49)}


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int64", "float32"])
def test_a_label_of_any_type_is_outlined_two_pixels_thick(dtype):
    label = np.zeros((24, 40, 44), dtype)
    label[:, 10:30, 10:30] = 1
    scan = Scan(np.zeros(label.shape), grid_of(), label)
    axial = panels_of(scan)[0]
    mm = np.linalg.norm(axial.down)
    assert len(outlined(pixels_of(scan), axial)) == pytest.approx(4 * (20 * 1.5 + 20 * 1.4) / mm, abs=16)


def test_scans_without_a_label_and_with_an_empty_one_are_drawn():
    grid = grid_of()
    bare, empty = Scan(body(grid), grid), Scan(body(grid), grid, np.zeros(grid.shape, np.int8))
    assert np.array_equal(pixels_of(bare), pixels_of(empty))
    assert len(draw([bare, empty])) < 40 * 1024


def test_a_title_is_written_above_its_scan():
    grid = grid_of()
    with_title, without = (pixels_of(Scan(body(grid), grid, title=title)) for title in ("as scanned", ""))
    top = min(panel.top for panel in panels_of(Scan(body(grid), grid)))
    assert np.array_equal(with_title[top:], without[top:])
    assert with_title[:top].max() > 200 > without[:top].max()


# --- What is read -----------------------------------------------------------------------------------------------------


def test_a_large_volume_is_read_in_three_planes_only():
    """Of 8 TB that only seem to be there: a copy of the whole would fail."""
    shape = (20_000, 20_000, 20_000)
    voxels = np.broadcast_to(np.arange(20_000, dtype=np.uint8)[:, None], shape)
    scan = Scan(voxels.transpose(2, 0, 1), grid_of(shape, (0.01, 0.01, 0.01)))
    assert len(draw([scan])) > 1000
