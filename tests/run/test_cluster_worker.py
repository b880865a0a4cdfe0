"""What a worker of a cluster must fit, and what it does with cases."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from monai_mriprep.errors import ClusterError
from monai_mriprep.run import cluster_worker
from monai_mriprep.run.cases import Result
from monai_mriprep.run.cluster_worker import CASE_LOCK, Demands, carry_out, made_ready, withdrawn
from tests.run.works import cases


@pytest.fixture
def demands(tmp_path, monkeypatch) -> Demands:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(cluster_worker, "SETTLING_SECONDS", 0.0)
    for name in ("dataset", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "out/run.json").write_text("{}", encoding="utf-8")
    return Demands.of(tmp_path.name, tmp_path / "dataset", tmp_path / "out")


def work(case) -> Result:
    assert CASE_LOCK.locked()
    return Result(case.name, "done")


def test_a_worker_that_fits(demands):
    assert made_ready(pickle.loads(pickle.dumps(demands))) is None
    assert made_ready(Demands("of nothing")) is None
    assert [result.case for result in carry_out(demands, work, cases(3))] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "0.0.1"}, "and the run is of 0.0.1 (1); install the same version there"),
        ({"algorithm": 99}, "(99); install the same version there"),
        ({"dataset_root": "elsewhere"}, "it sees no dataset"),
        ({"output_root": "elsewhere"}, "it does not see the output folder"),
        ({"description": "of another run"}, "it does not see the output folder"),
    ],
)
def test_a_worker_that_does_not_fit_says_so_and_works_on_nothing(demands, change, words, tmp_path):
    change = {key: tmp_path / value if key.endswith("root") else value for key, value in change.items()}
    demands = replace(demands, **change)
    problem = made_ready(demands)
    assert words in problem
    assert problem.startswith("on ")
    with pytest.raises(ClusterError) as caught:
        carry_out(demands, work, cases(1))
    assert str(caught.value) == problem


def test_of_a_run_that_is_given_up_nothing_more_is_begun(demands, monkeypatch):
    assert asyncio.run(withdrawn(demands.run))
    assert carry_out(demands, work, cases(3)) == []
    assert len(carry_out(replace(demands, run="another"), work, cases(3))) == 3
    monkeypatch.setattr(cluster_worker, "WITHDRAWAL_SECONDS", 0.05)
    with CASE_LOCK:
        assert not asyncio.run(withdrawn(demands.run))


FAULTS = """
import resource, sys, threading
import numpy as np
from monai_mriprep.run.cluster_worker import settle

def count():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(3 << 20, np.int8)  # huge pages begin with 4 MiB
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

def in_a_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

in_a_thread(count)
sys.modules["distributed.worker"] = sys
settle()
in_a_thread(count)
"""


@pytest.mark.stress
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the variable is of glibc")
def test_a_worker_of_dask_does_not_clear_the_same_pages_again_and_again():
    environ = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}  # as Dask starts its workers
    done = subprocess.run([sys.executable, "-c", FAULTS], env=environ, check=True, capture_output=True, text=True)
    before, after = map(int, done.stdout.split())
    assert before >= 50 * 3 * 256  # pages of 4 KiB
    assert after < before / 10
