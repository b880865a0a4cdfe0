"""Two runs in one folder whose locks do nothing, and what the dead leave: nobody removes what is of the living."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from monai_mriprep.store.writers import Writer
from monai_mriprep.verify.audit import verify_output
from tests.runs import counts, events_of, left_over, outputs, write_cases
from tests.stress.conftest import until

pytestmark = [pytest.mark.stress, pytest.mark.timeout(300)]

CASES = 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_cases(tmp_path_factory.mktemp("dataset"), CASES)


@pytest.fixture
def expected(nursery, dataset, tmp_path) -> dict[str, str]:
    assert nursery.start("run", dataset, tmp_path / "reference", "-w", 0).wait() == 0
    return outputs(tmp_path / "reference")


def held(output: Path, stage: str) -> dict[str, bytes]:
    """Every temporary file and journal entry of the runs that wait."""
    suffix = {"before": ".npz", "after": ".journal"}[stage]  # other files come and go
    return {str(path): path.read_bytes() for path in (output / ".partial").rglob(f"*{suffix}")}


def waiting_at(gate: Path) -> list[Path]:
    """One file a worker that waits: until then files of the run come and go."""
    return list(gate.parent.glob(f"{gate.name}.*"))


@pytest.mark.parametrize("stage", ["before", "after"], ids=["while files are written", "before they are recorded"])
def test_a_second_run_without_locks_removes_nothing_of_the_first(nursery, dataset, expected, tmp_path, stage):
    output, gate = tmp_path / "out", tmp_path / "gate"
    first = nursery.start("run", dataset, output, "-w", 2, fault=["no_locks", str(gate), stage])
    until(lambda: len(waiting_at(gate)) == 2)
    before = held(output, stage)
    assert len(before) == {"before": 4, "after": 2}[stage]

    status, text = nursery.start("run", dataset, output, "-w", 2, fault=["no_locks"]).finish()
    assert status == 0, text
    assert counts(text)["done"] == CASES
    assert "this file system has no locks" in text
    assert f"process {first.pid} is writing there; it is left alone" in text
    assert held(output, stage) == before
    assert outputs(output) == expected

    gate.touch()
    status, text = first.finish()
    assert status == 0, text
    assert counts(text)["done"] == CASES
    assert "Traceback" not in text
    assert outputs(output) == expected
    assert verify_output(output).problems == ()
    status, text = nursery.start("run", dataset, output, "-w", 0).finish()
    assert status == 0, text
    assert outputs(output) == expected
    assert left_over(output) == []


def test_many_runs_at_once_without_locks(nursery, dataset, expected, tmp_path):
    """They do the same work several times, and all come to the same end."""
    output = tmp_path / "out"
    runs = [nursery.start("run", dataset, output, "-w", workers, fault=["no_locks"]) for workers in (0, 1, 2, 2)]
    for run in runs:
        status, text = run.finish()
        assert status == 0, text
        assert "Traceback" not in text
    assert outputs(output) == expected
    assert nursery.start("run", dataset, output, "-w", 0).finish()[0] == 0
    assert outputs(output) == expected
    assert verify_output(output).findings == ()
    assert left_over(output) == []


def test_the_work_of_another_host_waits_for_the_user(nursery, dataset, expected, tmp_path):
    output, gate = tmp_path / "out", tmp_path / "gate"
    first = nursery.start("run", dataset, output, "-w", 2, fault=["hold", str(gate)])
    until(lambda: len(held(output, "after")) == 2)
    first.kill(signal.SIGKILL)
    first.wait()
    (folder,) = (path for path in (output / ".partial").iterdir() if Writer.of(path.name))
    _, rest = folder.name.split("_", 1)
    folder.rename(folder.with_name(f"elsewhere_{rest}"))
    before = held(output, "after")

    status, text = nursery.start("run", dataset, output, "-w", 2).finish()
    assert status == 0, text
    assert f"process {first.pid} of elsewhere may be writing there" in text
    assert held(output, "after") == before
    status, text = nursery.start("run", dataset, output, "-w", 2, "--take-over").finish()
    assert status == 0, text
    assert outputs(output) == expected
    assert verify_output(output).problems == ()
    assert left_over(output) == []


def test_a_dead_run_of_this_host_is_finished_without_a_word(nursery, dataset, expected, tmp_path):
    output, gate = tmp_path / "out", tmp_path / "gate"
    first = nursery.start("run", dataset, output, "-w", 2, fault=["hold", str(gate)])
    until(lambda: len(held(output, "after")) == 2)
    os.kill(first.pid, signal.SIGKILL)  # the main process alone: the kernel ends its workers
    first.wait()
    until(lambda: not first.processes)
    finished = len(held(output, "after"))  # whether or not their files were moved
    status, text = nursery.start("run", dataset, output, "-w", 2).finish()
    assert status == 0, text
    assert counts(text) == {"done": CASES - finished, "already done": finished}
    assert "left alone" not in text
    assert len(events_of(output, "done")) == CASES
    assert outputs(output) == expected
    assert left_over(output) == []
