"""The sources of a case by their names in a dataset, wherever that lies; and whether they are the locked ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from monai_mriprep.formats.digest import sha256_of
from monai_mriprep.formats.names import address_in
from monai_mriprep.proof.locked import LockedSource, relative_name

__all__ = ["Difference", "Places", "changed_files", "name_in", "place_of_data"]


class Difference(NamedTuple):
    """Something that is not as locked: of what kind, in what, and how."""

    kind: str
    subject: str
    problem: str


class Places(NamedTuple):
    """Where the sources were when they were read, and where they are now if that is known."""

    roots: tuple[str, ...]
    dataset: Path | None

    def name(self, path: str) -> str | None:
        """The name of a source in the dataset; where a link led to it that is gone, by the end of its path."""
        name = name_in(self.roots, path)
        if name is not None or self.dataset is None:
            return name
        parts = Path(path).parts[1:]
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((end for end in ends if (self.dataset / end).exists()), None)

    def of(self, name: str) -> Path | None:
        """The folder that a name is relative to; None if it can only be in an object store."""
        folders = [Path(root) for root in self.roots if address_in(root) is None]
        candidates = folders if self.dataset is None else [self.dataset]
        return next((folder for folder in candidates if (folder / name).exists()), next(iter(candidates), None))


def name_in(roots: Sequence[str], path: str) -> str | None:
    """The name of a source below one of these folders or addresses; None if it lies in none of them."""
    folder, _, name = path.rpartition("/")
    for inside in filter(None, (_under(folder, root) for root in roots)):
        with suppress(ValueError):
            return relative_name(f"{inside}/{name}".removeprefix("./"))
    return None


@lru_cache(maxsize=1024)
def _under(folder: str, root: str) -> str | None:
    """The name of a folder below a root, which a run calls by its real path, and its files as they were given."""
    if address_in(root) is not None:
        below = f"{folder}/".removeprefix(f"{root}/")
        return None if below == f"{folder}/" else below.rstrip("/") or "."
    for parent in (Path(folder), *Path(folder).parents):
        if str(parent) == root or os.path.realpath(parent) == root:
            return str(Path(folder).relative_to(parent))
    return None


def place_of_data(header: Path, name: str) -> Path:
    """Where a file of voxels lies: in the folder of slices, or beside the header, or beside what that links to."""
    homes = (header,) if header.is_dir() else (header.parent, header.resolve().parent)
    return next((home / name for home in homes if (home / name).is_file()), homes[0] / name)


def changed_files(dataset: Path, source: LockedSource) -> Iterator[Difference]:
    """What of a source and of the files of its voxels is missing or not as locked; all bytes are read."""
    place = dataset / source.path
    yield from _changed(place, source.path, source.size, source.sha256)
    for file in source.data:
        name = source.path if place.is_dir() else source.path.rpartition("/")[0]
        yield from _changed(place_of_data(place, file.name), f"{name}/{file.name}".lstrip("/"), file.size, file.sha256)


def _changed(place: Path, name: str, size: int | None, sha256: str) -> Iterator[Difference]:
    try:
        if place.is_dir() != (size is None):
            problem = "is no folder, and was one" if size is None else "is a folder, and was none"
        elif size is not None and not place.is_file():
            problem = "is missing" if not place.exists() else "is no regular file"
        elif size is not None and place.stat().st_size != size:
            problem = f"has {place.stat().st_size} bytes, and had {size}"
        elif sha256_of(place) != sha256:
            problem = "has changed: its SHA-256 is another one"
            problem = "holds other files: their names have another SHA-256" if size is None else problem
        else:
            return
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    yield Difference("source", name, problem)
