"""Workers that die, memory and disks that run out, runs that meet: the case is named and the rest gets done."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monai_mriprep.verify.audit import verify_output
from tests.nursery import PROJECT
from tests.runs import counts, errors_of, events_of, left_over, outputs, write_case, write_cases
from tests.stress.conftest import until

pytestmark = [pytest.mark.stress, pytest.mark.timeout(300)]

REFUSAL_SECONDS = 3.0
"""Processor time of a second run, start-up included."""
SIGNAL_SECONDS = 15.0
"""Wall time; on an idle machine it is under 5 s."""
RESUME_SECONDS = 5.0
"""Processor time beyond start-up."""


def children_seconds() -> float:
    """Processor time of the commands so far: what they take on a machine that has nothing else to do."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A run from nothing, start-up included."""
    line = [sys.executable, "-m", "monai_mriprep", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=240, cwd=PROJECT)


# --- Workers die ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_names_its_case(nursery, tmp_path, number):
    dataset, output = write_cases(tmp_path / "dataset", 8), tmp_path / "out"
    status, text = nursery.start("run", dataset, output, "-w", 2, fault=["die", "case_5", number]).finish()

    assert status == 1, text
    assert counts(text) == {"done": 7, "failed": 1}
    assert "case_5: FAILED: its worker" in text
    assert "Traceback" not in text
    assert "alone" in errors_of(output)["case_5"]
    assert "MiB" in errors_of(output)["case_5"]
    assert events_of(output, "started").count("case_5") >= 2, "it was tried once more, alone"
    assert len(outputs(output)) == 14

    before = set(events_of(output, "done"))
    again, text = nursery.start("run", dataset, output, "-w", 2).finish()
    assert again == 0, text
    assert counts(text) == {"done": 1, "already done": 7}
    assert sorted(events_of(output, "done")) == sorted([*before, "case_5"]), "nothing was done twice"


def test_a_worker_that_dies_while_a_result_is_recorded(nursery, tmp_path):
    """The loader reports a death by raising wherever the main process just is."""
    dataset, output = write_cases(tmp_path / "dataset", 12), tmp_path / "out"
    status, text = nursery.start("run", dataset, output, "-w", 2, fault=["die_late"]).finish()
    assert status == 0, text
    assert counts(text)["done"] == 12
    assert sorted(events_of(output, "done")) == sorted(f"case_{i}" for i in range(12))


def test_an_allocation_that_fails_names_its_case(nursery, tmp_path):
    """Under ``ulimit -v``, a scan of thick slices becomes 6 GiB at 1 mm; the estimate is switched off."""
    dataset, output = write_cases(tmp_path / "dataset", 5, (4, 8, 9), (1.0, 1.0, 1.0)), tmp_path / "out"
    write_case(dataset, "large", (30, 50, 50), (40.0, 23.0, 23.0))
    options = ("--set", "target_spacing=[1, 1, 1]", "-w", 2, "--max-memory", "64G")
    status, text = nursery.start("run", dataset, output, *options, memory=1 << 30).finish()

    assert status == 1, text
    assert counts(text) == {"done": 5, "failed": 1}
    assert set(errors_of(output)) == {"large"}
    assert "out of memory" in errors_of(output)["large"]
    assert "the case needs about" in errors_of(output)["large"]

    write_case(dataset, "large", (4, 8, 9), (1.0, 1.0, 1.0))
    again, text = nursery.start("run", dataset, output, *options, memory=1 << 30).finish()
    assert again == 0, text
    assert counts(text) == {"done": 1, "already done": 5}


def test_a_case_that_cannot_fit_is_refused_with_figures(nursery, tmp_path):
    dataset, output = write_cases(tmp_path / "dataset", 3, (4, 8, 9), (1.0, 1.0, 1.0)), tmp_path / "out"
    write_case(dataset, "large", (30, 50, 50), (40.0, 23.0, 23.0))
    options = ("--set", "target_spacing=[1, 1, 1]", "-w", 2, "--max-memory", "2G")
    status, text = nursery.start("run", dataset, output, *options).finish()

    assert status == 1, text
    assert counts(text) == {"done": 3, "failed": 1}
    assert "large: FAILED: not attempted: the case needs about" in text
    assert "2048 MiB may be used" in text
    assert "large" not in events_of(output, "started")


# --- Signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [True, False], ids=["group", "main process"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [0, 2])
def test_signals_end_a_run_quickly(nursery, tmp_path, number, group, workers):
    dataset, output = write_cases(tmp_path / "dataset", 12, (30, 120, 120), (2.0, 0.8, 0.8)), tmp_path / "out"
    options = ("--set", "target_spacing=[1.7, 0.7, 0.7]", "-w", workers)
    run = nursery.start("run", dataset, output, *options)
    until(lambda: events_of(output, "done"))
    start = time.monotonic()
    run.kill(number) if group else os.kill(run.pid, number)
    status = run.wait(30)
    seconds = time.monotonic() - start

    assert status == 128 + number, run.text
    assert seconds < SIGNAL_SECONDS
    assert run.processes == set()
    assert "the same command resumes" in run.text
    assert "Traceback" not in run.text
    done = len(set(events_of(output, "done")))
    assert done < 12
    assert left_over(output) == []
    status, text = nursery.start("run", dataset, output, *options).finish()
    assert status == 0, text
    assert len(outputs(output)) == 24
    print(f"\n{signal.Signals(number).name}: {seconds:.2f} s, {done} of 12 done before")  # noqa: T201


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_do_not_wait_for_a_long_case(nursery, tmp_path, number):
    dataset, output, gate = write_cases(tmp_path / "dataset", 4), tmp_path / "out", tmp_path / "gate"
    run = nursery.start("run", dataset, output, "-w", 2, fault=["hold", str(gate)])
    until(lambda: len(events_of(output, "started")) == 2)
    start = time.monotonic()
    os.kill(run.pid, number)
    assert run.wait(30) == 128 + number, run.text
    assert time.monotonic() - start < SIGNAL_SECONDS
    assert run.processes == set()


def test_fail_fast_does_not_wait_for_a_long_case(nursery, tmp_path):
    dataset, output, gate = write_cases(tmp_path / "dataset", 4), tmp_path / "out", tmp_path / "gate"
    (dataset / "LabelsTr" / "case_1.mha").write_text("rubbish")
    run = nursery.start("run", dataset, output, "-w", 2, "--fail-fast", fault=["hold", str(gate)])
    until(lambda: errors_of(output))
    start = time.monotonic()
    assert run.wait(30) == 1, run.text
    assert time.monotonic() - start < SIGNAL_SECONDS
    assert run.processes == set()


# --- Disk -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of a given size, and change that size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def size(kib: int, *options: str) -> Path:
        line = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={kib}k", *options]), "tmpfs", str(folder)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
        return folder

    yield size
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


@pytest.mark.parametrize("kib", [1500, 2000, 2500])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_full_disk(nursery, tmp_path, small_disk, kib, workers):
    dataset = write_cases(tmp_path / "dataset", 10, (20, 80, 80), (2.0, 0.8, 0.8))
    assert nursery.start("run", dataset, tmp_path / "reference", "-w", 2).wait() == 0
    output = small_disk(kib) / "out"
    status, text = nursery.start("run", dataset, output, "-w", workers).finish()

    assert status == 1, text
    assert "Traceback" not in text
    assert sum(line.startswith("error:") for line in text.splitlines()) == 1, text
    assert "space" in next(line for line in text.splitlines() if line.startswith("error:"))
    expected, found = outputs(tmp_path / "reference"), outputs(output)
    assert 0 < len(found) < 20
    assert found.items() <= expected.items()
    assert damaged(output) == []
    assert left_over(output) == []

    small_disk(100_000, "remount")
    status, text = nursery.start("run", dataset, output, "-w", workers).finish()
    assert status == 0, text
    assert outputs(output) == expected
    assert verify_output(output).findings == ()
    assert left_over(output) == []


def test_a_disk_that_has_become_read_only(nursery, tmp_path, small_disk):
    dataset, output = write_cases(tmp_path / "dataset", 2), small_disk(5000) / "out"
    assert nursery.start("run", dataset, output, "-w", 0).wait() == 0
    small_disk(5000, "remount", "ro")
    status, text = nursery.start("run", dataset, output).finish()
    assert status == 2, text
    assert "Read-only file system" in text
    assert "Traceback" not in text


def damaged(output: Path) -> list:
    """What `verify` finds wrong with a file that is in place; it also tells of cases that are still to be done."""
    return [
        finding for finding in verify_output(output).findings if finding.subject.startswith(("imagesTr", "labelsTr"))
    ]


def test_a_disk_that_is_full_before_the_start(nursery, tmp_path, small_disk):
    dataset, disk = write_cases(tmp_path / "dataset", 1), small_disk(8)
    (disk / "ballast").write_bytes(bytes(8192))
    status, text = nursery.start("run", dataset, disk / "out").finish()
    assert status == 2, text
    assert "Traceback" not in text
    assert "space" in text


# --- Two runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole_group", [True, False], ids=["group", "main process"])
def test_two_runs_on_one_output(nursery, tmp_path, whole_group):
    dataset, output, gate = write_cases(tmp_path / "dataset", 4), tmp_path / "out", tmp_path / "gate"
    first = nursery.start("run", dataset, output, "-w", 2, fault=["hold", str(gate)])
    until(lambda: len(events_of(output, "started")) == 2)

    before = children_seconds()
    second = command("run", dataset, output)
    seconds = children_seconds() - before
    assert second.returncode == 2
    assert f"another run is alive there (process {first.pid} on" in second.stderr
    assert seconds < REFUSAL_SECONDS

    first.kill() if whole_group else os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == 128 + signal.SIGKILL
    until(lambda: not first.processes)
    third, text = nursery.start("run", dataset, output, "-w", 2).finish()
    assert third == 0, text
    assert "another run" not in text
    assert len(outputs(output)) == 8
    print(f"\nrefused after {seconds:.2f} s")  # noqa: T201


# --- Many cases -------------------------------------------------------------------------------------------------------


def test_two_thousand_cases_with_nothing_to_do(nursery, tmp_path):
    dataset, output = write_cases(tmp_path / "dataset", 2000, (2, 3, 4)), tmp_path / "out"
    few, few_output = write_cases(tmp_path / "few", 1, (2, 3, 4)), tmp_path / "few_out"
    start = time.monotonic()
    assert nursery.start("run", dataset, output, "-w", 2).wait(240) == 0
    first = time.monotonic() - start
    assert nursery.start("run", few, few_output, "-w", 0).wait() == 0

    start_up, resume = timed("run", few, few_output), timed("run", dataset, output)
    assert resume - start_up < RESUME_SECONDS
    print(f"\n2,000 cases in {first:.1f} s; resume {resume:.2f} s, of which {start_up:.2f} s start-up")  # noqa: T201


def timed(*arguments: object) -> float:
    before = children_seconds()
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert counts(done.stdout)["done"] == 0
    return children_seconds() - before
