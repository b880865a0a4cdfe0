"""Real runs in processes of their own, and somebody who watches the output folders."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.nursery import Nursery
from tests.stress.watch import Watch


def count(reduced: int, full: int) -> int:
    """How often a test does something: the full number only under ``make campaign``."""
    return full if os.environ.get("MRIPREP_CAMPAIGN") == "1" else reduced


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("logs"))
    yield nursery
    nursery.close()


@pytest.fixture
def watch() -> Iterator[Callable[[Path], Watch]]:
    """Watch the two folders of an output root from now to the end of the test, and then judge."""
    watches: list[Watch] = []

    def start(output: Path) -> Watch:
        watches.append(Watch(output))
        return watches[-1]

    yield start
    for one in watches:
        one.stop()
