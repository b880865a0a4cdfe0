"""Each call of the store fails, or is the last one: the next run ends as if nothing had been.

A run meets all that an output folder may hold (`tests/stress/scenario.py`). For every n its n-th call fails, or the
process ends there, or the power is cut there and the disk holds what it may hold then (`tests/stress/disk.py`).
"""

from __future__ import annotations

import errno
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_mriprep.errors import MriprepError
from monai_mriprep.run.session import RunSummary
from tests.stress.conftest import count
from tests.stress.disk import Disk
from tests.stress.scenario import Scenario, bury, cases_of, cleared, entered, foreign, make_scenario, small_groups
from tests.stress.stand_in import Crash, StandIn, standing_in

pytestmark = [pytest.mark.stress, pytest.mark.timeout(1800)]

SEED = 20251
STRIDE = count(5, 1)
"""Every fifth call in `make stress`, every one in `make campaign`."""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory) -> Iterator[Scenario]:
    with small_groups():
        yield make_scenario(tmp_path_factory.mktemp("scenario"))


@pytest.fixture(scope="module")
def seen(scenario, tmp_path_factory) -> list[str]:
    """The calls that the run makes when nothing is wrong."""
    stand_in = StandIn()
    strike(scenario, scenario.begin(tmp_path_factory.mktemp("undisturbed") / "out"), stand_in)
    return stand_in.seen


def numbers(seen: list[str], what: str) -> range:
    """Of the calls that are struck; they are printed."""
    struck = range(1, len(seen) + 1, STRIDE)
    kinds = ", ".join(f"{number} {name}" for name, number in Counter(seen).most_common())
    print(f"\n{what}: {len(struck)} of {len(seen)} calls ({kinds})")  # noqa: T201
    return struck


def strike(scenario: Scenario, output: Path, stand_in: StandIn) -> None:
    """One run with a fault. It ends well, or in words, or by the crash that was asked for."""
    with standing_in(stand_in):
        try:
            scenario.run(output)
        except (MriprepError, Crash):
            return


def resume(scenario: Scenario, output: Path) -> RunSummary:
    """The next run, of another process; it ends as the undisturbed one does."""
    bury(output)
    summary = scenario.run(output)
    assert summary.failed == ()
    scenario.judge_end(output)
    return summary


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_the_nth_call_fails(scenario, seen, tmp_path, code):
    """The disk is well again at once, so the two files of a case are never of two generations."""
    for number in numbers(seen, f"{errno.errorcode[code]} once"):
        output = scenario.begin(tmp_path / "out")
        before, halves = foreign(output), scenario.half_pairs(output)
        strike(scenario, output, StandIn(number, code))
        assert scenario.half_pairs(output) <= halves & entered(output), number
        resume(scenario, output)
        assert foreign(output) == before, number


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_the_nth_call_fails_and_all_after_it(scenario, seen, tmp_path, code):
    """A case whose first file cannot go back has its entry in the journal."""
    for number in numbers(seen, f"{errno.errorcode[code]} from then on"):
        output = scenario.begin(tmp_path / "out")
        before = foreign(output)
        strike(scenario, output, StandIn(number, code, lasting=True))
        assert scenario.half_pairs(output) <= entered(output), number
        resume(scenario, output)
        assert foreign(output) == before, number


def test_the_process_ends_at_the_nth_call(scenario, seen, tmp_path):
    """What has its entry in the journal is not done again."""
    for number in numbers(seen, "crash"):
        output = scenario.begin(tmp_path / "out")
        before = foreign(output)
        strike(scenario, output, StandIn(number))
        finished = entered(output)
        assert scenario.half_pairs(output) <= finished, number
        summary = resume(scenario, output)
        assert finished.isdisjoint(result.case for result in summary.done), number
        assert foreign(output) == before, number


def test_the_process_ends_soon_after_a_call_has_failed(scenario, seen, tmp_path):
    """While the run takes back what it has begun."""
    draw = random.Random(SEED)
    for number in numbers(seen, "EIO, and a crash soon after"):
        output = scenario.begin(tmp_path / "out")
        before = foreign(output)
        strike(scenario, output, StandIn(number, errno.EIO, end=number + draw.randint(1, 6)))
        assert scenario.half_pairs(output) <= entered(output), number
        resume(scenario, output)
        assert foreign(output) == before, number


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "in any order"])
def test_the_power_is_cut_at_the_nth_call(scenario, seen, tmp_path, ordered):
    """What was synced is not done again; what was not may be there, torn, or gone."""
    draw, states = random.Random(SEED), count(1, 4)
    for number in numbers(seen, f"power cut, {states} states each"):
        output = scenario.begin(tmp_path / "before")
        disk = Disk(output)
        strike(scenario, output, StandIn(number, note=disk.note))
        for _ in range(states):
            disk.after_power_cut(cleared(tmp_path / "out"), draw, ordered)
            summary = resume(scenario, tmp_path / "out")
            done_again = {result.case for result in summary.done}
            assert done_again.isdisjoint(cases_of(disk.entered if ordered else disk.acknowledged)), number
            assert contents(tmp_path / "out") == contents(output), number


def test_a_sync_that_fails_has_lost_what_it_was_to_keep(scenario, seen, tmp_path):
    """Linux drops what it could not write, and the next sync says that all is well; then the power is cut."""
    draw = random.Random(SEED)
    syncs = [number for number, name in enumerate(seen, 1) if name == "fsync"]
    print(f"\n{len(syncs)} syncs fail, then a power cut")  # noqa: T201
    for number in syncs:
        output = scenario.begin(tmp_path / "before")
        disk = Disk(output)
        strike(scenario, output, StandIn(number, errno.EIO, note=disk.note, failed=disk.lose))
        disk.after_power_cut(cleared(tmp_path / "out"), draw, ordered=True)
        summary = resume(scenario, tmp_path / "out")
        assert {result.case for result in summary.done}.isdisjoint(cases_of(disk.acknowledged)), number


def contents(output: Path) -> dict[str, bytes]:
    return {name: content for name, (content, *_) in foreign(output).items()}
