"""Datasets whose images and labels lie side by side: in a folder for each case (as BraTS), or several cases in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence, Sized
from functools import partial
from pathlib import Path

from monai_mriprep.dataset.channels import CaseOf, composed, plain
from monai_mriprep.dataset.file_endings import before_label, begins_with, channel_suffixes, sorted_by_role
from monai_mriprep.dataset.layout import Layout, files_by_case
from monai_mriprep.types import IMAGE, LABEL

__all__ = ["layout_by_case", "side_by_side"]


def side_by_side(root: Path, names: Sequence[str]) -> Layout:
    """The layout of images and labels in the same folders.

    A folder with one label is a case. Where one holds several, or they lie in the dataset itself, the names of the
    images of a case begin as that of its label does.

    Parameters
    ----------
    root
        The dataset.
    names
        Its volumes, with the folders they lie in.
    """
    images, labels = sorted_by_role(names)
    in_folder = Counter(map(_folder, labels))
    if "" in in_folder or max(in_folder.values(), default=1) > 1:
        before = {name: _before(name) for name in labels}
        return layout_by_case(
            _kind(images, several=True), root, images, labels, partial(_case, before, set(before.values()))
        )
    return layout_by_case(_kind(images, several=False), root, images, labels, _folder)


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
    found = f"{_count(images, f'{IMAGE.name} file')} of {_count(cases, 'case')}{channels}"
    return Layout(
        kind,
        root,
        *(folders or (root, root)),
        tuple(images),
        tuple(labels),
        case_of,
        suffixes=suffixes,
        seen=f"{kind}: {found}, {_count(labels, LABEL.name)}",
        options=("--channels", ",".join(suffixes)) if suffixes else (),
    )


def _kind(images: Sequence[str], several: bool) -> str:
    folders = {_folder(name).rpartition("/")[2] for name in images}
    if folders <= {""}:
        return "flat folder"
    if several:
        return "folders of several cases"
    return f"one folder a case{' (BraTS)' if any(folder.lower().startswith('brats') for folder in folders) else ''}"


def _before(name: str) -> str:
    """What the images of a label begin with: its own name without its ending, or its folder if there is no more."""
    folder, slash, stem = plain(composed(name)).rpartition("/")
    before = before_label(stem)
    return f"{folder}{slash}{before}" if before else folder


def _case(labels: Mapping[str, str], cases: Container[str], name: str) -> str:
    """The case of a label, or of an image that begins like one; nothing if there is none."""
    folder = _folder(composed(name))
    beginning = labels.get(name) or begins_with(cases, plain(composed(name)))
    return beginning or (folder if folder in cases else "")


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _count(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
