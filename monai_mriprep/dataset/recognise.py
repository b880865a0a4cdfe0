"""Which layout a folder has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from monai_mriprep.dataset.bids import bids
from monai_mriprep.dataset.declared import read_declared
from monai_mriprep.dataset.file_endings import LABEL_WORDS
from monai_mriprep.dataset.folders import IMAGE_FOLDERS, LABEL_FOLDERS, VolumeTree, volume_tree
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.dataset.picai import picai
from monai_mriprep.dataset.side_by_side import side_by_side
from monai_mriprep.dataset.two_folders import (
    NAMED_IMAGES,
    NAMED_LABELS,
    TEST_FOLDERS,
    folder_of_images,
    folder_of_tests,
    named,
    named_folders,
    two_folders,
)
from monai_mriprep.errors import DatasetError
from monai_mriprep.formats.names import SUFFIXES

__all__ = ["recognise", "recognise_images"]

OURS = (*IMAGE_FOLDERS, *LABEL_FOLDERS)
NUMBERED = re.compile(r"(Dataset|Task)[0-9]{2,3}_.+")
"""The folders of nnU-Net and the Decathlon."""
SHOWN = 5
"""The largest number of names in a message."""


def recognise(root: str | Path) -> Layout:
    """Recognise the layout of a dataset with labels.

    A folder that holds one ``DatasetXXX_Name`` leads to that.

    Raises
    ------
    DatasetError
        If it fits none, with what was looked for and what was found; if it has no labels.
    """
    root, where = _descend(Path(root))
    if not root.is_dir() or _has_any(root, OURS) or read_declared(root).cases:
        return _told(two_folders(root), where)
    tree = volume_tree(root)
    layout = named_folders(root, tree.names) or _by_case(root, tree, with_labels=True)
    if not layout.label_names:
        raise DatasetError(_no_labels(root, layout))
    return _told(layout, where)


def recognise_images(root: str | Path) -> Layout:
    """Recognise the layout of images without labels.

    Either images in one folder, or in one for each case, or a dataset, of which its ``imagesTs`` alone is taken. Labels
    that lie beside images are left out.

    Raises
    ------
    DatasetError
        As `recognise`; if a dataset has no test images.
    """
    root, where = _descend(Path(root))
    tests = folder_of_tests(root)
    if tests is None and _has_any(root, OURS):
        msg = f"{root} holds no folder {' or '.join(TEST_FOLDERS)}; to take other images, name their own folder"
        raise DatasetError(msg)
    layout = _images_alone(root) if tests is None else folder_of_images(tests)
    return _told(layout, where)


def _images_alone(root: Path) -> Layout:
    """The layout of images that lie in one folder (DICOM series may be among them), or by case."""
    tree = volume_tree(root)
    folders = [name.rpartition("/")[0] for name in tree.names]
    if 2 * folders.count("") > len(folders) or (tree.dicom is not None and tree.dicom.parent == root):
        return folder_of_images(root)
    others = set(folders) - named(folders, NAMED_LABELS)
    if len(others) == 1 and named(others, NAMED_IMAGES):
        return folder_of_images(root / others.pop())
    layout = _by_case(root, tree, with_labels=False)
    left_out = ", which are left out" if layout.label_names else ""
    return replace(layout, labels=None, label_names=(), seen=layout.seen + left_out)


def _by_case(root: Path, tree: VolumeTree, with_labels: bool) -> Layout:
    """The layout of a dataset whose folders or names tell the cases."""
    if not tree.names:
        raise DatasetError(_no_volumes(root, tree, with_labels))
    return bids(root, tree.names) or picai(root, tree.names, with_labels) or side_by_side(root, tree.names)


def _no_labels(root: Path, layout: Layout) -> str:
    """Say that there are no labels, or not where they are looked for."""
    msg = f"{root} has no labels, which end in {', '.join(f'_{word}' for word in LABEL_WORDS)} ({layout.seen})"
    datasets = [path.name for path in sorted(root.iterdir()) if _is_dataset(path)]
    if datasets:
        return f"{msg}; images and labels are in {', '.join(datasets[:SHOWN])}: name such a folder itself"
    return (
        f"{msg}. If there are labels, let their names end so, or link images into a folder {IMAGE_FOLDERS[0]} and "
        f"labels into {LABEL_FOLDERS[0]}, under one name. If it is a test set, give its training set: "
        f"monai-mriprep run {shlex.quote(str(root))} OUT --like TRAINING_OUT"
    )


def _is_dataset(path: Path) -> bool:
    """Whether a folder holds a folder of images and one of labels."""
    inside = [folder.name for folder in path.iterdir()] if path.is_dir() else []
    return bool(named(inside, (*NAMED_IMAGES, "imagestr")) and named(inside, (*NAMED_LABELS, "labelstr")))


def _no_volumes(root: Path, tree: VolumeTree, with_labels: bool) -> str:
    if tree.dicom is not None:
        converted = shlex.quote(f"{root}_nifti")
        return (
            f"{root} holds DICOM files (in {tree.dicom}): convert them to volumes, one for each series, with "
            f"mkdir -p {converted} && dcm2niix -z y -o {converted} {shlex.quote(str(root))}"
        )
    found = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    if not with_labels:
        return f"{root} holds no volume ({', '.join(SUFFIXES)}); found {', '.join(found[:SHOWN]) or 'nothing'}{more}"
    return (
        f"{root} fits no layout: looked for {IMAGE_FOLDERS[0]} and {LABEL_FOLDERS[0]} (or nnU-Net's {IMAGE_FOLDERS[1]} "
        f"and {LABEL_FOLDERS[1]}), a folder for each case (as BraTS and PI-CAI), BIDS, and volumes "
        f"({', '.join(SUFFIXES)}) beside their labels; found {', '.join(found[:SHOWN]) or 'nothing'}{more}"
    )


def _descend(root: Path) -> tuple[Path, str]:
    """The dataset itself, and a sentence where it is inside the folder that was named."""
    if not root.is_dir() or _has_any(root, (*OURS, *TEST_FOLDERS)):
        return root, ""
    inside = sorted(path.name for path in root.iterdir() if NUMBERED.fullmatch(path.name) and path.is_dir())
    if len(inside) > 1:
        msg = f"{root} holds {len(inside)} datasets: {', '.join(inside)}; name one, such as {root / inside[0]}"
        raise DatasetError(msg)
    return (root / inside[0], f"; in {root / inside[0]}") if inside else (root, "")


def _has_any(root: Path, names: Sequence[str]) -> bool:
    return any((root / name).is_dir() for name in names)


def _told(layout: Layout, where: str) -> Layout:
    return replace(layout, seen=layout.seen + where)
