"""The choice of a dataset's target spacing."""

import pytest

from monai_mriprep.dataset.survey import survey_dataset
from monai_mriprep.errors import StatisticsError
from monai_mriprep.pipeline import open_dataset
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.plan import plan_run
from tests.runs import write_case

NNUNET = Recipe(target_rule="nnunet")
HEADER = "median_spacing,10th_percentile_spacing,median_size\n"


@pytest.fixture
def dataset(tmp_path):
    """Slices of 4, 4 and 3 mm; 4 x 8 x 9 voxels, which are too many slices for nnU-Net's rule."""
    for name, z in {"a": 4.0, "b": 4.0, "c": 3.0}.items():
        write_case(tmp_path / "dataset", name, (4, 8, 9), (z, 1.0, 1.0))
    return tmp_path / "dataset"


@pytest.mark.filterwarnings("ignore:.*no mri_statistics.csv")
@pytest.mark.parametrize(("rule", "z"), [("published", 3.2), ("nnunet", 4.0)])
def test_all_that_work_on_a_dataset_choose_by_the_recipes_rule(dataset, tmp_path, rule, z):
    recipe = Recipe(target_rule=rule)

    assert plan_run(dataset, tmp_path / "out", recipe).job.target == (z, 1, 1)
    assert check_dataset(dataset, recipe).target_spacing == (z, 1, 1)
    assert open_dataset(dataset, recipe).derivation.spacing == (z, 1, 1)


def test_a_target_of_the_recipe_needs_no_rule(dataset):
    recipe = Recipe(target_rule="nnunet", target_spacing=(2, 1, 1))

    assert survey_dataset(dataset, recipe).choice.spacing == (2, 1, 1)


TABLES = {
    "sizes of the headers": ("median_spacing,10th_percentile_spacing\n[4 1 1],[3.2 1 1]\n", None, (4, 1, 1)),
    "sizes of the table": (HEADER + "[4 1 1],[3.2 1 1],[4 130 140.5]\n", None, (3.2, 1, 1)),
    "sizes of the table, x y z": (HEADER + "[1 1 4],[1 1 3.2],[140 130 4]\n", "xyz", (3.2, 1, 1)),
}


@pytest.mark.parametrize(("table", "axis_order", "target"), TABLES.values(), ids=TABLES)
def test_median_sizes_come_from_the_table_or_else_the_headers(dataset, table, axis_order, target):
    (dataset / "mri_statistics.csv").write_text(table, encoding="utf-8")

    choice = survey_dataset(dataset, Recipe(target_rule="nnunet", axis_order=axis_order)).choice
    assert choice.spacing == target


@pytest.mark.parametrize("size", ["[4 130]", "[4 0 9]", "many"])
def test_a_malformed_size_is_an_error_where_it_is_needed(dataset, size):
    (dataset / "mri_statistics.csv").write_text(f"{HEADER}[4 1 1],[3.2 1 1],{size}\n", encoding="utf-8")

    assert survey_dataset(dataset, Recipe()).choice.spacing == (3.2, 1, 1)
    with pytest.raises(StatisticsError, match=r"mri_statistics.csv: column 'median_size' holds .*three positive"):
        survey_dataset(dataset, NNUNET)


def test_the_rule_chooses_the_target_and_leaves_the_fingerprint():
    assert NNUNET.fingerprint() == Recipe().fingerprint()
