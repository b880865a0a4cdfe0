"""What a run will cost: memory, disk and time."""

from __future__ import annotations

import numpy as np
import pytest

from monai_mriprep.errors import DiskFullError, MriprepError, ResamplingError
from monai_mriprep.formats.header import Outline
from monai_mriprep.formats.read import read_header
from monai_mriprep.recipe import Recipe
from monai_mriprep.run import estimates
from monai_mriprep.run.cases import Case
from monai_mriprep.run.estimates import check_space, estimated, free_bytes, run_seconds
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.session import open_session
from monai_mriprep.steps import Step, register_step, steps_of
from monai_mriprep.steps.crop import NonZeroCrop
from monai_mriprep.steps.label_cast import LabelCast
from monai_mriprep.volume.geometry import Grid

# --- Memory and size: what the list of steps says ---------------------------------------------------------------------

RELEASED = {
    "20001_0001_t2w": (179004800, 9072000),
    "20001_0002_t2w": (179004800, 9072000),
    "20005_0001_t1w": (124782400, 6280000),
    "20007_0001_mr": (95597234, 5485582),
    "20004_0001_t2star": (44339200, 1945600),
    "20002_0001_t1w": (6881952, 245784),
    "20003_0001_t2w": (4804800, 171600),
    "20006_0001_dce": (3001800, 103200),
}
"""Bytes of memory and voxels of the output that version 0.1.0 estimated for `mixed`, the largest first."""


def test_the_default_recipe_is_estimated_as_by_version_0_1_0(scans, tmp_path):
    cases = plan_run(scans / "mixed", tmp_path / "out").cases
    assert [(case.name, (case.memory_bytes, case.output_voxels)) for case in cases] == list(RELEASED.items())
    assert not any(case.is_upper_bound for case in cases)


@register_step
class EveryOtherSlice(Step):
    """Keeps every other slice, z: half the voxels, twice the spacing."""

    name = "estimates_every_other_slice"

    def grid(self, grid, params=None):
        affine = grid.affine.copy()
        affine[:3, 0] *= 2
        return type(grid)(((grid.shape[0] + 1) // 2, *grid.shape[1:]), affine)

    def working_bytes(self, grid):
        return 10**9


@register_step
class Refusing(Step):
    """Refuses every grid."""

    name = "estimates_refusing"
    follows = "label_cast"

    def grid(self, grid, params=None):
        msg = "not this one"
        raise ResamplingError(msg)


@pytest.fixture
def header(write_mha):
    """4 x 3 x 2 voxels of int16; spacing z y x 3 0.75 0.5 mm."""
    return read_header(write_mha()).outline


def test_a_step_before_the_resampling_is_in_the_estimate(header):
    steps = steps_of(Recipe(steps=["estimates_every_other_slice"]), (3.0, 0.75, 0.5))
    estimate = estimated(steps, [header])
    assert estimate.grid.shape == (1, 3, 4)
    assert estimate.voxels == 12
    np.testing.assert_allclose(estimate.grid.spacing, (3, 0.75, 0.5))
    stored, before_and_after, written = 24 * 2, 9 * (24 + 12), 12 * 8
    assert estimate.memory_bytes == stored + before_and_after + 10**9 + written


@pytest.mark.parametrize(("crop", "is_upper_bound"), [("none", False), ("nonzero", True)])
def test_a_step_that_depends_on_voxels_makes_an_upper_bound(header, crop, is_upper_bound):
    estimate = estimated(steps_of(Recipe(crop=crop), (3.0, 0.75, 0.5)), [header])
    assert estimate.is_upper_bound == is_upper_bound
    assert estimate.grid.shape == (2, 3, 4)


@pytest.mark.parametrize(("step", "held"), [(LabelCast(), 24), (NonZeroCrop(), 24 + 24)], ids=["in place", "moves"])
def test_a_step_that_may_move_voxels_has_them_twice_though_its_bound_is_the_grid_it_got(header, step, held):
    assert estimated([step], [header]).memory_bytes == 24 * 2 + 9 * held + 8 * 24


def test_what_a_header_has_wrong_or_a_step_refuses_is_handed_on(header):
    problem = MriprepError("no header")
    assert estimated((), [problem]) is problem
    assert str(estimated(steps_of(Recipe(steps=["estimates_refusing"]), (1.0, 1.0, 1.0)), [header])) == "not this one"


SHAPE = (10, 20, 30)
VOXELS = 10 * 20 * 30
SAME = steps_of(Recipe(), (3.0, 1.0, 1.0))
COARSE = steps_of(Recipe(), (9.0, 4.0, 4.0))


def outline(dtype: str, shape=SHAPE, **facts) -> Outline:
    affine = np.diag([*(3.0 * SHAPE[0] / shape[0], SHAPE[1] / shape[1], SHAPE[2] / shape[2]), 1.0])
    return Outline.of(Grid(shape, affine), np.dtype(dtype), **facts)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "float32"])
def test_a_label_of_32_bits_or_less_on_its_images_grid_costs_what_every_case_is_estimated_at(dtype):
    image = outline("int16")
    assert estimated(SAME, [image], outline(dtype)) == estimated(SAME, [image])


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64"])
def test_a_label_of_64_bits_may_stay_wide(dtype):
    image = outline("int16")
    more = estimated(SAME, [image], outline(dtype)).memory_bytes - estimated(SAME, [image]).memory_bytes
    assert more == 2 * VOXELS * (10 - 4)


def test_a_label_is_read_beside_its_image_and_converted():
    image, label = outline("uint16"), outline("int64", (10, 200, 300))
    estimate = estimated(COARSE, [image], label)
    assert estimate.memory_bytes == VOXELS * 4 + 100 * VOXELS * (8 + 2)
    assert estimate.voxels < VOXELS


@pytest.mark.parametrize(
    ("facts", "bytes_per_voxel"),
    [
        ({"dtype": "int8"}, 1),
        ({"dtype": "int16"}, 2),
        ({"dtype": "float32"}, 4 + 1 + 2),
        ({"dtype": "int16", "scaled": True}, 2 + 4 + 1 + 2),
        ({"dtype": "int16", "reader": "itk"}, 2 + 2),
        ({"dtype": "uint32"}, 4 + 8 + 2),
    ],
    ids=str,
)
def test_reading_takes_what_the_type_and_the_reader_take(facts, bytes_per_voxel):
    label = outline(shape=(10, 200, 300), **facts)
    assert estimated(COARSE, [outline("int16")], label).memory_bytes == VOXELS * 2 + 100 * VOXELS * bytes_per_voxel


def test_a_label_that_is_put_on_its_images_grid_is_there_twice_and_its_positions():
    image, label = outline("int16", (10, 60, 90)), outline("int16", (10, 61, 90))
    strict, resampled = (estimated(COARSE, [image], label, geometry) for geometry in ("strict", "resample"))
    assert resampled.memory_bytes == image.nbytes + label.nbytes + image.nbytes + 150 * 60 * 90
    assert strict.memory_bytes < resampled.memory_bytes
    assert estimated(COARSE, [image], image, "resample_label") == estimated(COARSE, [image], image)


def test_a_label_whose_header_cannot_be_read_is_left_out():
    assert estimated(SAME, [outline("int16")], MriprepError("no header")) == estimated(SAME, [outline("int16")])


# --- Disk and time ----------------------------------------------------------------------------------------------------


def test_cases_with_free_space(tmp_path, monkeypatch):
    outputs = {"image": "imagesTr/a", "label": "labelsTr/a"}
    cases = [Case(str(i), {}, outputs, output_voxels=1000) for i in range(10)]
    free = 40_000
    monkeypatch.setattr(estimates, "free_bytes", lambda folder: free)
    assert check_space(cases, tmp_path) == ()
    assert check_space([*cases, Case("huge", {}, outputs, 10**15, 10**14)], tmp_path) == ()
    free = 30_000
    (warning,) = check_space(cases, tmp_path)
    assert f"{tmp_path}: 10 cases will take about 0.0 MiB of disk" in warning
    free = 2_000
    with pytest.raises(DiskFullError, match="at the very least"):
        check_space(cases, tmp_path)
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "imagesTr" / "a").write_bytes(bytes(4_000))  # will be replaced, for each of the ten
    assert check_space(cases, tmp_path) == ()


def test_space_for_upper_bounds_is_no_reason_to_stop(tmp_path, monkeypatch):
    outputs = {"image": "imagesTr/a", "label": "labelsTr/a"}
    monkeypatch.setattr(estimates, "free_bytes", lambda folder: 100)
    huge = Case("huge", {}, outputs, 10**15, 10**14, is_upper_bound=True)
    certain = Case("certain", {}, outputs, output_voxels=1000)
    (warning,) = check_space([certain, huge], tmp_path)
    assert f"{tmp_path}: 2 cases will take at most" in warning
    assert "can be resumed" in warning


def test_a_disk_that_is_too_small_stops_the_run_before_it_starts(synthetic, tmp_path, monkeypatch):
    monkeypatch.setattr(estimates, "free_bytes", lambda folder: 10)
    with pytest.raises(DiskFullError, match="3 cases will take"), open_session(plan_run(synthetic, tmp_path / "out")):
        pytest.fail("the session was opened")


def test_free_space_where_a_folder_would_be_made(tmp_path):
    assert free_bytes(tmp_path / "not" / "yet") == pytest.approx(free_bytes(tmp_path), rel=0.1)


def test_time_is_that_of_the_largest_case_at_least():
    large, small = (0, 10**9), (0, 10**6)
    alone = run_seconds([large], 8)
    assert run_seconds([large, small], 8) == alone
    assert run_seconds([large, large], 2) == alone
    assert run_seconds([large, large], 0) > 1.8 * alone


def test_channels_of_a_file_are_estimated_as_those_of_several():
    """But for what is read at once."""
    grid = Grid((20, 100, 100), np.diag([3.0, 1, 1, 1]))
    one, four = (Outline.of(grid, np.dtype("<i2"), channels=count) for count in (1, 4))
    in_one, apart, alone = (estimated(COARSE, image).memory_bytes for image in ([four], [one] * 4, [one]))
    assert in_one == apart
    assert 2.5 * alone < in_one < 4 * alone, "labels are no more"


def test_channels_are_held_in_one_type_and_one_that_must_move_as_fractions():
    grid, other = (Grid((20, 100, 100), np.diag([step, 1.0, 1, 1])) for step in (3, 3.3))
    small, same, elsewhere = (
        Outline.of(place, np.dtype(kind)) for place, kind in ((grid, "<u1"), (grid, "<f4"), (other, "<u1"))
    )
    voxels = small.voxels
    assert estimates._image_bytes([small, small], "resample") == 2 * voxels
    assert estimates._image_bytes([small, same], "strict") == 8 * voxels
    assert estimates._image_bytes([small, elsewhere], "resample") == 8 * voxels
    wide = Outline.of(grid, np.dtype("<u4"))
    assert estimates._image_bytes([small, wide], "strict") == 16 * voxels
