"""What is to be made again, and what is refused before a voxel is read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monai_mriprep.errors import DatasetError, RecordError
from monai_mriprep.machine import processor_type
from monai_mriprep.proof import reproduce
from monai_mriprep.proof.reproduce import order_of
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.estimates import Estimate
from monai_mriprep.volume.geometry import Grid
from tests.proof.locks import edited


def of_head(**values):
    return lambda facts: facts.update(values) if "lock" in facts else None


def test_cases_are_those_of_the_lock_with_their_costs(place):
    order = order_of(place / "data.lock", place / "dataset")
    assert {case.name for case in order.cases} == {"case_0", "case_1"}
    case = min(order.cases, key=lambda one: one.name)
    assert case.sources["image"] == (place / "dataset/ImagesTr/case_0.mha",)
    assert dict(case.outputs) == {"image": "imagesTr/case_0.npz", "label": "labelsTr/case_0.npz"}
    assert case.output_voxels == 6 * 8 * 9
    assert case.memory_bytes > 0
    assert order.unlike == ()
    assert order.job.recipe == Recipe(target_spacing=(2.0, 1.0, 1.0))


def test_the_largest_comes_first_and_has_the_costs_of_its_estimate(place, monkeypatch):
    grid = Grid((2, 3, 4), np.eye(4))
    costs = iter([Estimate(grid, 5, False), Estimate(grid, 9, True)])
    monkeypatch.setattr(reproduce, "estimated", lambda *_, **__: next(costs))
    large, small = order_of(place / "data.lock", place / "dataset").cases
    assert (large.memory_bytes, large.output_voxels, large.is_upper_bound) == (9, 24, True)
    assert (small.memory_bytes, small.is_upper_bound) == (5, False)


def test_the_folder_to_compare_with_is_of_the_first_line(place):
    run = json.loads((place / "out/run.json").read_text())
    change = {"recipe": run["recipe"] | {"order": 1}, "target_spacing": [2, 2, 2], "algorithm_version": 7}
    (place / "out/run.json").write_text(json.dumps(run | change))
    found = order_of(place / "data.lock", place / "dataset", against=place / "out").differences
    assert [(one.kind, one.subject, one.problem) for one in found] == [
        ("recipe", str(place / "out"), "order: 3 -> 1"),
        ("recipe", str(place / "out"), "target spacing: (2.0, 1.0, 1.0) -> (2.0, 2.0, 2.0)"),
        ("version", str(place / "out"), "version of the algorithm: 1 -> 7"),
    ]


def test_a_sample_is_the_same_for_one_seed(place):
    names = {
        seed: [case.name for case in order_of(place / "data.lock", place / "dataset", sample=1, seed=seed).cases]
        for seed in range(8)
    }
    assert {name for (name,) in names.values()} == {"case_0", "case_1"}
    again = order_of(place / "data.lock", place / "dataset", sample=1, seed=3)
    assert [case.name for case in again.cases] == names[3]
    assert len(order_of(place / "data.lock", place / "dataset", sample=9).cases) == 2


def test_what_tells_this_machine_apart_is_said(place):
    made = [{"versions": {"torch": "1.0", "other": "2"}, "processor": None}]
    unlike = order_of(edited(place / "data.lock", of_head(made=made)), place / "dataset").unlike
    assert unlike[0].startswith("torch 1.0 in the lock, ")
    assert unlike[1] == "other 2 in the lock, unknown here"
    assert any(text.startswith("numpy unknown in the lock, ") for text in unlike)
    assert unlike[-1] == f"processor unknown in the lock, {processor_type()} here"
    assert order_of(edited(place / "data.lock", of_head(made=made * 2)), place / "dataset").unlike == unlike
    order = order_of(edited(place / "data.lock", of_head(made=[])), place / "dataset")
    assert order.unlike == ("packages and processor unknown in the lock",)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"fingerprint": "0" * 16}, "line 1: recipe or target spacing were changed: they give the fingerprint"),
        ({"target_spacing": [2.5, 1.0, 1.0]}, "line 1: recipe or target spacing were changed"),
        ({"recipe": Recipe(order=1).as_dict()}, "line 1: recipe or target spacing were changed"),
        ({"algorithm_version": 2}, r"version 2 of the algorithm, and this is 1; install monai-mriprep \d"),
        ({"recipe": {"order": 9}}, "line 1: its recipe cannot be carried out here: .*order"),
        ({"recipe": {"steps": ["nobody_s"]}}, "line 1: its recipe cannot be carried out here: .*nobody_s"),
        ({"recipe": {"nonsense": 1}}, "line 1: its recipe cannot be carried out here: .*nonsense"),
    ],
    ids=["fingerprint", "target", "recipe", "version", "value", "step", "key"],
)
def test_a_first_line_that_contradicts_itself_is_refused(place, values, said):
    with pytest.raises(RecordError, match=said):
        order_of(edited(place / "data.lock", of_head(**values)), place / "dataset")


def test_without_a_folder_of_sources_nothing_begins(place):
    for dataset, said in (
        (place / "none", "there is no such folder"),
        ("s3://bucket/scans", "a folder is needed here"),
    ):
        with pytest.raises(DatasetError, match=said):
            order_of(place / "data.lock", dataset)
