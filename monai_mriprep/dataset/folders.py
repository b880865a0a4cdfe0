"""The folders of a dataset, and which of their entries are volumes."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from monai_mriprep.errors import DatasetError
from monai_mriprep.formats.names import composed, holds_dicom, natural_key, real_path, stem, suffix_of

__all__ = [
    "IMAGE_FOLDERS",
    "LABEL_FOLDERS",
    "DatasetFolders",
    "VolumeTree",
    "find_folders",
    "list_others",
    "list_volumes",
    "volume_names",
    "volume_tree",
]

IMAGE_FOLDERS = ("ImagesTr", "imagesTr")
LABEL_FOLDERS = ("LabelsTr", "labelsTr")
DEEPEST = 7
"""How many folders deep the volumes of a dataset may lie; BIDS with derivatives and the labels of PI-CAI need five."""
PROBED = 100
"""The largest number of folders that are searched for DICOM files."""


@dataclass(frozen=True)
class DatasetFolders:
    """The two folders of a dataset."""

    images: Path
    labels: Path


def list_volumes(folder: str | Path) -> tuple[Path, ...]:
    """List the volumes of one folder, in natural order: files, and folders that hold DICOM slices.

    Hidden entries and directories named like volumes are ignored. A broken link is listed: reading its header gives
    the error, so it does not stop the other cases.

    Raises
    ------
    DatasetError
        If the folder cannot be listed, or two of its files have one stem, or stems that differ only in case or in
        unicode form (macOS and Windows would make one file of their outputs).
    """
    return tuple(Path(folder, name) for name in volume_names(folder))


def volume_names(folder: str | Path) -> tuple[str, ...]:
    """The names of these volumes; of thousands they take a fifth of the memory of paths.

    Raises
    ------
    DatasetError
        As `list_volumes`.
    """
    names = sorted((entry.name for entry in _entries(Path(folder)) if _is_volume(entry)), key=natural_key)
    _refuse_shared_stems(Path(folder), names)
    return tuple(names)


def list_others(folder: str | Path) -> tuple[Path, ...]:
    """List the entries that are not volumes, in natural order; hidden ones are ignored.

    Raises
    ------
    DatasetError
        If the folder cannot be listed.
    """
    others = (Path(entry) for entry in _entries(Path(folder)) if not _is_volume(entry))
    return tuple(sorted(others, key=lambda path: natural_key(path.name)))


class VolumeTree(NamedTuple):
    """The files of a folder and of those inside it.

    Parameters
    ----------
    names
        Of the volumes, with the folders they lie in, in natural order.
    dicom
        The first folder that holds DICOM files; None if there is none, or there are volumes.
    """

    names: tuple[str, ...]
    dicom: Path | None


def volume_tree(root: Path) -> VolumeTree:
    """List the volumes of a folder and of those inside it, `DEEPEST` at most; hidden entries are ignored.

    Folders of DICOM slices are no volumes here. A folder inside that cannot be listed is an error.

    Raises
    ------
    DatasetError
        If a folder cannot be listed.
    """
    names: list[str] = []
    others: list[Path] = []
    folders = [""]
    while folders:
        above = folders.pop()
        volumes, inside, rest = _sorted_out(root / above)
        names += [above + name for name in volumes]
        if above.count("/") < DEEPEST:
            folders += [f"{above}{name}/" for name in reversed(inside)]
        if rest and not volumes:
            others.append(root / above)
    dicom = None if names else next((folder for folder in others[:PROBED] if holds_dicom(folder)), None)
    return VolumeTree(tuple(sorted(names, key=natural_key)), dicom)


def _sorted_out(folder: Path) -> tuple[list[str], list[str], bool]:
    """Names of the volumes and of the folders in a folder, and whether it holds other files."""
    volumes, folders, rest = [], [], False
    for entry in sorted(_entries(folder), key=lambda entry: entry.name):
        if _leads_to_folder(entry):
            folders += [entry.name] if suffix_of(entry.name) is None and not _leads_back(entry) else []
        elif suffix_of(entry.name) is None:
            rest = True
        else:
            volumes.append(entry.name)
    return volumes, folders, rest


def _leads_back(entry: os.DirEntry[str]) -> bool:
    """Whether a link to a folder leads to one that it lies in."""
    return entry.is_symlink() and real_path(Path(entry).parent).is_relative_to(real_path(Path(entry)))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """All entries that are not hidden. Their types mostly come with the listing, without a system call for each."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        msg = f"cannot list the folder {folder}: {error.strerror or error}"
        raise DatasetError(msg) from error


def _is_volume(entry: os.DirEntry[str]) -> bool:
    is_folder = _leads_to_folder(entry)
    if suffix_of(entry.name) is not None:
        return not is_folder
    return is_folder and holds_dicom(Path(entry))


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    return Path(entry).is_dir() if entry.is_symlink() else entry.is_dir()


def find_folders(dataset_root: str | Path) -> DatasetFolders:
    """``ImagesTr`` and ``LabelsTr`` of a dataset, or nnU-Net's ``imagesTr`` and ``labelsTr``.

    Raises
    ------
    DatasetError
        If the dataset or one of the two is not a folder, or both spellings exist.
    """
    root = Path(dataset_root)
    if not _is_folder(root):
        msg = f"{root} is not a folder; a dataset holds {IMAGE_FOLDERS[0]} and {LABEL_FOLDERS[0]}"
        raise DatasetError(msg)
    return DatasetFolders(_find_folder(root, IMAGE_FOLDERS), _find_folder(root, LABEL_FOLDERS))


def _refuse_shared_stems(folder: Path, names: list[str]) -> None:
    """Refuse files with equal stems, and stems that only macOS and Windows take for equal."""
    groups = defaultdict(list)
    for name in names:
        groups[composed(stem(name)).casefold()].append(name)
    shared = [_shown_names(alike) for alike in groups.values() if len(alike) > 1]
    if shared:
        msg = (
            f"{folder}: {'; '.join(shared)} have the same stem, so it is unclear which one is meant; keep one of them, "
            "or rename them (macOS and Windows take stems for one that differ only in case or unicode form)"
        )
        raise DatasetError(msg)


def _shown_names(names: list[str]) -> str:
    """Names for a message. Letters are shown as codes if the names differ only in unicode form."""
    composed = all(unicodedata.is_normalized("NFC", name) for name in names)
    return " and ".join(map(repr if composed else ascii, names))


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder or a link to one; a loop of links raises."""
    try:
        path.resolve(strict=True)
    except FileNotFoundError:
        return False
    except (OSError, RuntimeError) as error:  # a loop of links; RuntimeError before Python 3.13
        msg = f"{path} cannot be followed: {error}; is it a symbolic link to itself?"
        raise DatasetError(msg) from error
    return path.is_dir()


def _find_folder(root: Path, names: tuple[str, ...]) -> Path:
    found = [root / name for name in names if _is_folder(root / name)]
    if len(found) > 1 and not found[0].samefile(found[1]):  # they are the same folder if the file system ignores case
        msg = f"{root} holds both {names[0]} and {names[1]}; keep one of them"
        raise DatasetError(msg)
    if not found:
        msg = f"{root} has no folder {' or '.join(names)}; a dataset holds {IMAGE_FOLDERS[0]} and {LABEL_FOLDERS[0]}"
        raise DatasetError(msg)
    return found[0]
