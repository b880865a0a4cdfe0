"""One case in a process of its own."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from monai_mriprep.run.alone import _received, alone, one_by_one, over_the_limit
from monai_mriprep.run.mappers import Lost
from tests.run.works import Work, cases, hang, kill, leave, stop

pytestmark = pytest.mark.timeout(60)
(CASE,) = cases(1)


def test_the_result_comes_from_another_process(tmp_path):
    result = alone(Work(tmp_path), CASE)
    assert (result.case, result.status) == ("0", "done")
    assert result.facts["pid"] != os.getpid()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(kill, "was killed (SIGKILL), most often because memory ran out"), (leave, "ended with exit status 3")],
)
def test_a_death_is_told(tmp_path, fault, reason):
    assert alone(Work(tmp_path, fault, ("0",)), CASE) == Lost("0", reason)


@pytest.mark.parametrize("fault", [hang, stop])
def test_a_limit_is_kept(tmp_path, fault):
    lost = alone(Work(tmp_path, fault, ("0",)), CASE, 1.0)
    assert lost == Lost("0", "had no result after 1 s, the limit of --case-timeout")
    assert over_the_limit(0.15) == "had no result after 0.15 s, the limit of --case-timeout"
    assert over_the_limit(1200) == "had no result after 20 min, the limit of --case-timeout"


def test_one_by_one_begins_a_case_when_its_result_is_asked_for(tmp_path):
    work = Work(tmp_path)
    outcomes = one_by_one(None)(work, cases(3))
    assert next(outcomes).case == "0"
    assert [work.tries(name) for name in "012"] == [1, 0, 0]


def test_one_by_one_keeps_the_limit(tmp_path):
    (lost,) = one_by_one(0.5)(Work(tmp_path, hang, ("0",)), [CASE])
    assert lost == Lost("0", "had no result after 0.5 s, the limit of --case-timeout")


def test_a_death_in_the_middle_of_a_message_is_a_death():
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with receiver:
        with sender:
            os.write(sender.fileno(), (100).to_bytes(4, "big") + b"torn")
        assert _received(receiver) is None
