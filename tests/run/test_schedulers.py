"""What ``--scheduler`` may say."""

from __future__ import annotations

import pytest

from monai_mriprep.errors import ClusterError
from monai_mriprep.run import schedulers
from monai_mriprep.run.schedulers import local_workers, require_kept

ADDRESS = "tcp://10.0.0.7:8786"


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    monkeypatch.setattr(schedulers, "find_spec", lambda _: object())


@pytest.mark.parametrize(
    ("scheduler", "count"),
    [("local:1", 1), ("local:12", 12), (ADDRESS, None), ("tls://node:1", None), ("node:1", None)],
)
def test_an_address_or_workers_of_this_machine(scheduler, count):
    assert local_workers(scheduler) == count
    assert require_kept(scheduler, None, None, None) == (count or 1)


@pytest.mark.parametrize("scheduler", ["", "local", "local:0", "local:-1", "local:two", "nowhere", "tcp://node"])
def test_what_is_neither_is_refused(scheduler):
    with pytest.raises(ClusterError, match=r"is no scheduler; give its address, such as tcp://.*, or local:4"):
        local_workers(scheduler)


@pytest.mark.parametrize(
    ("scheduler", "limits", "words"),
    [
        (ADDRESS, (4, None, None), "--workers (run.workers) is not kept with --scheduler tcp://10.0.0.7:8786"),
        ("local:2", (4, None, None), "--workers (run.workers) is not kept with --scheduler local:2: give their number"),
        (ADDRESS, (None, 2**30, None), "--max-memory (run.max_memory) is not kept"),
        ("local:2", (None, None, 5.0), "--case-timeout (run.case_timeout) is not kept"),
    ],
)
def test_limits_that_would_not_be_kept_are_refused(scheduler, limits, words):
    with pytest.raises(ClusterError) as caught:
        require_kept(scheduler, *limits)
    assert words in str(caught.value)


def test_the_memory_of_local_workers_can_be_limited():
    assert require_kept("local:2", None, 2**30, None) == 2


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setattr(schedulers, "find_spec", lambda _: None)
    with pytest.raises(ClusterError, match=r"pip install 'monai-mriprep\[dask\]'"):
        require_kept(ADDRESS, None, None, None)
