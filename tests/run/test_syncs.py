"""How often a run waits for the disk: counted, not timed."""

from __future__ import annotations

import multiprocessing

import pytest

from monai_mriprep.recipe import Recipe
from monai_mriprep.run.engines import ThisMachine
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.preprocess import execute
from monai_mriprep.run.session import open_session
from monai_mriprep.store import calls, recorder
from tests.runs import write_cases

CASES = 400


@pytest.mark.skipif(multiprocessing.get_start_method() == "spawn", reason="spawned workers do not inherit the counter")
@pytest.mark.stress
def test_syncs_of_a_case(tmp_path, monkeypatch):
    """Four in its worker: two files, the entry of the journal, its name. The rest is shared by a group, or by all."""
    syncs = multiprocessing.Value("i")

    def counted(descriptor: int) -> None:
        with syncs:
            syncs.value += 1

    monkeypatch.setattr(calls, "fsync", counted)  # before the workers are forked
    monkeypatch.setattr(recorder, "GROUP_SECONDS", float("inf"))  # a group is 64 cases, however slow the machine
    dataset = write_cases(tmp_path / "dataset", CASES, (2, 3, 3))
    with open_session(plan_run(dataset, tmp_path / "out", Recipe(target_spacing=(3.0, 1.0, 1.0)))) as session:
        assert len(execute(session, ThisMachine.limited(2)).done) == CASES
    print(f"\n{syncs.value} syncs for {CASES} cases")  # noqa: T201
    assert 4 * CASES < syncs.value <= 4.1 * CASES
