"""An output folder that is open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monai_mriprep.store.store import Store, make_store, open_store


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    """With the folders that a run makes."""
    root = tmp_path / "out"
    make_store(root)
    with open_store(root) as store:
        store.prepare()
        yield store
