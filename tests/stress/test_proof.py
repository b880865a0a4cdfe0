"""`reproduce` is interrupted: nothing is left of it, neither a folder nor a process."""

from __future__ import annotations

import os
import signal

import pytest

from monai_mriprep import Recipe, preprocess
from tests.nursery import Nursery
from tests.proof.locks import write_lock
from tests.runs import write_cases
from tests.stress.conftest import until

pytestmark = [pytest.mark.stress, pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [0, 2])
def test_signals_leave_no_folder_and_no_process(nursery: Nursery, tmp_path, number, workers):
    dataset, scratch = write_cases(tmp_path / "dataset", 8, (30, 120, 120), (2.0, 0.8, 0.8)), tmp_path / "scratch"
    scratch.mkdir()
    preprocess(dataset, tmp_path / "out", Recipe(target_spacing=(1.7, 0.7, 0.7)), workers=2, report=False)
    lock = write_lock(tmp_path / "out", tmp_path / "data.lock")
    run = nursery.start("reproduce", lock, dataset, "-w", workers, "--scratch", scratch)
    until(lambda: list(scratch.rglob("*.npz")))
    os.kill(run.pid, number)
    assert run.wait(30) == 128 + number, run.text
    assert run.processes == set()
    assert list(scratch.iterdir()) == []
    assert "Traceback" not in run.text
