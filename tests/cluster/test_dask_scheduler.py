"""The scheduler needs the same memory for many cases as for few, and the client knows of few at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_mriprep.run.cases import Case
from tests.cluster.cases_at_work import nothing
from tests.stress.conftest import count, until

pytest.importorskip("distributed", reason="needs the extra dask")

from distributed import Client

from monai_mriprep.run.dask_workers import LARGEST_CHUNK, WAITING, DaskCluster
from tests.cluster.dask_processes import scheduler

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]

FEW, MANY = count(1000, 3000), count(5000, 20000)
MOST_MIB = 20


def peak_mib(pid: int) -> float:
    """Highest resident memory of a process."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def made(number: int, ahead: list[int]) -> Iterator[Case]:
    """Cases; those that were taken are counted."""
    for index in range(number):
        ahead[0] += 1
        yield Case(f"case_{index}", {}, {})


def work_on(client: Client, number: int) -> int:
    """How many cases were under way at most."""
    ahead, most = [0], 0
    for done, result in enumerate(DaskCluster(client).mapper(2, number)(nothing, made(number, ahead)), 1):
        assert result.status == "done"
        most = max(most, ahead[0] - done)
    assert done == ahead[0] == number
    return most


def test_the_peak_of_the_scheduler_does_not_grow_with_the_cases(tmp_path):
    with scheduler(tmp_path) as (address, pid), Client(address, set_as_default=False) as client:
        peaks = []
        for number in (FEW, MANY):
            assert work_on(client, number) <= 2 * WAITING * LARGEST_CHUNK
            until(lambda: client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) == 0, 10)
            peaks.append(peak_mib(pid))
    print(f"\nscheduler: {peaks[0]:.1f} MiB for {FEW} cases, {peaks[1]:.1f} MiB for {MANY}")  # noqa: T201
    assert peaks[1] - peaks[0] <= MOST_MIB
    assert peaks[0] < 200, "it has loaded PyTorch"
