"""A store in memory, which needs no server; and no pauses between tries."""

from __future__ import annotations

import pytest

from monai_mriprep.remote import objects


@pytest.fixture
def store():
    """The objects below an address in memory."""
    fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield objects.Objects("memory://bucket/scans")
    memory.store.clear()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(objects, "PAUSES", (0.0, 0.0))
