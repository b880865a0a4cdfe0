"""Folds by patient."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep import load_recipe, preprocess
from monai_mriprep.errors import DatasetError, RecipeError
from monai_mriprep.export.splits import patient_of, split_by_patient, write_splits
from tests.runs import write_case

CASES = [f"{10000 + patient}_{visit:04d}_t2w" for patient in range(12) for visit in range(1 + patient % 3)]


@given(
    visits=st.lists(st.integers(1, 6), min_size=2, max_size=30),
    folds=st.integers(2, 8),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_every_split(visits, folds, seed, data):
    cases = [f"{patient}_{visit}" for patient, count in enumerate(visits) for visit in range(count)]
    if len(visits) < folds:
        with pytest.raises(DatasetError, match=f"{len(visits)} patients"):
            split_by_patient(cases, folds, seed=seed)
        return
    split = split_by_patient(cases, folds, seed=seed)
    assert sorted(case for fold in split for case in fold.val) == sorted(cases)
    for fold in split:
        assert fold.val
        assert sorted(fold.train + fold.val) == sorted(cases)
        assert not {patient_of(case) for case in fold.train} & {patient_of(case) for case in fold.val}
    sizes = [len(fold.val) for fold in split]
    assert max(sizes) - min(sizes) <= max(visits)
    assert split == split_by_patient(data.draw(st.permutations(cases)), folds, seed=seed)


def test_it_is_the_same_for_ever():
    """Written down once: results must not move with a machine, a version or a library."""
    assert [len(fold.val) for fold in split_by_patient(CASES, 5)] == [5, 5, 5, 5, 4]
    fifth = ("10001_0000_t2w", "10001_0001_t2w", "10004_0000_t2w", "10004_0001_t2w")
    assert split_by_patient(CASES, 5)[4].val == fifth


def test_another_seed_is_another_split():
    assert len({split_by_patient(CASES, 5, seed=seed) for seed in range(5)}) == 5


def test_names_need_not_be_text():
    split = split_by_patient(["caf\udce9", "a", "b"], 3, ".+")
    assert sorted(case for fold in split for case in fold.val) == ["a", "b", "caf\udce9"]


@pytest.mark.parametrize(
    ("case", "pattern", "patient"),
    [
        ("10000_0001_0000", None, "10000"),
        ("BraTS-GLI-00005-100", None, "00005"),
        ("sub-01_T2w", None, "01"),
        ("sub-A01_ses-1", None, "A01"),
        ("sub-r001s002_run-2_T1w", None, "r001s002"),
        ("t2w_7_x", None, "7"),
        ("sub01_ses2", "sub[0-9]+", "sub01"),
        ("sub01_ses2", "sub([0-9]+)", "01"),
        ("A_site3_P9", "site[0-9]_(?P<patient>.+)", "P9"),
    ],
)
def test_whose_scan_it_is(case, pattern, patient):
    assert patient_of(case, pattern) == patient


def test_a_name_without_a_patient_is_refused():
    with pytest.raises(DatasetError, match=r"sub01_ses2: .*--patient"):
        split_by_patient(["sub01_ses2", "1_a", "2_a"], 2)
    with pytest.raises(DatasetError, match=r"a match of 'P\[0-9\]'"):
        split_by_patient(["1_a", "2_a"], 2, "P[0-9]")


def test_arguments_that_make_no_sense():
    with pytest.raises(RecipeError, match="regular expression"):
        split_by_patient(["1_a", "2_a"], 2, "(")
    with pytest.raises(RecipeError, match="at least 2"):
        split_by_patient(["1_a", "2_a"], 1)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    root = tmp_path_factory.mktemp("split")
    for seed, name in enumerate(("1_a", "1_b", "2_a", "3_a")):
        write_case(root / "data", name, seed=seed)
    preprocess(root / "data", root / "out", load_recipe(None, ["target_spacing=[3, 1, 1]"]), workers=0)
    return root / "out"


def test_the_file_is_what_nnunet_reads(output):
    split = write_splits(output, 2)
    written = json.loads((output / "splits_final.json").read_text())
    assert written == [{"train": list(fold.train), "val": list(fold.val)} for fold in split]
    assert sorted(written[0]["train"] + written[0]["val"]) == ["1_a", "1_b", "2_a", "3_a"]
    listed = {pair["case"] for pair in json.loads((output / "dataset.json").read_text())["training"]}
    assert listed == {"1_a", "1_b", "2_a", "3_a"}


def test_the_command(output):
    def command(*options: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "monai_mriprep", "split", str(output), *options]
        return subprocess.run(whole, capture_output=True, text=True, check=False)

    done = command("--folds", "3", "--patient", "^[0-9]")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 5
    assert "splits_final.json" in done.stdout
    before = (output / "splits_final.json").read_bytes()
    refused = command("--folds", "4")
    assert refused.returncode == 2
    assert "3 patients (1, 2, 3) cannot be split into 4 folds" in refused.stderr
    assert (output / "splits_final.json").read_bytes() == before
