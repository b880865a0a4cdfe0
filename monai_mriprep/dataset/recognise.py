"""Which layout a folder has."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from monai_mriprep.dataset.folders import IMAGE_FOLDERS, LABEL_FOLDERS
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.dataset.two_folders import TEST_FOLDERS, folder_of_images, folder_of_tests, two_folders
from monai_mriprep.errors import DatasetError

__all__ = ["recognise", "recognise_images"]

NUMBERED = re.compile(r"(Dataset|Task)[0-9]{2,3}_.+")
"""The folders of nnU-Net and the Decathlon."""


def recognise(root: str | Path) -> Layout:
    """Recognise the layout of a dataset with labels.

    A folder that holds nothing but one ``DatasetXXX_Name`` leads to that.

    Raises
    ------
    DatasetError
        If it fits none, with what was looked for and what was found.
    """
    root, descended = _descend(Path(root))
    return _told(two_folders(root), descended)


def recognise_images(root: str | Path) -> Layout:
    """Recognise the layout of images without labels.

    Either a folder of images, or a dataset, of which its ``imagesTs`` alone is taken.

    Raises
    ------
    DatasetError
        As `recognise`.
    """
    root, descended = _descend(Path(root))
    tests = folder_of_tests(root)
    if tests is None and _has_any(root, (*IMAGE_FOLDERS, *LABEL_FOLDERS)):
        msg = f"{root} holds no folder {' or '.join(TEST_FOLDERS)}; to take other images, name their own folder"
        raise DatasetError(msg)
    return _told(folder_of_images(tests or root), descended)


def _descend(root: Path) -> tuple[Path, str]:
    """The dataset itself, and a sentence where it is inside the folder that was named."""
    if not root.is_dir() or _has_any(root, (*IMAGE_FOLDERS, *LABEL_FOLDERS, *TEST_FOLDERS)):
        return root, ""
    inside = sorted(path.name for path in root.iterdir() if NUMBERED.fullmatch(path.name) and path.is_dir())
    if len(inside) > 1:
        msg = f"{root} holds {len(inside)} datasets: {', '.join(inside)}; name one, such as {root / inside[0]}"
        raise DatasetError(msg)
    return (root / inside[0], f"; in {root / inside[0]}") if inside else (root, "")


def _has_any(root: Path, names: tuple[str, ...]) -> bool:
    return any((root / name).is_dir() for name in names)


def _told(layout: Layout, where: str) -> Layout:
    return replace(layout, seen=layout.seen + where)
