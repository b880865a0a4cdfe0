"""Addresses in an object store, such as ``s3://bucket/prefix``."""

from __future__ import annotations

import posixpath
from pathlib import Path

from monai_mriprep.errors import RemoteError
from monai_mriprep.formats.names import address_in

__all__ = ["absolute", "address_of", "checked_name", "last_part"]


def address_of(place: str | Path) -> str | None:
    """The address that was given in the place of a path, without slashes at its end; None if it is a path.

    Raises
    ------
    RemoteError
        If it holds a name or a password, which would be recorded with it; or ``..``.
    """
    address = address_in(place)
    if address is None:
        return None
    protocol, _, path = address.partition("://")
    if "@" in path.partition("/")[0]:
        msg = (
            f"{protocol}://...: the address holds a user or a password; leave them out, "
            "and give them as docs/cluster.md says: an address is recorded and logged"
        )
        raise RemoteError(msg)
    if {".", ".."} & set(path.split("/")):
        msg = f"{address}: an object store takes . and .. for names; give the address without them"
        raise RemoteError(msg)
    return address.rstrip("/")


def absolute(place: Path) -> Path:
    """A folder by its absolute path, as whoever was started in another folder needs it; an address as it is."""
    return place.absolute() if address_in(place) is None else place


def last_part(address: str) -> str:
    """What a folder of this content would be called.

    >>> last_part("s3://bucket/hospitals/Dataset001_Liver"), last_part("s3://bucket")
    ('Dataset001_Liver', 'bucket')
    """
    return address.rpartition("/")[2]


def checked_name(address: str, name: str) -> str:
    """The name of an object below an address, where it is one that a file below a folder can have.

    Raises
    ------
    RemoteError
        If it leads elsewhere: whoever may write into a bucket must not write onto this machine.
    """
    if "\0" in name or name.startswith("/") or posixpath.normpath(f"/{name}") != f"/{name}":
        msg = f"{address}: holds an object {name!r}, which no file can be called; remove or rename it"
        raise RemoteError(msg)
    return name
