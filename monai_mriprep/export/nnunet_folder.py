"""A folder of raw data for nnU-Net, and the ledger of what was exported to it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter

from monai_mriprep.errors import OutputError, RecordError, first_names, write_error
from monai_mriprep.export.nnunet_case import SUFFIX
from monai_mriprep.formats.write import write_volume
from monai_mriprep.models import Count, Model, Whole, checked
from monai_mriprep.store.folder import Folder, opened, temporary_name, what_it_is
from monai_mriprep.store.layout import DATASET, PARTIAL
from monai_mriprep.store.lock import exclusive
from monai_mriprep.types import LABEL, ROLE_OF_FOLDER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monai_mriprep.formats.header import Frame

__all__ = ["LEDGER", "Entry", "RawFolder", "opened_raw_folder"]

LONGEST = 1 << 30
"""Bytes of a ledger that are read: a million cases."""

State = Annotated[tuple[Count, Whole], Field(strict=False)]
"""Size of a file, and the time of its last change in nanoseconds."""
Label = Annotated[Whole, Field(strict=False)]

FILE = re.compile(rf"(?:{'|'.join(ROLE_OF_FOLDER)})/[^/\0]+{re.escape(SUFFIX)}")
"""A path that may stand in a ledger, which somebody else may have written: nothing outside is read or deleted."""

LEDGER = "monai_mriprep.jsonl"
"""What was exported, a case a line; the last line of a case counts. A folder that has it was made here."""


def _is_ours(files: dict[str, State]) -> dict[str, State]:
    for file in files:
        if FILE.fullmatch(file) is None:
            msg = f"{file!r} is no file of an export"
            raise ValueError(msg)
    return files


class Entry(Model):
    """What was exported of one case.

    Parameters
    ----------
    output_root
        The output folder that it is a case of.
    case, name
        Its name there, and in nnU-Net's file names.
    sources
        SHA-256 of its sources.
    labels
        New numbers by those of the source.
    files
        The state of each by its path in the folder, the label first; none of a case that was removed.
    """

    output_root: str
    case: str
    name: str
    sources: Annotated[tuple[str, ...], Field(strict=False)]
    labels: dict[Label, Label]
    files: Annotated[dict[str, State], AfterValidator(_is_ours)]

    @property
    def folders(self) -> frozenset[str]:
        """Those that its files lie in."""
        return frozenset(file.partition("/")[0] for file in self.files)

    @property
    def channels(self) -> int:
        """How many its image has."""
        return sum(not file.startswith(f"{LABEL.folder}/") for file in self.files)

    def is_as(self, other: Entry) -> bool:
        """Whether both say the same, but for the state of the files."""
        known = [(one.name, one.sources, one.labels, one.files.keys()) for one in (self, other)]
        return known[0] == known[1]


_ENTRY = TypeAdapter(Entry)


class RawFolder:
    """The folder, while it is locked.

    Parameters
    ----------
    root
        Open.
    """

    def __init__(self, root: Folder) -> None:
        self.root = root
        self.path = root.path
        self.entries = {(entry.output_root, entry.case): entry for entry in _entries(root)}

    def holds(self, wanted: Entry) -> bool:
        """Whether a case was exported in this very way, and its files are as they were then."""
        found = self.entries.get((wanted.output_root, wanted.case))
        return found is not None and found.is_as(wanted) and self.is_whole(found)

    def is_whole(self, entry: Entry) -> bool:
        """Whether the files of a case are as they were when it was exported."""
        return dict(self._states(entry.files)) == entry.files

    def add(self, wanted: Entry, volumes: Iterable[tuple[NDArray[Any], Frame]]) -> None:
        """Write the files of a case, each whole or not at all, and note it.

        Parameters
        ----------
        wanted
            Its files, in the order of the volumes.
        volumes
            Voxels, z y x, and their place; taken one at a time.

        Raises
        ------
        DiskFullError, OutputError
            If they cannot be written.
        """
        with _named_errors(self.path):
            for file, (voxels, frame) in zip(wanted.files, volumes, strict=True):
                temporary = self.path / PARTIAL / temporary_name(SUFFIX.removeprefix("."))
                write_volume(temporary, voxels, frame)
                _sync(temporary)
                temporary.replace(self.path / file)
            self._note(wanted.model_copy(update={"files": dict(self._states(wanted.files))}))

    def remove(self, entry: Entry) -> None:
        """Delete the files of a case that is not to be there any more, and note it.

        Raises
        ------
        OutputError
            If that cannot be done.
        """
        with _named_errors(self.path):
            for file in entry.files:
                (self.path / file).unlink(missing_ok=True)
            self._note(entry.model_copy(update={"files": {}}))

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Write ``dataset.json``; it comes last, so that a folder that has it is whole.

        Raises
        ------
        DiskFullError, OutputError
            If it cannot be written.
        """
        with _named_errors(self.path):
            for name in ROLE_OF_FOLDER:
                with closing(self.root.folder(name)) as folder:
                    folder.sync()  # a power cut must not leave a list of files whose names are lost
            content = (json.dumps(facts, indent=2) + "\n").encode()
            with closing(self.root.folder(PARTIAL)) as partial:
                self.root.replace(DATASET, [content], partial)

    def begin(self) -> None:
        """Take ``dataset.json`` away while the folder is changed."""
        with _named_errors(self.path):
            self.root.remove(DATASET)
            self.root.sync()

    def refuse_strangers(self, expected: Iterable[str]) -> None:
        """Refuse files that nobody has exported: nnU-Net would take them for cases.

        Raises
        ------
        OutputError
            If there are any that are not expected.
        """
        known = {*expected, *(file for entry in self.entries.values() for file in entry.files)}
        found = (path for folder in ROLE_OF_FOLDER for path in (self.path / folder).iterdir())
        there = (f"{path.parent.name}/{path.name}" for path in found if path.name.endswith(SUFFIX))
        if strangers := sorted(file for file in there if file not in known):
            shown = first_names(strangers)
            what = f"{shown} was not exported to it, or not to the end, and nnU-Net would take it for a case"
            msg = f"{self.path}: {what}; export it again, or move it away"
            raise OutputError(msg)

    def _states(self, files: Iterable[str]) -> Iterator[tuple[str, tuple[int, int]]]:
        for file in files:
            with suppress(FileNotFoundError):
                status = (self.path / file).stat()
                yield file, (status.st_size, status.st_mtime_ns)

    def _note(self, entry: Entry) -> None:
        descriptor = self.root.appending(LEDGER)
        try:
            os.write(descriptor, f"\n{json.dumps(entry.model_dump())}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.entries[entry.output_root, entry.case] = entry


def _entries(root: Folder) -> Iterator[Entry]:
    """Those of the ledger; a line that a crash has torn is none."""
    for line in root.read(LEDGER, LONGEST).splitlines():
        with suppress(ValueError, RecursionError, RecordError):
            yield checked(_ENTRY, json.loads(line))


@contextmanager
def opened_raw_folder(path: Path) -> Iterator[RawFolder]:
    """Make the folder, or open one that was made here, and lock it.

    Raises
    ------
    LockedError
        If another export is at work in it.
    OutputError
        If it is another folder that is not empty, or cannot be made.
    """
    with _named_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    with opened(path) as root:
        if (names := root.names()) and not root.is_file(LEDGER):
            msg = f"{path}: it holds {first_names(names)}, and no export has made it; choose an empty or a new folder"
            raise OutputError(msg)
        with _named_errors(path):
            os.close(root.appending(LEDGER))
        with exclusive(root):
            with _named_errors(path):
                _make_folders(root)
                _clear(root)
                folder = RawFolder(root)
            try:
                yield folder
            finally:
                with suppress(OSError):  # the next export clears it; here it would hide why this one has failed
                    _clear(root)
                root.remove_folder(PARTIAL)


def _make_folders(root: Folder) -> None:
    """Make those that are missing. A link is none: what is written or deleted there could be somebody's sources."""
    for name in (*ROLE_OF_FOLDER, PARTIAL):
        if not root.make_folder(name) and not root.is_folder(name):
            msg = f"{root.path / name}: is {what_it_is(root.require(name).st_mode)}, and must be a folder; move it away"
            raise OutputError(msg)


def _clear(root: Folder) -> None:
    """Remove what a killed or failed export has left half written."""
    with closing(root.folder(PARTIAL)) as partial:
        for name in partial.names():
            partial.remove(name)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"{path}: the export cannot be written ({error.strerror or error})"
        raise write_error(error, msg) from error
