"""What names and headers say of a dataset: its target spacing, and the axes that it is of."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_mriprep.dataset.survey import survey_dataset
from monai_mriprep.errors import DatasetError, HeaderError, ResamplingError, StatisticsError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.plan import plan_run
from monai_mriprep.steps import Step, register_step
from monai_mriprep.volume.geometry import Grid
from tests.oracles import SCANS, affine_of_itk
from tests.runs import write_case

NNUNET = Recipe(target_rule="nnunet")
HEADER = "median_spacing,10th_percentile_spacing,median_size\n"


# --- What needs review ------------------------------------------------------------------------------------------------


def test_a_table_of_other_scans_is_a_warning_of_a_run_under_an_orientation_only(dataset):
    """As they are stored, it may be that of the training data; `check` tells of both."""
    (dataset / "mri_statistics.csv").write_text(HEADER + "[4 2 2],[4 2 2],[4 8 9]\n", encoding="utf-8")
    as_stored, as_turned = (survey_dataset(dataset, recipe) for recipe in (Recipe(), Recipe(orientation="LPS")))
    assert [len(survey.choice.misfit) for survey in (as_stored, as_turned)] == [1, 1]
    assert not set(as_stored.choice.misfit) & set(as_stored.warnings)
    assert set(as_turned.choice.misfit) <= set(as_turned.warnings)


def test_images_and_labels_alone_are_told(dataset):
    (dataset / "ImagesTr/a.mha").unlink()
    (dataset / "LabelsTr/c.mha").unlink()
    assert [orphan.path for orphan in survey_dataset(dataset, Recipe()).orphans] == [
        dataset / "ImagesTr/c.mha",
        dataset / "LabelsTr/a.mha",
    ]


def test_outputs_are_compared_in_the_order_of_their_own_names(dataset):
    """As files, `a-1.npz` comes before `a.npz`, though `a` comes before `a-1`."""
    write_case(dataset, "a-1")
    assert survey_dataset(dataset, Recipe()).findings == ()
    write_case(dataset, "a1")
    for name in ("a", "a-1", "a1"):
        (dataset / f"LabelsTr/{name}.mha").rename(dataset / f"LabelsTr/{name}_seg.mha")
    (finding,) = survey_dataset(dataset, Recipe()).findings
    assert finding.startswith("sorted by name, a.npz stands beside the label a1_seg.npz")


# --- What is read, and how often --------------------------------------------------------------------------------------


def test_headers_of_labels_are_read_where_they_are_asked_for(dataset):
    label = dataset / "LabelsTr/b.mha"
    label.write_bytes(b"")

    assert {found.label for found in survey_dataset(dataset, Recipe()).outlines} == {None}
    _, problem, _ = survey_dataset(dataset, Recipe(), with_labels=True).outlines
    assert isinstance(problem.label, HeaderError)
    assert problem.label.path == str(label)


def test_what_one_image_has_wrong_stands_in_place_of_its_grid(dataset):
    (dataset / "ImagesTr/b.mha").write_bytes(b"")
    survey = survey_dataset(dataset, Recipe())

    (problem,) = survey.unreadable
    assert problem is survey.grids[1]
    assert survey.statistics.median == (3.5, 1, 1), "of the other two"


def test_a_dataset_without_a_pair_is_refused_where_a_target_is_asked_for(dataset):
    for path in (dataset / "LabelsTr").iterdir():
        path.unlink()
    survey = survey_dataset(dataset, Recipe(target_spacing=(1, 1, 1)))

    assert len(survey.orphans) == 3
    for ask in (lambda: survey.choice, lambda: survey.statistics, lambda: survey.median_size):
        with pytest.raises(DatasetError, match="no image has a label"):
            ask()


def test_so_is_one_whose_images_and_labels_lie_in_one_folder(tmp_path):
    for name in ("a_t1.mha", "b_seg.mha"):
        (tmp_path / name).touch()

    with pytest.raises(DatasetError, match=r"no image has a label.*'b_seg\.mha' and 'a_t1\.mha'"):
        _ = survey_dataset(tmp_path, Recipe()).choice


@register_step
class ThickSlicesOnly(Step):
    """Refuses a scan by its grid."""

    name = "survey_thick_slices_only"

    def grid(self, grid, params=None):
        if grid.spacing[0] < 3.5:
            msg = "slices are thin"
            raise ResamplingError(msg)
        return grid


def test_a_step_that_refuses_one_scan_does_not_stop_the_others(dataset, tmp_path):
    recipe = Recipe(steps=["survey_thick_slices_only"])

    assert [str(problem) for problem in survey_dataset(dataset, recipe).unreadable] == ["slices are thin"]
    assert [bool(case.memory_bytes) for case in plan_run(dataset, tmp_path / "out", recipe).cases] == [
        True,
        True,
        False,
    ]
    report = check_dataset(dataset, recipe)
    assert [case.problems for case in report.cases] == [(), (), ("slices are thin",)]
    assert report.target_spacing == (4, 1, 1)


@register_step
class FailsAtThinSlices(Step):
    """Has not thought of them: raises what no step should, or returns nothing."""

    name = "survey_fails_at_thin_slices"
    raises: bool = True

    def grid(self, grid, params=None):
        if grid.spacing[0] >= 3.5:
            return grid
        return {}["thin"] if self.raises else None


@pytest.mark.parametrize(("raises", "error"), [(True, "KeyError('thin')"), (False, "None, which is no Grid")])
def test_a_step_that_fails_at_one_scan_does_not_stop_the_others_either(dataset, tmp_path, raises, error):
    recipe = Recipe(steps=[{"step": "survey_fails_at_thin_slices", "raises": raises}])
    assert len(plan_run(dataset, tmp_path / "out", recipe).cases) == 3
    first, second, third = (case.problems for case in check_dataset(dataset, recipe).cases)
    assert first == second == ()
    (problem,) = third
    assert problem.startswith("the step 'survey_fails_at_thin_slices' cannot tell the grid that it makes of size (")
    assert error in problem


# --- Orientation: everything is of the turned axes --------------------------------------------------------------------

STRAIGHT = [name for name in SCANS if name.startswith("mixed") and "20008" not in name]
TURNED = [name for name in SCANS if name.startswith("traps") and "stale" not in name]


def turned(image: SimpleITK.Image) -> SimpleITK.Image:
    """As `orientation: RAS` has it, by ITK, whose codes name the same ends as ours."""
    return SimpleITK.DICOMOrient(image, "RAS")


@pytest.fixture(scope="module")
def datasets(scans, tmp_path_factory) -> tuple[Path, Path]:
    """Scans in many orders of axes, oblique ones among them, as they are and turned by ITK; each its own label."""
    roots = tmp_path_factory.mktemp("stored"), tmp_path_factory.mktemp("turned")
    for number, name in enumerate([*STRAIGHT, *TURNED]):
        image = SimpleITK.ReadImage(str(scans / name))
        for root, one in zip(roots, (image, turned(image)), strict=True):
            for folder in ("ImagesTr", "LabelsTr"):
                (root / folder).mkdir(exist_ok=True)
                SimpleITK.WriteImage(SimpleITK.Cast(one, SimpleITK.sitkUInt8), str(root / folder / f"{number:02}.mha"))
    return roots


RAS = Recipe(orientation="RAS")


def test_grids_are_those_of_files_that_itk_has_turned(datasets):
    stored, turned_before = (
        survey_dataset(root, recipe) for root, recipe in zip(datasets, (RAS, Recipe()), strict=True)
    )
    moved, kept = 0, survey_dataset(datasets[0], Recipe()).grids
    for grid, grid_of_file, case in zip(stored.grids, kept, turned_before.grouping.cases, strict=True):
        image = SimpleITK.ReadImage(str(turned_before.layout.images / case.image[0]))
        assert grid.shape == image.GetSize()[::-1]
        np.testing.assert_allclose(grid.affine, affine_of_itk(image), atol=1e-4)
        moved += grid.shape != grid_of_file.shape
    assert moved > 3


@pytest.mark.parametrize("rule", ["published", "nnunet"])
def test_statistics_sizes_and_target_are_those_of_files_that_itk_has_turned(datasets, rule):
    recipe, plain = Recipe(orientation="RAS", target_rule=rule), Recipe(target_rule=rule)
    ours, theirs = (survey_dataset(root, one) for root, one in zip(datasets, (recipe, plain), strict=True))

    assert ours.statistics.median == pytest.approx(theirs.statistics.median, abs=1e-6)
    assert ours.statistics.p10 == pytest.approx(theirs.statistics.p10, abs=1e-6)
    assert ours.median_size == theirs.median_size
    assert ours.choice.spacing == pytest.approx(theirs.choice.spacing, abs=1e-6)
    assert ours.statistics.p10 != survey_dataset(datasets[0], plain).statistics.p10


def test_check_and_plan_say_the_same_of_files_that_itk_has_turned(datasets, tmp_path):
    target = (3.0, 1.0, 1.0)
    recipes = Recipe(orientation="RAS", target_spacing=target), Recipe(target_spacing=target)
    ours, theirs = (check_dataset(root, recipe) for root, recipe in zip(datasets, recipes, strict=True))
    for one, other in zip(ours.cases, theirs.cases, strict=True):
        assert one.native_grid.shape == other.native_grid.shape
        assert one.native_grid.spacing == pytest.approx(other.native_grid.spacing, abs=1e-6)
        assert (one.target_shape, one.output_bytes) == (other.target_shape, other.output_bytes)
    plans = (plan_run(root, tmp_path, recipe) for root, recipe in zip(datasets, recipes, strict=True))
    ours, theirs = ({case.name: case.output_voxels for case in plan.cases} for plan in plans)
    assert ours == theirs


@pytest.fixture
def sagittal(tmp_path) -> Path:
    """Scans whose slices, 4 mm apart, run to the right: x is the coarse axis once they are turned to RAS."""
    direction = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    for name in ("a", "b"):
        for folder in ("ImagesTr", "LabelsTr"):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            image = SimpleITK.Image(9, 8, 4, SimpleITK.sitkInt16)
            image.SetSpacing((1.0, 1.0, 4.0))
            image.SetDirection(direction.ravel().tolist())
            SimpleITK.WriteImage(image, str(tmp_path / "data" / folder / f"{name}.mha"))
    return tmp_path / "data"


def test_a_table_is_of_the_turned_axes(sagittal):
    table = sagittal / "mri_statistics.csv"
    for row, fits in (("[1 1 4],[1 1 4]", RAS), ("[4 1 1],[4 1 1]", Recipe())):
        table.write_text(f"median_spacing,10th_percentile_spacing\n{row}\n", encoding="utf-8")
        refusing = Recipe() if fits is RAS else RAS
        assert survey_dataset(sagittal, fits).choice.computed is None
        with pytest.raises(StatisticsError, match="contradicts the images' headers"):
            survey_dataset(sagittal, refusing).choice  # noqa: B018


def test_a_doubtful_spacing_is_told_in_the_turned_axes(sagittal):
    for path in (sagittal / "ImagesTr").iterdir():
        image = SimpleITK.ReadImage(str(path))
        image.SetSpacing((0.001, 0.001, 0.004))
        SimpleITK.WriteImage(image, str(path))

    assert "spacing (0.001, 0.001, 0.004) mm (z y x)" in survey_dataset(sagittal, RAS).doubts[0]
    assert "spacing (0.004, 0.001, 0.001) mm (z y x)" in survey_dataset(sagittal, Recipe()).doubts[0]


def test_keeping_the_orientation_is_reading_the_headers(datasets):
    survey = survey_dataset(datasets[0], Recipe())
    assert [found.first.grid for found in survey.outlines] == list(survey.grids)
    assert all(isinstance(grid, Grid) for grid in survey.grids)
