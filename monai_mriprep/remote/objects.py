"""The objects below an address, by fsspec: list, read, write, each tried several times.

Credentials and the endpoint are the affair of fsspec and of the libraries below it, which take them from the
environment. Nothing here sees them.
"""

from __future__ import annotations

import errno
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from monai_mriprep.errors import RemoteError, is_disk_full, package_logger
from monai_mriprep.remote.address import checked_name

__all__ = ["PAUSES", "Objects", "Stored"]

LOGGER = package_logger()

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between one try and the next one; after the last of them the error is raised."""

FINAL = (FileNotFoundError, PermissionError, NotImplementedError, ImportError)
"""Errors that another try does not mend."""
REMEDIES = (
    (FileNotFoundError, "is it spelt right, and is it still there?"),
    (PermissionError, "give credentials that may do that, as docs/cluster.md says, then run again"),
    (NotImplementedError, "use another store"),
    (Exception, "look after network, endpoint and credentials, as docs/cluster.md says, then run again"),
)
"""Of the first kind that an error is of."""

Outcome = TypeVar("Outcome")


class Stored(NamedTuple):
    """What a store says of an object.

    Parameters
    ----------
    size
        In bytes.
    etag
        Another one for another content. Where a store has none, its time of change.
    modified_ns
        When it was written, in nanoseconds since 1970; 0 where the store does not say it.
    """

    size: int
    etag: str
    modified_ns: int


class Objects:
    """The objects below an address. Its methods may be called by several threads.

    Parameters
    ----------
    address
        Such as ``s3://bucket/prefix``.

    Attributes
    ----------
    requests
        How many were made, tries included, by their kind; those that fsspec makes within one are not seen.

    Raises
    ------
    RemoteError
        If there is no library for its protocol.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.fs, self._root = _filesystem(address)
        self.requests: Counter[str] = Counter()
        self._counting = threading.Lock()

    def list(self) -> dict[str, Stored]:
        """All objects, by their names below the address; errors as of `get`."""
        found: Mapping[str, Mapping[str, Any]] = self._tried("list", "", lambda: self.fs.find(self._root, detail=True))
        prefix = f"{self._root}/"
        return {
            checked_name(self.address, path.removeprefix(prefix)): _stored(facts)
            for path, facts in found.items()
            if path.startswith(prefix) and not path.endswith("/") and facts.get("type") != "directory"
        }

    def begin(self, name: str, length: int) -> bytes:
        """The first bytes of an object, or all of it if it is shorter; errors as of `get`."""
        content: bytes = self._tried("read", name, lambda: self.fs.cat_file(self._path(name), start=0, end=length))
        return content

    def read(self, name: str) -> bytes:
        """All of a small object; errors as of `get`."""
        content: bytes = self._tried("read", name, lambda: self.fs.cat_file(self._path(name)))
        return content

    def get(self, name: str, place: Path, expected: Stored) -> None:
        """Write an object into a file, which appears when it is complete.

        Parameters
        ----------
        name
            Below the address.
        place
            The file.
        expected
            What was listed. An object that was replaced since is an error.

        Raises
        ------
        RemoteError
            If it cannot be had, or is another one.
        """
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{place.name}.partial")

        def download() -> bool:
            self.fs.get_file(self._path(name), str(partial))
            size = partial.stat().st_size
            if size != expected.size and _is_same(self.look(name), expected):
                msg = f"{size} bytes came, and {expected.size} were listed"
                raise ConnectionError(msg)
            return size == expected.size

        is_whole = self._tried("read", name, download)
        if not (is_whole and _is_same(self.look(name), expected)):
            msg = (
                f"{self.address}/{name}: was replaced since it was listed; run again, which takes the new one; "
                "where `plan` has listed it, plan it again"
            )
            raise RemoteError(msg)
        partial.replace(place)

    def look(self, name: str) -> Stored | None:
        """What the store says of one object; None if there is none."""

        def ask() -> Stored | None:
            with suppress(FileNotFoundError):
                self.fs.invalidate_cache()
                return _stored(self.fs.info(self._path(name)))
            return None

        return self._tried("look", name, ask)

    def put(self, name: str, content: bytes | Path) -> Stored:
        """Write an object, from bytes or a file; it has the new content or, after an error, the one before.

        Raises
        ------
        RemoteError
            If it cannot be written, or is not there afterwards.
        """
        path, size = self._path(name), content.stat().st_size if isinstance(content, Path) else len(content)

        def upload() -> None:
            if isinstance(content, Path):
                self.fs.put_file(str(content), path)
            else:
                self.fs.pipe_file(path, content)

        self._tried("write", name, upload)
        found = self.look(name)
        if found is None or found.size != size:
            msg = f"{self.address}/{name}: is not there after it was written, or not of its {size} bytes; run again"
            raise RemoteError(msg)
        return found

    def create(self, name: str, content: bytes) -> bool:
        """Write a small object unless there is one of this name, by a condition that the store checks.

        Returns
        -------
        bool
            Whether the object is this one.

        Raises
        ------
        RemoteError
            If that is not known.
        """

        def write() -> bool:
            try:
                self.fs.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
            except (OSError, NotImplementedError) as error:
                if "PreconditionFailed" in str(error) or "pre-conditions" in str(error):
                    return False
                if isinstance(error, NotImplementedError) or error.errno == errno.ENOSYS:
                    return self._created_unconditionally(name, content)
                raise
            return True

        return self._tried("write", name, write) or self.read(name) == content  # an earlier try, whose answer was lost

    def _created_unconditionally(self, name: str, content: bytes) -> bool:
        LOGGER.warning("%s: the store knows no conditional put; let one run alone begin there", self.address)
        if self.look(name) is not None:
            return False
        self.put(name, content)
        return True

    def move(self, name: str, new: str) -> None:
        """Give an object another name, by copying it within the store; errors as of `put`."""
        self._tried("write", new, lambda: self.fs.cp_file(self._path(name), self._path(new)))
        self.remove(name)

    def remove(self, name: str) -> None:
        """Remove an object, if it is there; errors as of `put`."""

        def remove() -> None:
            with suppress(FileNotFoundError):
                self.fs.rm_file(self._path(name))

        self._tried("remove", name, remove)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _tried(self, what: str, name: str, action: Callable[[], Outcome]) -> Outcome:
        for pause in (*PAUSES, None):
            with self._counting:
                self.requests[what] += 1
            try:
                return action()
            except FINAL as error:
                raise self._error(what, name, error, 1) from error
            except Exception as error:  # each library has errors of its own
                if isinstance(error, OSError) and is_disk_full(error):
                    raise self._error(what, name, error, 1) from error
                if pause is None:
                    raise self._error(what, name, error, 1 + len(PAUSES)) from error
                LOGGER.debug("%s/%s: cannot %s (%s); again in %g s", self.address, name, what, error, pause)
                time.sleep(pause)
        raise AssertionError  # the last pause is None

    def _error(self, what: str, name: str, error: Exception, tries: int) -> RemoteError:
        place = f"{self.address}/{name}" if name else self.address
        times = f" after {tries} tries" if tries > 1 else ""
        why = f"{type(error).__name__}: {error}"
        remedy = next(remedy for kind, remedy in REMEDIES if isinstance(error, kind))
        return RemoteError(f"{place}: cannot {what} it{times} ({why}); {remedy}")


def _filesystem(address: str) -> tuple[Any, str]:
    """The file system of fsspec, and how it calls the address."""
    try:
        from fsspec.core import url_to_fs

        fs, root = url_to_fs(address, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        protocol = address.partition("://")[0]
        library = "" if protocol == "s3" else f", and what fsspec needs for {protocol}"
        remedy = f"install it: pip install 'monai-mriprep[remote]'{library}"
        msg = f"{address}: {protocol}:// cannot be used ({error}); {remedy}"
        raise RemoteError(msg) from error
    return fs, root.rstrip("/")


def _is_same(found: Stored | None, expected: Stored) -> bool:
    return found is not None and (found.etag, found.size) == (expected.etag, expected.size)


def _stored(facts: Mapping[str, Any]) -> Stored:
    modified = next((facts[key] for key in ("LastModified", "mtime", "updated", "created") if facts.get(key)), None)
    seconds = modified.timestamp() if isinstance(modified, datetime) else modified
    modified_ns = int(float(seconds) * 1e9) if isinstance(seconds, int | float) else 0
    etag = next((facts[key] for key in ("ETag", "etag", "md5Hash", "content_md5") if facts.get(key)), None)
    return Stored(int(facts["size"]), str(etag or modified_ns).strip('"'), modified_ns)
