"""An S3 server for the tests of object stores; and for those of clusters a dataset, and workers of this machine."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from monai_mriprep import preprocess
from tests.runs import outputs, write_cases

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server():
    """One for all tests, for fsspec keeps its clients."""
    pytest.importorskip("s3fs", reason="needs the extra remote")
    pytest.importorskip("moto", reason="needs the extra servers")
    from tests.cluster.servers import Server

    server = Server()
    yield server
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """A file system, and an address of its own for each test."""
    import s3fs

    login = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**login, "AWS_ENDPOINT_URL": server.address}.items():
        monkeypatch.setenv(name, value)
    fs, name = s3fs.S3FileSystem(use_listings_cache=False), f"bucket-{os.getpid()}-{next(NUMBERS)}"
    fs.mkdir(name)
    server.quiet()
    return fs, f"s3://{name}"


CASES = 40


@pytest.fixture(scope="session")
def forty(tmp_path_factory) -> Path:
    """A dataset of small cases, ``case_0`` to ``case_39``."""
    return write_cases(tmp_path_factory.mktemp("forty"), CASES)


@pytest.fixture(scope="session")
def expected(forty, tmp_path_factory) -> dict[str, str]:
    """What a run on this machine makes of them."""
    output = tmp_path_factory.mktemp("expected") / "out"
    with pytest.warns(match="mri_statistics"):
        assert len(preprocess(forty, output, workers=0).done) == CASES
    return outputs(output)


@pytest.fixture(scope="package")
def local() -> Iterator[object]:
    """A client of a local cluster of two processes; they end with the tests of clusters, and so does what Dask sets.

    It leaves ``OMP_NUM_THREADS=1`` in the environment, and other tests look at what children this process has.
    """
    pytest.importorskip("distributed", reason="needs the extra dask")
    from monai_mriprep.run.dask_cluster import connected

    with mock.patch.dict(os.environ), connected("local:2") as client:
        yield client
