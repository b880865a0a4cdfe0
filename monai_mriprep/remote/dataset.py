"""A dataset in an object store: what its names and headers say, before a voxel is fetched; and the files of a case.

The names and headers stand in a tree of stubs: of each volume its first bytes, and zeros up to its size, which take no
space. Plans are made of that tree, and then it is removed. Voxels are never read from it: the sources of a case lie in
another place, where there is nothing until the objects were fetched whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from monai_mriprep.dataset.unread_files import DETACHED
from monai_mriprep.errors import DatasetError, MriprepError, RemoteError
from monai_mriprep.formats.names import suffix_of
from monai_mriprep.formats.read import read_channel_headers
from monai_mriprep.remote.address import checked_name, last_part
from monai_mriprep.remote.objects import Objects, Stored
from monai_mriprep.run.cases import Case
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.types import IMAGE
from monai_mriprep.windows import mapped_in_window

__all__ = ["HEADER_BYTES", "RemoteDataset"]

HEADER_BYTES = 1 << 16
"""So much of a file is fetched to read its header."""

THREADS = 16
"""Headers are fetched side by side: each is little, and waits long."""

TEXTS = (".json", ".csv", ".tsv", ".txt", ".yaml", ".yml")
"""Endings of files that are fetched whole: tables, and what a dataset says of itself."""

VOXELS_ALONE = (".raw", ".zraw", ".raw.gz", ".img", ".img.gz")
"""Endings of files beside a header, of which only the size counts."""

HEADERS = (
    (re.compile(rb".{128}DICM", re.DOTALL), re.compile(rb"\xe0\x7f\x10\x00|\x7f\xe0\x00\x10")),
    (re.compile(rb"NRRD"), re.compile(rb"\n\r?\n")),
    (re.compile(rb"\s*[A-Z]\w+\s*="), re.compile(rb"ElementDataFile")),
)
"""How a header of no fixed length begins, and what stands at its end: DICOM, NRRD, MetaImage."""


class RemoteDataset:
    """A dataset in an object store, and where its files stand on this machine meanwhile.

    Parameters
    ----------
    objects
        Those below its address.
    scratch
        A folder of this run alone; it must exist.

    Attributes
    ----------
    address
        Where it is.
    root
        Of the tree of stubs, a dataset for whoever plans.
    """

    def __init__(self, objects: Objects, scratch: Path) -> None:
        self.objects = objects
        self.address = objects.address
        self._stubs, self._data = scratch / "headers", scratch / "data"
        self.root = self._stubs / last_part(objects.address)
        self._listed: dict[str, Stored] = {}
        self._folders: defaultdict[str, list[str]] = defaultdict(list)
        self._homes = re.compile(rf"{re.escape(str(self._data))}/[0-9a-f]+|{re.escape(str(self.root))}")

    def read_headers(self) -> Path:
        """List the dataset, and make the tree of stubs, whose root is returned.

        Raises
        ------
        DatasetError
            If there is no object.
        RemoteError
            If objects cannot be listed or read.
        """
        self._listed = {name: stored for name, stored in self.objects.list().items() if not _is_hidden(name)}
        if not self._listed:
            msg = f"{self.address}: there is no object below this address; give the address of a dataset"
            raise DatasetError(msg)
        for name in sorted(self._listed):
            self._folders[name.rpartition("/")[0]].append(name)
        for _ in mapped_in_window(self._make_stub, self._listed, THREADS):
            pass
        return self.root

    def _make_stub(self, name: str) -> None:
        place, size = self.root / name, self._listed[name].size
        begin = self._begin(name, size)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as file:
                file.write(begin)
                file.truncate(size)
        except OSError as error:
            why = f"{self.address}/{name}: cannot be a file on this machine ({error.strerror})"
            msg = f"{why}; give --scratch a folder with space, or give the object another name"
            raise RemoteError(msg) from error

    def _begin(self, name: str, size: int) -> bytes:
        """What is fetched of an object: all of it where its header is longer than headers are."""
        needed = min(size, _needed_bytes(name, size))
        begin = self.objects.begin(name, needed) if needed else b""
        return self.objects.read(name) if needed < size and _goes_on(begin) else begin

    def planned(self, plan: RunPlan) -> RunPlan:
        """The plan of the stubs, or of a list, as one of the dataset: its own cases are where they will be fetched to.

        The stubs are removed, for nobody may take them for scans.

        Parameters
        ----------
        plan
            From `monai_mriprep.run.plan.plan_run`, of `root`; or from `monai_mriprep.run.planned.planned`.

        Raises
        ------
        RemoteError
            If a list names what no object of the dataset can be.
        """
        channels, cases = plan.job.recipe.channel_count, plan.cases
        own = {case.name for case in plan.own_cases}
        if plan.dataset_root == self.root:
            cases = tuple(replace(case, origins=self._origins(case, channels)) for case in cases)
            shutil.rmtree(self._stubs)
            self._listed.clear()
            self._folders.clear()
        self._data.mkdir()
        return replace(
            plan,
            dataset_root=self._data,
            cases=tuple(self._at_home(case, plan.dataset_root) if case.name in own else case for case in cases),
            derivation=self.told(plan.derivation),
            wanted=replace(plan.wanted, derivation=self.told(plan.wanted.derivation)),
            warnings=tuple(map(self.told, plan.warnings)),
            address=self.address,
        )

    def _origins(self, case: Case, channels: int) -> dict[str, Origin]:
        """The objects of a case by its stubs; those of its voxels, too, and the slices of a series."""
        files = (_with_data(paths, channels if role == IMAGE.name else 1) for role, paths in case.sources.items())
        names = [os.path.relpath(path, self.root) for of_role in files for path in of_role]
        slices = [slice_ for name in names if name not in self._listed for slice_ in self._folders[name]]
        return {str(self.root / name): self._origin(name) for name in (*names, *slices)}

    def _at_home(self, case: Case, root: Path) -> Case:
        """A case whose sources lie in a place of its own, since two cases may share a file."""
        home, before = self._home(case), f"{root}/"

        def moved(path: str | Path) -> str:
            return f"{home}/{checked_name(self.address, str(path).removeprefix(before))}"

        sources = {role: tuple(Path(moved(path)) for path in paths) for role, paths in case.sources.items()}
        return replace(case, sources=sources, origins={moved(path): of for path, of in case.origins.items()})

    def _home(self, case: Case) -> Path:
        return self._data / hashlib.sha256(case.name.encode(errors="surrogateescape")).hexdigest()

    def _origin(self, name: str) -> Origin:
        """The object of this name; or all those in the folder of this name, the slices of a series, as one."""
        found = self._listed.get(name) or _as_one([self._listed[one] for one in self._folders[name]])
        return Origin(f"{self.address}/{name}", found.etag, found.size, found.modified_ns)

    def fetch(self, case: Case) -> None:
        """Bring the files of a case, whole, to where its sources are.

        Raises
        ------
        RemoteError
            If one of them cannot be had.
        OSError
            If it cannot be written.
        """
        series = {str(path) for paths in case.sources.values() for path in paths if suffix_of(path.name) is None}
        for path, (address, etag, size, modified_ns) in case.origins.items():
            if path not in series:  # whose slices are objects, and it is none
                self.objects.get(address.removeprefix(f"{self.address}/"), Path(path), Stored(size, etag, modified_ns))

    def drop(self, case: Case) -> None:
        """Remove the files of a case from this machine."""
        shutil.rmtree(self._home(case), ignore_errors=True)

    def told(self, text: str) -> str:
        """A text that names files on this machine, with their addresses instead."""
        return self._homes.sub(lambda _: self.address, text)


def _as_one(slices: Collection[Stored]) -> Stored:
    """What is recorded of the slices of a series."""
    etag = hashlib.sha256("".join(f"{one.etag}\n" for one in slices).encode()).hexdigest()
    return Stored(sum(one.size for one in slices), etag, max((one.modified_ns for one in slices), default=0))


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _needed_bytes(name: str, size: int) -> int:
    """How many bytes of an object say all that a plan asks."""
    lower = name.lower()
    if lower.endswith(TEXTS):
        return size
    return 0 if lower.endswith(VOXELS_ALONE) else HEADER_BYTES


def _goes_on(begin: bytes) -> bool:
    """Whether a header goes on after these bytes."""
    return any(first.match(begin) and not last.search(begin) for first, last in HEADERS)


def _with_data(paths: Sequence[Path], channels: int) -> Iterator[Path]:
    """Files, and those that hold the voxels of headers among them; where a header cannot be read, its case fails."""
    yield from paths
    if any(path.name.lower().endswith(DETACHED) for path in paths):
        with suppress(MriprepError):
            for header in read_channel_headers(paths, channels):
                yield from header.files[1:]
