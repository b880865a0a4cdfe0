"""The list of cases that `plan` writes: read back as it was, noticed where it was changed, and harmless in any form."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from monai_mriprep.errors import RecordError
from monai_mriprep.run.case_list import drop_list, list_problem, read_cases
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.planning import plan_cases
from monai_mriprep.store.description import FrozenList, read_description
from monai_mriprep.store.store import open_store
from tests.runs import write_case, write_cases


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = write_cases(tmp_path_factory.mktemp("listed") / "data", 3)
    write_case(root, "läṛge \udcff", (6, 8, 9), seed=7)
    return root


@pytest.fixture
def out(dataset, tmp_path) -> Path:
    plan_cases(plan_run(dataset, tmp_path / "out"))
    return tmp_path / "out"


def frozen_in(out: Path) -> FrozenList:
    with open_store(out) as store:
        return read_description(store).plan


def read(out: Path, frozen: FrozenList | None = None):
    with open_store(out) as store:
        description = read_description(store)
        return read_cases(store, frozen or description.plan, description)


def replant(out: Path, lines: list[str]) -> FrozenList:
    """Another list, and the hash that belongs to it."""
    content = "".join(f"{line}\n" for line in lines).encode()
    (out / "cases.jsonl").write_bytes(content)
    return FrozenList(sha256=hashlib.sha256(content).hexdigest(), cases=len(lines) - 1)


def lines_of(out: Path) -> list[str]:
    return (out / "cases.jsonl").read_text("ascii").splitlines()


def test_the_cases_come_back_as_they_were(dataset, out):
    _, cases = read(out)
    assert cases == plan_run(dataset, out).cases
    assert [case.name for case in cases] == ["läṛge \udcff", "case_0", "case_1", "case_2"]
    assert all(path.is_file() for case in cases for paths in case.sources.values() for path in paths)


def test_the_hash_is_that_of_the_file(out):
    frozen = frozen_in(out)
    assert frozen.sha256 == hashlib.sha256((out / "cases.jsonl").read_bytes()).hexdigest()
    assert frozen.cases == 4 == len(lines_of(out)) - 1


def test_a_line_says_what_a_case_needs_and_where_its_files_are_in_the_dataset(out):
    assert json.loads(lines_of(out)[2]) == {
        "name": "case_0",
        "sources": {"image": ["ImagesTr/case_0.mha"], "label": ["LabelsTr/case_0.mha"]},
        "outputs": {"image": "imagesTr/case_0.npz", "label": "labelsTr/case_0.npz"},
        "memory_bytes": read(out)[1][1].memory_bytes,
        "output_voxels": 288,
        "is_upper_bound": False,
    }


def test_a_list_that_was_changed_is_refused_with_the_remedy(out):
    frozen, path = frozen_in(out), out / "cases.jsonl"
    path.write_bytes(path.read_bytes().replace(b"case_1", b"case_2"))
    with pytest.raises(RecordError, match=r"cases\.jsonl: is not the list that run\.json tells of.*`plan` makes it"):
        read(out, frozen)
    with open_store(out) as store:
        assert "is not the list" in list_problem(store, frozen)


def test_so_is_one_that_is_missing(out):
    (out / "cases.jsonl").unlink()
    with pytest.raises(RecordError, match=r"cannot be read \(No such file or directory\); `plan` makes it again"):
        read(out)


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": {"image": "imagesTr/../x.npz", "label": "labelsTr/case_0.npz"}},
        {"outputs": {"image": "retired/x.npz", "label": "labelsTr/case_0.npz"}},
        {"outputs": {"image": "imagesTr/case_0.npz"}},
        {"sources": {"image": ["a"], "label": ["b"], "more": ["c"]}},
        {"memory_bytes": -1},
        {"name": 3},
    ],
)
def test_a_line_that_leads_elsewhere_is_refused_whatever_the_hash(out, changes):
    head, _, line, *_ = lines_of(out)
    frozen = replant(out, [head, json.dumps(json.loads(line) | changes)])
    with pytest.raises(RecordError, match=r"cases\.jsonl: (the case 'case_0' is not of|a line is none of)"):
        read(out, frozen)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"dataset_root": 1}', "[" * 100_000])
def test_a_first_line_that_is_none_is_refused(out, text):
    with pytest.raises(RecordError, match="a line is none of a list of cases"):
        read(out, replant(out, [text]))


def test_a_list_that_nobody_tells_of_is_found_and_dropped_ones_leave_nothing(out):
    with open_store(out) as store:
        assert list_problem(store, frozen_in(out)) is None
        assert "run.json does not tell of it" in list_problem(store, None)
        drop_list(store)
        drop_list(store)
        assert list_problem(store, None) is None
    assert frozen_in(out) is None
    assert not (out / "cases.jsonl").exists()
