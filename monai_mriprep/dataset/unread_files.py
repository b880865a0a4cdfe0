"""What stands in a dataset's folders and is read by nobody: named, not passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from monai_mriprep.dataset.folders import DatasetFolders, list_others, list_volumes
from monai_mriprep.errors import VolumeError
from monai_mriprep.formats.names import SUFFIXES, stem
from monai_mriprep.formats.read import read_header

__all__ = ["unread_files"]

DETACHED = (".mhd", ".nhdr", ".hdr")
"""Volumes whose voxels lie in files of their own."""
SHOWN = 5
"""Names in a message."""


def unread_files(folders: DatasetFolders) -> tuple[str, ...]:
    """One sentence for each of the two folders that holds files which are neither volumes nor named by one.

    Raises
    ------
    DatasetError
        If a folder cannot be listed.
    """
    return tuple(sentence for folder in (folders.images, folders.labels) for sentence in _unread(folder))


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
            f"{folder}: nobody reads {shown}{more}; volumes end in {', '.join(SUFFIXES)}, or are folders of one DICOM "
            "series: convert what is one, and move the rest away"
        )


def _named_by(detached: Iterable[Path]) -> Iterator[str]:
    """Names of the files that these headers name; a header that cannot be read names none."""
    for path in detached:
        try:
            yield from (file.name for file in read_header(path).files)
        except VolumeError:
            continue
