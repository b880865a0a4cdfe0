"""What a run is going to do, from names and headers alone."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep.dataset.survey import survey_dataset
from monai_mriprep.errors import DatasetError, OutputError, PairingError
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.plan import check_output_folder, plan_run
from monai_mriprep.types import TEST_ROLES
from tests.dataset.files import declare
from tests.runs import write_case, write_cases

TARGET = Recipe(target_spacing=(1.5, 1.0, 1.0))


def test_the_largest_case_comes_first(tmp_path):
    root = write_cases(tmp_path / "data", 2)
    write_case(root, "large", (8, 8, 9))

    cases = plan_run(root, tmp_path / "out", TARGET).cases
    assert [case.name for case in cases] == ["large", "case_0", "case_1"]
    assert [case.output_voxels for case in cases] == [15 * 72, 7 * 72, 7 * 72]
    assert not (tmp_path / "out").exists()


def test_files_are_named_by_the_stems_of_their_sources(tmp_path):
    for folder, name in (("ImagesTr", "1_2_0000"), ("LabelsTr", "1_2")):
        (tmp_path / "data" / folder).mkdir(parents=True)
        write_metaimage(tmp_path / "data" / folder / f"{name}.mha", np.ones((4, 8, 9), np.int16), (3.0, 1.0, 1.0))

    (case,) = plan_run(tmp_path / "data", tmp_path / "out", TARGET).cases
    assert {role: path.relative_to(tmp_path).as_posix() for role, (path,) in case.sources.items()} == {
        "image": "data/ImagesTr/1_2_0000.mha",
        "label": "data/LabelsTr/1_2.mha",
    }
    assert case.outputs == {"image": "imagesTr/1_2_0000.npz", "label": "labelsTr/1_2.npz"}


def test_a_plan_of_thousands_of_cases_is_small(tmp_path):
    """Under 700 bytes for each: two names, two figures, and what holds them."""
    few, many = (write_cases(tmp_path / f"{count}", count) for count in (20, 220))
    plan_run(few, tmp_path / "out")
    tracemalloc.start()
    try:
        held = []
        for root in (few, many):
            before, _ = tracemalloc.get_traced_memory()
            plan = plan_run(root, tmp_path / "out")
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0] - before)
            assert plan.cases[-1].name
    finally:
        tracemalloc.stop()
    assert (held[1] - held[0]) / 200 < 700


def test_a_case_whose_header_cannot_be_read_has_no_estimate(tmp_path):
    root = write_cases(tmp_path / "data", 2)
    (root / "ImagesTr/case_1.mha").write_bytes(b"")

    cases = plan_run(root, tmp_path / "out", TARGET).cases
    assert [(case.name, case.memory_bytes > 0, case.output_voxels > 0) for case in cases] == [
        ("case_0", True, True),
        ("case_1", False, False),
    ]


def test_statistics_are_kept_where_the_run_has_computed_them(tmp_path):
    root = write_cases(tmp_path / "data", 2)
    assert plan_run(root, tmp_path / "out").computed_statistics.median == (3, 1, 1)
    assert plan_run(root, tmp_path / "out", TARGET).computed_statistics is None
    (root / "mri_statistics.csv").write_text("median_spacing,10th_percentile_spacing\n[3 1 1],[2 1 1]\n")
    plan = plan_run(root, tmp_path / "out")
    assert (plan.computed_statistics, plan.job.target) == (None, (2, 1, 1))


@pytest.mark.parametrize("place", ["", "ImagesTr", "LabelsTr/deeper"])
def test_an_output_among_the_input_is_refused(tmp_path, place):
    root = write_cases(tmp_path / "data", 1)
    with pytest.raises(OutputError, match="choose another output folder"):
        plan_run(root, root / place, TARGET)


def test_an_output_beside_the_input_is_allowed(tmp_path):
    root = write_cases(tmp_path / "data", 1)
    survey = survey_dataset(root, TARGET)
    check_output_folder(tmp_path / "out", survey)
    check_output_folder(root / "out", survey)


@pytest.mark.parametrize("place", ["out", "out/test", "out/imagesTs", "link"])
def test_a_test_set_beside_its_training_set_is_refused(tmp_path, place):
    root = write_cases(tmp_path / "data", 1)
    preprocess(root, tmp_path / "out", TARGET, workers=0)
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(OutputError, match="lies in the output folder of the training set; choose one"):
        plan_run(root / "ImagesTr", tmp_path / place, like=tmp_path / "out")
    (report,) = check_dataset(root / "ImagesTr", output_root=tmp_path / "out/test", like=tmp_path / "out").fatal
    assert "lies in the output folder of the training set" in report


def test_a_test_set_remembers_its_training_set(tmp_path):
    root = write_cases(tmp_path / "data", 1)
    preprocess(root, tmp_path / "out", TARGET, workers=0)
    (tmp_path / "link").symlink_to(tmp_path / "out")

    plan = plan_run(root / "ImagesTr", tmp_path / "out_of_tests", like=tmp_path / "link")

    assert (plan.wanted.statistics, plan.wanted.like) == ("training", str((tmp_path / "out").resolve()))
    assert plan.roles == TEST_ROLES
    assert plan.cases[0].outputs == {"image": "imagesTs/case_0.npz"}


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_of_a_target_that_the_folder_does_not_take_nothing_is_warned(tmp_path):
    root = write_cases(tmp_path / "data", 1)
    preprocess(root, tmp_path / "out", workers=0)
    for number in (2, 3):
        write_case(root, f"case_{number}", spacing=(2.0, 1.0, 1.0))
    told = [plan_run(root, tmp_path / output) for output in ("out", "new")]
    assert [plan.job.target for plan in told] == [(3, 1, 1), (2, 1, 1)]
    assert [any("computed from the headers of 3" in text for text in plan.warnings) for plan in told] == [False, True]


def test_a_run_knows_which_labels_the_dataset_declares(tmp_path):
    root = write_cases(tmp_path / "data", 1)
    assert plan_run(root, tmp_path / "out", TARGET).job.declared_labels is None
    declare(root, channel_names={"0": "T2"}, labels={"background": 0, "whole": [1, 3], "ignore": 4})
    assert plan_run(root, tmp_path / "out", TARGET).job.declared_labels == (0, 1, 3, 4)


def test_what_stops_a_run(tmp_path):
    root = write_cases(tmp_path / "data", 1)
    (root / "LabelsTr/case_0.mha").rename(root / "LabelsTr/other.mha")
    with pytest.raises(DatasetError, match="no image has a label"):
        plan_run(root, tmp_path / "out", TARGET)
    (root / "LabelsTr/other.mha").rename(root / "LabelsTr/case_0_seg.mha")
    write_metaimage(root / "LabelsTr/case_0_gt.mha", np.ones((4, 8, 9), np.int16), (3.0, 1.0, 1.0))
    with pytest.raises(PairingError):
        plan_run(root, tmp_path / "out", TARGET)
