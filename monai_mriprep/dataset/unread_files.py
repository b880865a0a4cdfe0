"""Files in a dataset's folders that are not read. They are named in a warning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from monai_mriprep.dataset.folders import list_others, list_volumes
from monai_mriprep.errors import VolumeError
from monai_mriprep.formats.names import SUFFIXES, stem
from monai_mriprep.formats.read import read_header

__all__ = ["DETACHED", "unread_files"]

DETACHED = (".mhd", ".nhdr", ".hdr")
"""Suffixes of headers whose voxels are in separate files."""
SHOWN = 5
"""The largest number of names in a message."""


def unread_files(folders: Iterable[Path]) -> tuple[str, ...]:
    """A sentence for each of these folders with files that are neither volumes nor named by a header.

    Raises
    ------
    DatasetError
        If a folder cannot be listed.
    """
    return tuple(sentence for folder in folders for sentence in _unread(folder))


def _unread(folder: Path) -> Iterator[str]:
    others = list_others(folder)
    detached = [path for path in list_volumes(folder) if path.name.lower().endswith(DETACHED)] if others else []
    stems = {stem(path) for path in detached}
    others = tuple(path for path in others if not {path.stem, Path(path.stem).stem} & stems)
    if others:
        named = set(_named_by(detached))
        others = tuple(path for path in others if path.name not in named)
    if others:
        shown = ", ".join(path.name for path in others[:SHOWN])
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        yield (
            f"{folder}: not read: {shown}{more}; volumes end in {', '.join(SUFFIXES)}, or are folders of one DICOM "
            "series: convert what is one, and move the rest away"
        )


def _named_by(detached: Iterable[Path]) -> Iterator[str]:
    """Names of the files that these headers refer to; a header that cannot be read refers to none."""
    for path in detached:
        try:
            yield from (file.name for file in read_header(path).files)
        except VolumeError:
            continue
