"""The files of a case, found by what their comments say of themselves; no record is asked."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass

from monai_mriprep.errors import NpzError, RecordError, VolumeError
from monai_mriprep.formats.npz import NpzVolume, decode_npz, stored_crc
from monai_mriprep.store.layout import is_output
from monai_mriprep.store.provenance import Provenance
from monai_mriprep.store.record_parts import OutputRecord
from monai_mriprep.store.store import Store
from monai_mriprep.types import ROLE_OF_FOLDER, ROLES, TEST_ROLES
from monai_mriprep.verify.volumes import DTYPES, REMOVE

__all__ = ["SelfToldVolume", "UnusableFileError", "read_pair"]


class UnusableFileError(VolumeError):
    """No record can be rebuilt from a file, whose path is relative to the output folder."""


@dataclass(frozen=True)
class SelfToldVolume:
    """A file, its content, and what it says of itself."""

    output: OutputRecord
    volume: NpzVolume
    origin: Provenance


def read_pair(store: Store, path: str) -> dict[str, SelfToldVolume]:
    """All files of the case that a file belongs to, by their role; they say that they were made together.

    Parameters
    ----------
    store
        Where.
    path
        One of them, relative to the output folder.

    Raises
    ------
    UnusableFileError
        If one is missing, damaged, or does not say how it was made, or if they contradict each other.
    """
    first = _read(store, path)
    places = _places(first)
    for place in places.values():
        if not store.folder(place.split("/")[0]).is_file(place.split("/")[1]):
            raise UnusableFileError(path, f"{place}, which belongs with it, is missing; {REMOVE}")
    pair = {role: first if place == path else _read(store, place) for role, place in places.items()}
    for other in pair.values():
        if not first.origin.is_of_one_case(other.origin):
            problem = f"was not made together with {other.output.path}; remove both, and `run` makes them again"
            raise UnusableFileError(path, problem)
    return pair


def _read(store: Store, path: str) -> SelfToldVolume:
    folder, name = path.split("/")
    try:
        status = store.folder(folder).require(name)
        raw = store.folder(folder).read(name, status.st_size)
        volume = decode_npz(raw, store.root.path / path)
        crc = stored_crc(io.BytesIO(raw))
        origin = _origin(path, volume.facts)
    except NpzError as error:
        raise UnusableFileError(path, error.problem) from error
    except (OSError, MemoryError) as error:
        raise UnusableFileError(path, f"cannot be read ({error}); {REMOVE}") from error
    size, mtime_ns, sha256 = status.st_size, status.st_mtime_ns, hashlib.sha256(raw).hexdigest()
    output = OutputRecord(path=path, size=size, mtime_ns=mtime_ns, sha256=sha256, crc32=crc)
    types = DTYPES[ROLE_OF_FOLDER[folder].kind]
    if volume.array.dtype.name not in types:
        raise UnusableFileError(path, f"holds {volume.array.dtype.name}; {' or '.join(types)} is expected; {REMOVE}")
    return SelfToldVolume(output, volume, origin)


def _origin(path: str, facts: Mapping[str, object]) -> Provenance:
    if not facts:
        problem = "its comment does not say how it was made: up to version 0.3.0 none did; `run` does its case again"
        raise UnusableFileError(path, problem)
    try:
        origin = Provenance.of(facts)
    except RecordError as error:
        raise UnusableFileError(path, f"its comment is not that of a run ({error}); {REMOVE}") from error
    if origin.trace is None:
        problem = "what was done to it did not fit into its comment; `run` does its case again"
        raise UnusableFileError(path, problem)
    return origin


def _places(found: SelfToldVolume) -> dict[str, str]:
    """All files of a case, by their role, as one of them tells it."""
    path, origin = found.output.path, found.origin
    (roles,) = (roles for roles in (ROLES, TEST_ROLES) if ROLE_OF_FOLDER[path.split("/")[0]] in roles)
    folders = {role.name: role.folder for role in roles}
    if origin.outputs.keys() != folders.keys() or not all(map(is_output, origin.outputs.values())):
        raise UnusableFileError(path, f"its comment names other files than those of a case; {REMOVE}")
    places = {role: f"{folders[role]}/{name}" for role, name in origin.outputs.items()}
    if places.get(origin.role) != path:
        where = places.get(origin.role, "something else")
        raise UnusableFileError(path, f"was written as {where}; give it that name again, or remove it")
    return places
