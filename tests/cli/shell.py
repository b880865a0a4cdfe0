"""The command line in a process of its own, forked off one that has loaded MONAI: that takes longer than most runs."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

from tests.nursery import Nursery


def cli(*arguments: object, cwd: Path | None = None) -> CompletedProcess[str]:
    run = _nursery().start(*arguments, cwd=cwd, apart=True)
    return CompletedProcess(list(arguments), run.wait(), run.log.read_text(), run.errors.read_text())


@cache
def _nursery() -> Nursery:
    logs = tempfile.TemporaryDirectory(prefix="mriprep-cli-")
    nursery = Nursery(Path(logs.name))
    atexit.register(logs.cleanup)
    atexit.register(nursery.close)
    return nursery
