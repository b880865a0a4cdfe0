"""The files of finished cases beside their records, whoever reads them."""

from __future__ import annotations

import pickle
from itertools import islice

import pytest

from monai_mriprep import preprocess
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.mappers import Lost, serial
from monai_mriprep.run.thread_workers import thread_workers
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.store import open_store
from monai_mriprep.verify.audit import verify_output
from monai_mriprep.verify.outputs import Finished, compared
from tests.runs import write_cases

NAMES = ["case_0", "case_1", "case_2"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Three cases; the label of the second one was cut short."""
    root = tmp_path_factory.mktemp("outputs")
    preprocess(write_cases(root / "data", 3), root / "out", Recipe(target_spacing=(3.0, 1.0, 1.0)), workers=0)
    file = root / "out" / "labelsTr" / "case_1.npz"
    file.write_bytes(file.read_bytes()[:-1])
    return root / "out"


@pytest.fixture
def finished(out):
    with open_store(out) as store:
        index = read_index(store.root)
        return [Finished(name, index.done(name)) for name in NAMES]


def as_if_sent(work, cases):
    """A mapper whose workers get nothing but what can be pickled."""
    for case in cases:
        send = pickle.dumps((work, case))
        work_there, case_there = pickle.loads(send)
        yield pickle.loads(pickle.dumps(work_there(case_there)))


def ends_early(work, cases):
    """A mapper that takes two cases, and reports one."""
    first, _ = islice(cases, 2)
    yield work(first)


def loses(work, cases):
    for case in cases:
        yield Lost(case.name, "was killed (SIGKILL)") if case.name == "case_0" else work(case)


@pytest.mark.parametrize("mapper", [serial, thread_workers(2), as_if_sent, ends_early])
def test_every_mapper_finds_the_same(out, finished, mapper):
    found = {one.case: one.problems for one in compared(mapper, out, finished)}
    assert sorted(found) == NAMES
    assert [name for name, problems in found.items() if problems] == ["case_1"]
    ((path, problem),) = found["case_1"]
    assert path == "labelsTr/case_1.npz"
    assert "were written" in problem


def test_what_is_being_replaced_is_left_out(out, finished):
    assert not any(one.problems for one in compared(serial, out, finished, {"labelsTr/case_1.npz"}))


def test_a_lost_worker_is_a_finding_of_its_case(out):
    found = verify_output(out, mapper=loses)
    assert found.intact == ("case_2",)
    assert [finding.subject for finding in found.problems] == ["case_0", "labelsTr/case_1.npz"]
    assert "was killed (SIGKILL); verify again with fewer workers" in found.problems[0].problem


def test_any_mapper_gives_the_report_of_threads(out):
    assert verify_output(out, mapper=as_if_sent) == verify_output(out) == verify_output(out, 1)
