"""The plain values that a run is made of."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Case, Job, OutputNames, Result, SourceFiles, output_paths
from monai_mriprep.types import IMAGE, LABEL, TEST_ROLES
from tests.runs import case_from


def test_a_case_crosses_to_a_worker_and_is_a_key(tmp_path):
    case = case_from("a", tmp_path / "a.mha", tmp_path / "b.mha", 5, 6)
    assert pickle.loads(pickle.dumps(case)) == case
    assert {case: 1}[replace(case)] == 1
    assert replace(case, memory_bytes=7) != case


def test_files_are_made_of_folders_and_names_when_they_are_asked_for(tmp_path):
    folders = {IMAGE: tmp_path / "i", LABEL: tmp_path / "l"}
    sources = SourceFiles(folders, CaseFiles("a_0000", ("a_0000.nii.gz",), "a.mha"))
    assert sources == {"image": (tmp_path / "i/a_0000.nii.gz",), "label": (tmp_path / "l/a.mha",)}
    assert OutputNames(sources) == {"image": "imagesTr/a_0000.npz", "label": "labelsTr/a.npz"}
    case = Case("a_0000", sources, OutputNames(sources), 5)
    assert pickle.loads(pickle.dumps(case)) == case
    assert "mask" not in sources
    with pytest.raises(KeyError, match="mask"):
        OutputNames(sources)["mask"]


def test_several_files_are_channels_and_a_test_case_is_an_image_alone(tmp_path):
    sources = SourceFiles(dict.fromkeys(TEST_ROLES, tmp_path), CaseFiles("a", ("a_0000.mha", "a_0001.mha")))
    assert sources == {"image": (tmp_path / "a_0000.mha", tmp_path / "a_0001.mha")}
    assert OutputNames(sources) == {"image": "imagesTs/a.npz"}


def test_outputs_lie_in_the_output_folder(tmp_path):
    case = case_from("a", tmp_path / "a.mha", tmp_path / "b.mha")
    assert output_paths(tmp_path, case) == {
        "image": tmp_path / "imagesTr" / "a.npz",
        "label": tmp_path / "labelsTr" / "a.npz",
    }


def test_the_fingerprint_is_that_of_version_0_1_0(tmp_path):
    """A folder of that version recorded this one for the default recipe and this target."""
    assert Job(Recipe(), (3.0, 1.0, 1.0), tmp_path).fingerprint == "f928197d0cbe5ada"


@pytest.mark.parametrize("change", [{"target": (3.0, 1.0, 1.1)}, {"recipe": Recipe(order=1)}])
def test_the_fingerprint_tells_recipes_and_targets_apart(tmp_path, change):
    job = Job(Recipe(), (3.0, 1.0, 1.0), tmp_path)
    assert replace(job, **change).fingerprint != job.fingerprint
    assert replace(job, output_root=tmp_path / "b").fingerprint == job.fingerprint


def test_a_result_becomes_a_line():
    result = Result("a", "done", None, ("w",), {"fingerprint": "f"})
    assert json.dumps(result.record()) == (
        '{"event": "done", "case": "a", "error": null, "warnings": ["w"], "fingerprint": "f"}'
    )
    assert not result.stops_run
    assert Result("a", "failed", "full", (), {"disk_full": True}).stops_run
