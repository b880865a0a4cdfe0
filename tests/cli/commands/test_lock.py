"""`lock` ends well only if the lock is written."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from monai_mriprep.cli.commands import lock as command
from monai_mriprep.cli.signals import Stopped
from monai_mriprep.proof import lock as locking


@pytest.mark.parametrize(("lost", "status"), [(None, 0), ("No space left on device", 1)])
def test_a_lock_that_was_not_written_as_a_whole_is_none(monkeypatch, capsys, lost, status):
    found = locking.LockReport(Path("out"), 1, (), (), "0" * 64, ("{}\n",))
    monkeypatch.setattr(locking, "lock_output", lambda *_: found)
    monkeypatch.setattr(command, "lost_result", lambda: lost)
    assert command.lock(Path("out")) == status
    assert capsys.readouterr().out == "{}\n"


def test_a_stop_says_that_nothing_is_left(monkeypatch):
    def stop(*_):
        raise Stopped(signal.SIGINT)

    monkeypatch.setattr(locking, "lock_output", stop)
    with pytest.raises(Stopped) as stopped:
        command.lock(Path("out"))
    assert stopped.value.message == "interrupted; nothing is left of it, and the same command begins anew"
