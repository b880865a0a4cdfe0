"""Two shards and their merge: each call of the store fails, or is the last one, and they end as one run does.

They meet all that an output folder may hold (`tests/stress/scenario.py`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace

import pytest

from monai_mriprep.errors import MriprepError
from monai_mriprep.run.engines import ThisMachine
from monai_mriprep.run.merge import MergeSummary, merge
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.preprocess import execute
from monai_mriprep.run.session import open_session
from monai_mriprep.store.attempts import Shard
from tests.runs import events_of
from tests.stress.conftest import count
from tests.stress.scenario import RECIPE, Scenario, bury, entered, foreign, make_scenario, small_groups
from tests.stress.stand_in import Crash, StandIn, standing_in

pytestmark = [pytest.mark.stress, pytest.mark.timeout(1800)]

STRIDE = count(31, 1)


@pytest.fixture(scope="module")
def scenario(tmp_path_factory) -> Iterator[Scenario]:
    with small_groups():
        yield make_scenario(tmp_path_factory.mktemp("scenario"))


def in_shards(scenario: Scenario, output) -> MergeSummary:
    """One after the other, in this process."""
    for number in (1, 2):
        plan = plan_run(scenario.dataset, output, RECIPE, exclude=scenario.exclude)
        with open_session(replace(plan, shard=Shard(number, 2))) as session:
            execute(session, ThisMachine.limited(0))
    return merge(output)


@pytest.fixture(scope="module")
def calls(scenario, tmp_path_factory) -> int:
    stand_in = StandIn()
    output = scenario.begin(tmp_path_factory.mktemp("undisturbed") / "out")
    with standing_in(stand_in):
        assert in_shards(scenario, output).is_complete
    scenario.judge_end(output)
    return len(stand_in.seen)


def strike(scenario: Scenario, output, stand_in: StandIn) -> None:
    """Shards with a fault. They end well, or in words, or by the crash that was asked for."""
    with standing_in(stand_in):
        try:
            in_shards(scenario, output)
        except (MriprepError, Crash):
            return


FAULTS = {
    "crash": {"error": None},
    "EIO": {"error": errno.EIO},
    "ENOSPC from then on": {"error": errno.ENOSPC, "lasting": True},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("by", ["shards", "a whole run"])
def test_the_nth_call_is_struck_and_others_go_on(scenario, calls, tmp_path, fault, by):
    for number in range(1 + len(by), calls + 1, STRIDE):
        output = scenario.begin(tmp_path / "out")
        before = foreign(output)
        strike(scenario, output, StandIn(number, **fault))
        finished = entered(output)
        bury(output)
        if by == "shards":
            assert in_shards(scenario, output).is_complete, number
        else:
            assert scenario.run(output).failed == (), number
        scenario.judge_end(output)
        assert foreign(output) == before, number
        if fault["error"] is None:
            assert all(events_of(output, "started").count(case) <= 2 for case in finished), number
