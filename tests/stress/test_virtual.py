"""A run that writes records alone ends at each call of the store, or that call fails: the next one ends as ever."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from monai_mriprep.errors import MriprepError
from monai_mriprep.run.engines import ThisMachine
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.preprocess import execute
from monai_mriprep.run.session import RunSummary, open_session
from monai_mriprep.store.journal import entry_name
from monai_mriprep.verify.audit import verify_output
from tests.runs import done_records, left_over, write_cases
from tests.stress.conftest import count
from tests.stress.scenario import RECIPE, bury, cleared, small_groups
from tests.stress.stand_in import Crash, StandIn, standing_in

pytestmark = [
    pytest.mark.stress,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning"),
]

STRIDE = count(4, 1)
NAMES = {"case_0", "case_1", "case_2"}
FAULTS = {"a crash": (None, False), "EIO once": (errno.EIO, False), "ENOSPC from then on": (errno.ENOSPC, True)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_cases(tmp_path_factory.mktemp("stress") / "data", len(NAMES))


def run(dataset: Path, output: Path) -> RunSummary:
    with open_session(plan_run(dataset, output, RECIPE, report=False, virtual=True)) as session:
        return execute(session, ThisMachine.limited(0))


@pytest.mark.parametrize(("code", "lasting"), FAULTS.values(), ids=FAULTS)
def test_each_case_is_recorded_in_the_end_and_none_twice(dataset, tmp_path, code, lasting):
    output, seen = tmp_path / "out", StandIn()
    with small_groups(), standing_in(seen):
        run(dataset, output)
    for number in range(1, len(seen.seen) + 1, STRIDE):
        with small_groups():
            strike(dataset, cleared(output), StandIn(number, code, lasting=lasting))
            finished = entered(output)
            bury(output)
            summary = run(dataset, output)
        assert summary.failed == (), number
        assert finished.isdisjoint(result.case for result in summary.done), number
        assert done_records(output).keys() == NAMES, number
        assert verify_output(output, workers=1).findings == (), number
        assert left_over(output) == [], number
    print(f"\n{len(seen.seen)} calls, each {STRIDE}. struck")  # noqa: T201


def entered(output: Path) -> set[str]:
    """Cases that the journal of some writer holds."""
    entries = {path.name for path in (output / ".partial").rglob("*.journal")}
    return {case for case in NAMES if entry_name(case) in entries}


def strike(dataset: Path, output: Path, stand_in: StandIn) -> None:
    with standing_in(stand_in):
        try:
            run(dataset, output)
        except (MriprepError, Crash):
            return
