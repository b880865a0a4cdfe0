"""An S3 server for the tests of object stores."""

from __future__ import annotations

import itertools
import os

import pytest

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
    fs, name = s3fs.S3FileSystem(), f"bucket-{os.getpid()}-{next(NUMBERS)}"
    fs.mkdir(name)
    server.quiet()
    return fs, f"s3://{name}"
