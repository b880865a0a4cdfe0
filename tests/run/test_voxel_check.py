"""What the voxels say before a run, and what a run says of the same."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.check import check_dataset
from tests.layouts import write_layout
from tests.runs import done_records


@pytest.fixture
def dataset(tmp_path) -> Path:
    """Two channels a case; its ``dataset.json`` declares the labels 0, 1 and 2."""
    return next(write_layout("nnU-Net", tmp_path / "raw").iterdir())


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize("recipe", [Recipe(), Recipe(label_map={2: 0})], ids=["as they are", "dropped"])
def test_labels_that_the_dataset_does_not_declare_are_named_before_a_run_and_by_it(dataset, tmp_path, recipe):
    facts = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps({**facts, "labels": {"background": 0, "tumour": 1}}))
    sentence = "the label holds 2, which dataset.json does not declare: it has 0, 1"
    report = check_dataset(dataset, recipe, voxels=True)
    kinds = [(suspect.case, suspect.kind, suspect.reason) for suspect in report.suspects]
    assert kinds == [(case.case, "label_undeclared", sentence) for case in report.cases]
    assert [case.warnings for case in report.cases] == [(), ()]
    preprocess(dataset, tmp_path / "out", recipe, workers=0)
    for case, record in done_records(tmp_path / "out").items():
        assert f"{case}: {sentence}" in record.warnings


@pytest.mark.parametrize("extra", [{}, {"ignore": 3}, {"whole": [1, 2, 3]}], ids=["declared", "ignore", "region"])
def test_declared_labels_are_not_named(dataset, extra):
    facts = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps({**facts, "labels": {**facts["labels"], **extra}}))
    report = check_dataset(dataset, voxels=True)
    assert (report.suspects, *[case.warnings for case in report.cases]) == ((), (), ())


def test_intensities_are_those_of_all_channels(dataset):
    (case, _) = check_dataset(dataset, voxels=True).cases
    alone = [np.asarray(image.dataobj) for image in map(nibabel.load, (case.image, *case.channels))]
    assert len(alone) == 2
    assert case.image_contents.minimum == min(array.min() for array in alone)
    assert case.image_contents.maximum == max(array.max() for array in alone)
    assert case.image_contents.foreground == round(np.mean([np.count_nonzero(array) for array in alone]))
