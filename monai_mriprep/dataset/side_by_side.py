"""Datasets whose images and labels lie side by side: in a folder for each case (as BraTS), or several cases in one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from monai_mriprep.dataset.channels import CaseOf, case_name, files_by_case, plain
from monai_mriprep.dataset.file_endings import before_label, begins_with, channel_suffixes, sorted_by_role
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.errors import counted
from monai_mriprep.formats.names import composed
from monai_mriprep.types import IMAGE, LABEL

__all__ = ["layout_by_case", "side_by_side"]

OTHER_SCAN = re.compile(r"[_.-](?!\d{4}$)\d+(?:[_.-]|$)")
"""What follows the name of a case in the name of another one: a number, unless it is nnU-Net's of a channel. So
``p_1_t1`` is no image of the label ``p_seg``, whose own may be missing."""


def side_by_side(root: Path, names: Sequence[str]) -> Layout:
    """The layout of images and labels in the same folders.

    A folder is a case. Where it holds several labels, and in the dataset itself, the names of the images of a case
    begin as that of its label does. Where folders of two cases have one name, the folders above are part of all names.

    Parameters
    ----------
    root
        The dataset.
    names
        Its volumes, with the folders they lie in.
    """
    images, labels = sorted_by_role(names)
    shared = _shared_folders(images, labels)
    cases = {_case(shared, name) for name in names}
    is_unique = len({case_name(case) for case in cases}) == len(cases)
    case_of = partial(_case if is_unique else _case_with_folders, shared)
    return layout_by_case(_kind(images, shared), root, images, labels, case_of)


def layout_by_case(
    kind: str,
    root: Path,
    images: Sequence[str],
    labels: Sequence[str],
    case_of: CaseOf,
    folders: tuple[Path, Path] | None = None,
    suffixes: tuple[str, ...] | None = None,
) -> Layout:
    """The layout of files whose case is known; says which channels it seems to have, and the options for them.

    Parameters
    ----------
    kind, root, case_of
        As in `Layout`.
    images, labels
        Their names.
    folders
        What the names of images and those of labels are relative to; the dataset, unless told.
    suffixes
        What the images of a case end in; found in the names, unless told.
    """
    cases = files_by_case(images, case_of)
    suffixes = channel_suffixes(cases) if suffixes is None else suffixes
    channels = f", which end in {', '.join(suffixes)}" if suffixes else ""
    found = f"{counted(len(images), f'{IMAGE.name} file')} of {counted(len(cases), 'case')}{channels}"
    return Layout(
        kind,
        root,
        *(folders or (root, root)),
        tuple(images),
        tuple(labels),
        case_of,
        suffixes=suffixes,
        seen=f"{kind}: {found}, {counted(len(labels), LABEL.name)}",
        proposed={"channels": tuple(suffixes)} if suffixes else {},
    )


def _shared_folders(images: Iterable[str], labels: Iterable[str]) -> dict[str, set[str]]:
    """The folders of several cases, each with what the names of its cases begin with.

    They are the dataset itself, and those with several labels, unless not one image begins like a label: then the
    labels are of one case, which is refused later.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for name in labels:
        folder, stem = _split(name)
        found[folder].add(before_label(stem) or "")
    several = {folder for folder, beginnings in found.items() if len(beginnings) > 1}
    begun = {folder for folder, stem in map(_split, images) if folder in several and begins_with(found[folder], stem)}
    return {folder: found[folder] - {""} for folder in begun | {""}}


def _case(shared: Mapping[str, set[str]], name: str) -> str:
    """The case of an image or a label; nothing if it is of no label's in a folder of several cases."""
    folder, stem = _split(name)
    if folder not in shared:
        return folder
    before = before_label(stem)
    stem = stem if before is None else before
    beginning = begins_with(shared[folder], stem)
    is_other = OTHER_SCAN.match(stem[len(beginning) :])
    return f"{folder}/{beginning}".lstrip("/") if beginning and not is_other else ""


def _case_with_folders(shared: Mapping[str, set[str]], name: str) -> str:
    return _case(shared, name).replace("/", "_")


def _kind(images: Iterable[str], shared: Collection[str]) -> str:
    folders = {_split(name)[0] for name in images}
    if folders <= {""}:
        return "flat folder"
    if folders.intersection(shared) - {""}:
        return "folders of several cases"
    is_brats = any(folder.rpartition("/")[2].lower().startswith("brats") for folder in folders)
    return f"one folder a case{' (BraTS)' if is_brats else ''}"


def _split(name: str) -> tuple[str, str]:
    """The folder of a file, and its stem."""
    folder, _, stem = plain(composed(name)).rpartition("/")
    return folder, stem
