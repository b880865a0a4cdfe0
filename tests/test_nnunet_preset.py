"""``preset: nnunet`` through a whole run, where nnU-Net is not at hand; `tests/nnunet` compares it with nnU-Net."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_mriprep import LoadNpzd, Recipe, restore
from monai_mriprep.run.check import check_dataset
from monai_mriprep.verify.audit import verify_output
from monai_mriprep.verify.compare import compare_outputs
from tests.presets import assert_resumes, made_by
from tests.runs import done_records

pytestmark = pytest.mark.filterwarnings("ignore:.*:monai_mriprep.errors.MriprepWarning")

PRESET = Recipe(preset="nnunet", transpose=[1, 0, 2], crop_margin=3.0, label_map={3: 2, 2: 2})


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    return made_by(PRESET, tmp_path_factory)


def test_the_files_hold_the_transposed_axes_and_say_so(made):
    _, output = made
    (target,) = {tuple(record.trace.steps[-2].step.target) for record in done_records(output).values()}
    y, z, x = target
    assert tuple(json.loads((output / "run.json").read_text())["target_spacing"]) == (z, y, x)
    paths = sorted(output.glob("imagesTr/*"))
    assert len(paths) == 3
    for path in paths:
        volume = LoadNpzd(["image"])({"image": path})["image"]
        assert np.load(path)["spacing"].tolist() == list(target)
        np.testing.assert_allclose(np.linalg.norm(volume.affine[:3, :3], axis=0), target, rtol=0.2)


def test_what_lies_outside_is_no_class(made):
    _, output = made
    labels = [np.load(path)["arr_0"] for path in output.glob("labelsTr/*")]
    assert {value for label in labels for value in np.unique(label).tolist()} == {-1, 0, 1, 2}
    assert json.loads((output / "dataset.json").read_text())["labels"] == {"background": 0, "label_1": 1, "label_2": 2}
    for record in done_records(output).values():
        assert record.labels.after[-1] > 0


def test_it_is_no_class_where_two_folders_are_compared(made):
    _, output = made
    assert [found.value for found in compare_outputs(output, output).classes] == [1, 2, 3]


def test_check_says_what_shapes_can_be_at_most_and_verify_finds_them_intact(made):
    dataset, output = made
    report = check_dataset(dataset, PRESET)
    assert not any(case.problems for case in report.cases)
    assert not verify_output(output, workers=0).problems


def test_a_run_resumes_and_the_keys_written_out_are_the_same_recipe(made):
    assert_resumes(*made, PRESET)


def test_labels_go_back_onto_the_scan_without_the_class_of_the_outside(made, tmp_path):
    dataset, output = made
    restored = restore(output, output / "labelsTr", tmp_path / "restored")
    assert (len(restored.restored), restored.refused) == (3, ())
    for path in restored.restored:
        source = SimpleITK.ReadImage(str(next((dataset / "LabelsTr").glob(f"{path.stem}*"))))
        back = SimpleITK.ReadImage(str(path))
        for fact in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(back, fact)() == getattr(source, fact)()
        found, expected = (SimpleITK.GetArrayFromImage(image) for image in (back, source))
        assert found.min() == 0
        assert 2 * ((found > 0) & (expected > 0)).sum() / ((found > 0).sum() + (expected > 0).sum()) > 0.9
