"""What the machine lends to this process."""

import os

from monai_mriprep.machine import processors


def test_there_are_processors():
    assert 1 <= processors() <= os.cpu_count()


def test_they_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 4}, raising=False)
    assert processors() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processors() == os.cpu_count()
