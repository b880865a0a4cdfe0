"""Dask's workers as an engine, with a client that only tells of workers; `tests/cluster` has real ones."""

from __future__ import annotations

import pickle
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from monai_mriprep.errors import ClusterError
from monai_mriprep.run.memory import MAIN_BYTES
from tests.run.works import cases

pytest.importorskip("distributed", reason="needs the extra dask")

from monai_mriprep.run import dask_attendance, dask_workers
from monai_mriprep.run.cluster_worker import Demands
from monai_mriprep.run.dask_workers import DaskCluster, chunk_size
from monai_mriprep.run.under_way import UnderWay
from tests.cluster.cases_at_work import nothing

GIB = 2**30
(CASE,) = cases(1)


class Client:
    """Tells of workers with these limits of memory, and these resources."""

    status, scheduler = "running", SimpleNamespace(address="tcp://somewhere:1")

    def __init__(self, limits: list[int], resources: list[dict[str, float]] | None = None) -> None:
        self.found, self.payloads = ModuleNotFoundError("No module named 'monai_mriprep'"), []
        resources = resources or [{} for _ in limits]
        self.workers = {
            f"tcp://{number}": {"memory_limit": limit, "resources": resource}
            for number, (limit, resource) in enumerate(zip(limits, resources, strict=True))
        }

    def scheduler_info(self, n_workers: int) -> dict:
        return {"workers": self.workers, "n_workers": len(self.workers)}

    def run(self, function, *arguments, on_error: str) -> dict:
        assert on_error == "return"
        return dict.fromkeys(self.workers, self.found)

    def submit(self, function, payload: bytes, key: str, **where) -> dict:
        self.payloads.append(payload)
        return where


@pytest.mark.parametrize(
    ("total", "workers", "size"),
    [(1, 2, 1), (40, 2, 1), (80, 2, 2), (3000, 2, 16), (10**6, 1000, 16), (10**5, 1000, 5)],
)
def test_a_chunk_is_a_twentieth_of_the_share_of_a_worker_and_never_large(total, workers, size):
    assert chunk_size(total, workers) == size


def test_the_memory_of_a_worker_is_what_all_declare():
    cluster = DaskCluster(Client([GIB, GIB], [{"memory": 4 * GIB}, {"memory": 2 * GIB, "GPU": 1}]))
    sizes = [cluster.at_once(replace(CASE, memory_bytes=size * GIB)) for size in (1, 2, 3, 4, 5)]
    assert sizes == [2, 2, 1, 1, 0]


def test_else_it_is_what_their_limits_leave_beside_the_program():
    cluster = DaskCluster(Client([2 * GIB, 0, GIB], [{"memory": 1}, {}, {}]))
    assert cluster.at_once(replace(CASE, memory_bytes=2 * GIB - MAIN_BYTES)) == 2
    assert cluster.at_once(replace(CASE, memory_bytes=GIB - MAIN_BYTES)) == 3
    assert cluster.at_once(replace(CASE, memory_bytes=99 * GIB)) == 1, "a worker without a limit"


def test_a_case_that_fits_nowhere_is_told_with_the_remedy():
    cluster = DaskCluster(Client([0], [{"memory": GIB}]))
    large = replace(CASE, memory_bytes=2 * GIB)
    assert "needs about 2048 MiB, and no worker has more than 1024 MiB for it" in cluster.too_large(large)
    assert "might not fit: the case needs at most" in cluster.too_large(replace(large, is_upper_bound=True))


def test_a_worker_without_the_package_is_named(tmp_path):
    with pytest.raises(ClusterError, match=r"worker tcp://0: it cannot load monai-mriprep .*No module named"):
        DaskCluster(Client([0])).mapper(1, 1)


def test_a_worker_that_goes_while_it_is_asked_is_no_reason_to_refuse():
    client = Client([0])
    client.found = OSError("closed")
    DaskCluster(client).mapper(1, 1)


def sent(cluster: DaskCluster, *sizes: int) -> dict:
    """Where a chunk of cases of these sizes may go."""
    chunk = [replace(CASE, memory_bytes=size) for size in sizes]
    return cluster.submit(Demands("a run"), lambda case: case, chunk)


def test_a_chunk_goes_where_its_largest_case_has_room(monkeypatch):
    monkeypatch.setattr("monai_mriprep.run.dask_workers.pickle.dumps", lambda call: b"")
    declared = DaskCluster(Client([0, 0], [{"memory": 4 * GIB}, {"memory": 2 * GIB}]))
    assert sent(declared, GIB, 3 * GIB) == {"resources": {"memory": 3 * GIB}}
    assert sent(declared, 5 * GIB) == {"resources": {"memory": 4 * GIB}}, "an upper bound: the largest may do"
    limited = DaskCluster(Client([2 * GIB, 8 * GIB]))
    assert sent(limited, GIB) == {}
    assert sent(limited, 4 * GIB) == {"workers": ["tcp://1"], "allow_other_workers": True}
    del limited.client.workers["tcp://1"]  # it has been lost since
    assert sent(limited, 4 * GIB) == {}


def test_a_call_is_made_where_it_is_unpickled(monkeypatch):
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)
    monkeypatch.setattr("monai_mriprep.run.cluster_worker.SETTLING_SECONDS", 0.0)
    client = Client([0])
    DaskCluster(client).submit(Demands("a run"), nothing, [CASE])
    (payload,) = client.payloads
    assert [result.case for result in pickle.loads(payload)] == ["0"]


class Completed:
    """What Dask tells of futures: after 100 seconds of a clock, which goes on when it is asked, the first is done."""

    thread_condition = MagicMock()

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def has_ready(self) -> bool:
        self.now += 0.1
        return self.now > 100

    def __next__(self) -> str:
        return "a future"


def test_cases_that_wait_for_a_worker_are_counted_and_not_said_to_take_long(monkeypatch, caplog):
    completed, client, under_way = Completed(), Client([0]), UnderWay()
    for module in (dask_attendance, dask_workers):
        monkeypatch.setattr(module, "time", completed)
    tasks = dask_workers._Tasks(DaskCluster(client), Demands("a run"), print, 1)
    tasks._chunks = {"a future": cases(3)[:2], "another": cases(3)[2:]}
    tasks._watch(cases(3), under_way)
    client.workers = {}
    assert tasks._next(completed, under_way) == "a future"
    under_way.look(completed.now)
    (message,) = caplog.messages
    assert message.startswith("tcp://somewhere:1 has had no worker for a minute, and 3 of the cases wait there;")
