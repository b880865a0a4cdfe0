"""What is read of the records, and of the scans."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from monai_mriprep import Recipe, preprocess
from monai_mriprep.errors import RecordError
from monai_mriprep.patches.scanned_cases import _narrowest, finished_cases
from monai_mriprep.types import IMAGE, LABEL
from monai_mriprep.verify.repair import repair_output
from tests.oracles import read
from tests.patches.conftest import TARGET
from tests.runs import FOLDER_OF_0_1_0


def test_scans_are_kept_in_few_bits_as_the_first_steps_move_them(scanned, tmp_path):
    recipe = Recipe(target_spacing=TARGET, orientation="LAS", crop="nonzero", label_map={3: 1, 1: 1})
    preprocess(scanned, tmp_path, recipe, virtual=True, report=False)
    (case, _), load = finished_cases(tmp_path, None)
    volumes = load(case)
    assert [one.step.name for one in case.moves] == ["label_numbers", "orientation", "crop"]
    assert [one.step.name for one in case.trace.steps] == ["foreground", "resampling", "normalization", "label_cast"]
    assert {role: array.dtype for role, array in volumes.items()} == {IMAGE: np.int16, LABEL: np.int8}
    image, _ = read(scanned / "ImagesTr" / "case_1.mha")
    begin, end = (case.moves[2].params[name] for name in ("begin", "end"))
    assert np.array_equal(np.sort(volumes[IMAGE], axis=None), np.sort(box_of(image), axis=None))
    assert volumes[IMAGE].shape[1:] == tuple(np.subtract(end, begin)) == case.trace.source.shape


def box_of(image: np.ndarray) -> np.ndarray:
    hits = [np.flatnonzero((image != 0).any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    return image[tuple(slice(hit[0], hit[-1] + 1) for hit in hits)]


def test_records_that_do_not_tell_what_was_done_are_refused():
    with pytest.raises(RecordError, match=r"does not tell what was done to it|run.json is missing"):
        finished_cases(FOLDER_OF_0_1_0, None)


@pytest.mark.parametrize("changed", [{"fingerprint": "0" * 64}, {"redo": {"number": 1, "complete": False}}], ids=str)
def test_cases_that_are_to_be_done_again_are_not_finished(virtual, tmp_path, changed):
    output = shutil.copytree(virtual, tmp_path / "output")
    facts = json.loads((output / "run.json").read_text())
    (output / "run.json").write_text(json.dumps({**facts, **changed}))
    with pytest.raises(RecordError, match="no case is finished"):
        finished_cases(output, None)


@pytest.mark.parametrize(
    ("values", "dtype"), [((-128, 127), np.int8), ((-129, 5), np.int16), ((0, 128), np.int16), ((-32769, 0), np.int32)]
)
def test_the_narrowest_type_holds_both_ends(values, dtype):
    array = _narrowest(np.array(values, np.int32))
    assert array.dtype == dtype
    assert array.tolist() == list(values)


def test_a_record_that_was_rebuilt_does_not_tell_where_the_scans_are(scanned, tmp_path):
    preprocess(scanned, tmp_path, Recipe(target_spacing=TARGET), report=False)
    (tmp_path / "manifest.jsonl").unlink()
    repair_output(tmp_path)
    with pytest.raises(RecordError, match="was rebuilt, and does not tell where its scans are"):
        finished_cases(tmp_path, None)
