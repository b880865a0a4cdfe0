"""What the voxels say before a run, and what a run says of the same."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.check import check_dataset
from tests.layouts import write_layout
from tests.measures.bodies import SHAPE, SPACING, patient
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


def test_what_is_planted_among_twelve_patients_is_suspected(tmp_path):
    """The bar: all that was planted is found, and at most one of the others."""
    write_planted(tmp_path)
    report = check_dataset(tmp_path, Recipe(target_spacing=(3.3, 1.2, 1.2)), voxels=True)
    found = {suspect.case: set() for suspect in report.suspects}
    for suspect in report.suspects:
        found[suspect.case].add(suspect.kind)
    kinds = {2: "spacing", 3: "intensity", 4: "label_outside", 5: "label_empty", 6: "label_class_missing"}
    kinds |= {7: "failed", 8: "failed", 9: "failed", 10: "duplicate", 11: "duplicate"}
    assert {case: kind in found[case] for case, kind in ((f"case_{n:02}", kind) for n, kind in kinds.items())} == {
        f"case_{n:02}": True for n in kinds
    }
    assert len(found) <= len(kinds) + 1
    assert not any(case.warnings for case in report.cases)


def write_planted(root: Path) -> None:
    """Phantoms 0 and 1 as they are, the others wrong in some way; 11 is a copy of 10."""
    thick, air, other_grid = (11, *SHAPE[1:]), np.zeros(SHAPE, np.int16), (3.3, 1.2, 2.4)
    air[1:4, 1:6, 1:6], air[1:4, 7:9, 1:6] = 1, 2
    changes = {
        3: lambda image, label: (30 * image.astype(np.int32), label),
        4: lambda image, label: (image, air),
        5: lambda image, label: (image, 0 * label),
        6: lambda image, label: (image, np.where(label == 2, 0, label)),
        11: lambda image, label: patient(10),
    }
    for number in range(12):
        shape, spacing = (thick, (7.5, 1.2, 1.2)) if number == 2 else (SHAPE, SPACING)
        image, label = changes.get(number, lambda *both: both)(*patient(number, shape))
        for folder, voxels in (("ImagesTr", image), ("LabelsTr", label)):
            (root / folder).mkdir(exist_ok=True)
            at = other_grid if (number, folder) == (9, "LabelsTr") else spacing
            write_metaimage(root / folder / f"case_{number:02}.mha", voxels, at)
    for number, folder in ((7, "ImagesTr"), (8, "LabelsTr")):
        broken = root / folder / f"case_{number:02}.mha"
        broken.write_bytes(broken.read_bytes()[:-30])
