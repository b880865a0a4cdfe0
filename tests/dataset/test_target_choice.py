"""Which target spacing a dataset gets, and where it comes from."""

import pytest

from monai_mriprep.dataset import statistics
from monai_mriprep.dataset.survey import survey_dataset
from monai_mriprep.dataset.target_choice import TargetChoice, read_table
from monai_mriprep.errors import DatasetError, StatisticsError
from monai_mriprep.pipeline import open_dataset
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.plan import plan_run
from tests.runs import write_case

NNUNET = Recipe(target_rule="nnunet")
HEADER = "median_spacing,10th_percentile_spacing,median_size\n"


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
        survey_dataset(dataset, NNUNET).choice  # noqa: B018, it is asked for


def test_the_rule_chooses_the_target_and_leaves_the_fingerprint():
    assert NNUNET.fingerprint() == Recipe().fingerprint()


def test_the_median_size_is_no_mean(dataset):
    for name, n_slices in (("b", 6), ("c", 99)):
        write_case(dataset, name, (n_slices, 8, 9))
    assert survey_dataset(dataset, Recipe()).median_size == (6, 8, 9)


def test_statistics_that_were_computed_come_with_the_target(dataset):
    computed = survey_dataset(dataset, Recipe()).choice.computed
    assert (computed.median, computed.p10) == ((4, 1, 1), (pytest.approx(3.2), 1, 1))


def test_a_table_that_the_recipe_names_is_not_replaced_by_the_headers(dataset):
    with pytest.raises(StatisticsError, match=r"other\.csv"):
        survey_dataset(dataset, Recipe(statistics=str(dataset / "other.csv"))).choice  # noqa: B018


@pytest.mark.parametrize("spacing", [(1e-6, 1, 1), (1, 1, 1e4)])
def test_a_target_may_be_what_a_header_may_say_and_no_more(spacing):
    assert TargetChoice(spacing, "the target").spacing == spacing
    beyond = tuple(value if value == 1 else value * 1.001 if value > 1 else value * 0.999 for value in spacing)
    with pytest.raises(DatasetError, match="the target; the spacing of a scan is from 1e-06 to 10000 mm"):
        TargetChoice(beyond, "the target")


def test_a_table_is_read_once(dataset, monkeypatch):
    (dataset / "mri_statistics.csv").write_text(TABLES["sizes of the table"][0], encoding="utf-8")
    read, times = statistics.read_rows, []
    monkeypatch.setattr(statistics, "read_rows", lambda *given: times.append(given) or read(*given))

    assert survey_dataset(dataset, NNUNET).choice.spacing == (3.2, 1, 1)
    assert len(times) == 1


def test_a_table_is_compared_with_scans_unless_its_order_is_given(dataset):
    table = "median_spacing,10th_percentile_spacing\n[1 1 4],[1 1 3.2]\n"
    (dataset / "mri_statistics.csv").write_text(table, encoding="utf-8")

    assert survey_dataset(dataset, Recipe(axis_order="xyz")).choice.spacing == (3.2, 1, 1)
    assert survey_dataset(dataset, Recipe(axis_order="zyx")).choice.spacing == (1, 1, 4)
    with pytest.raises(StatisticsError, match="in x y z order"):
        _ = survey_dataset(dataset, Recipe()).choice

    for image in (dataset / "ImagesTr").iterdir():
        image.write_bytes(b"")
    assert survey_dataset(dataset, Recipe(axis_order="xyz")).choice.spacing == (3.2, 1, 1)


def test_a_table_without_a_dataset_is_compared_with_scans_unless_its_order_is_given(dataset):
    """The bundle in configs/bundle calls this by its name."""
    images, table = sorted((dataset / "ImagesTr").iterdir()), dataset / "table.csv"
    table.write_text("median_spacing,10th_percentile_spacing\n[1 1 4],[1 1 3.2]\n", encoding="utf-8")
    assert read_table(table, images, axis_order="xyz").median == (4, 1, 1)
    assert read_table(table, (), axis_order="zyx").median == (1, 1, 4)
    with pytest.raises(StatisticsError, match="in x y z order"):
        read_table(table, images)
