"""Datasets of a folder of images and a folder of labels: ours, nnU-Net's, and the Medical Segmentation Decathlon's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence, Sized
from pathlib import Path

from monai_mriprep.dataset.channels import NUMBER, plain
from monai_mriprep.dataset.declared import DATASET_JSON, Declared, ListedCase, read_declared
from monai_mriprep.dataset.file_endings import without_labels
from monai_mriprep.dataset.folders import IMAGE_FOLDERS, DatasetFolders, find_folders, volume_names
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.errors import DatasetError, counted
from monai_mriprep.formats.names import SUFFIXES, natural_key, suffix_of
from monai_mriprep.types import IMAGE, LABEL

__all__ = [
    "NAMED_IMAGES",
    "NAMED_LABELS",
    "TEST_FOLDERS",
    "folder_of_images",
    "folder_of_tests",
    "named",
    "named_folders",
    "two_folders",
]

TEST_FOLDERS = ("ImagesTs", "imagesTs")
NAMED_IMAGES = (IMAGE.name, f"{IMAGE.name}s")
NAMED_LABELS = (LABEL.name, f"{LABEL.name}s", "mask", "masks", "segmentation", "segmentations")
"""What people call the two folders, in large or small letters, where no program wants other names."""


def two_folders(root: Path) -> Layout:
    """The layout of a dataset with ``ImagesTr`` and ``LabelsTr``, or one whose ``dataset.json`` lists its files.

    Raises
    ------
    DatasetError
        If one of the two is missing or cannot be listed, or their files cannot be read by us.
    """
    declared = read_declared(root)
    if declared.cases:
        return _listed(root, declared, declared.cases)
    folders = find_folders(root)
    return _in_two(root, folders, declared)


def named_folders(root: Path, names: Sequence[str]) -> Layout | None:
    """The layout of ``images`` beside ``labels`` (or ``masks``), whose files are paired as those of ours.

    Parameters
    ----------
    root
        The dataset.
    names
        Its volumes, with the folders they lie in.

    Returns
    -------
    None if not both hold volumes, or several folders of images, or of labels, do.
    """
    folders = {name.rpartition("/")[0] for name in names}
    images, labels = (sorted(named(folders, those)) for those in (NAMED_IMAGES, NAMED_LABELS))
    if len(images) != 1 or len(labels) != 1:
        return None
    return _in_two(root, DatasetFolders(root / images[0], root / labels[0]), read_declared(root))


def named(folders: Iterable[str], names: Sequence[str]) -> set[str]:
    """The folders that have one of these names, in large or small letters."""
    return {folder for folder in folders if folder.lower() in names}


def _in_two(root: Path, folders: DatasetFolders, declared: Declared) -> Layout:
    (images, notes), (labels, notes_on_labels) = (_names(one, declared) for one in (folders.images, folders.labels))
    kind = _kind(declared, images) or f"{folders.images.name} and {folders.labels.name}"
    tests = folder_of_tests(root)
    found = f"{_files(images)} in {folders.images.name}, {counted(len(labels), LABEL.name)} in {folders.labels.name}"
    return Layout(
        kind,
        root,
        folders.images,
        folders.labels,
        images,
        labels,
        channels=_channels(declared),
        only_channel=declared.channels[0] if len(declared.channels) == 1 else None,
        label_values=declared.label_values,
        test_images=tests,
        seen=f"{kind}: {found}{f', test images in {tests.name}' if tests else ''}{_told(declared)}",
        notes=(*_problem(declared), *notes, *notes_on_labels),
    )


def folder_of_images(folder: Path) -> Layout:
    """The layout of a folder of images alone; what the ``dataset.json`` of its dataset declares counts.

    Labels that lie beside their images (``case.mha``, ``case_seg.mha``) are left out.

    Raises
    ------
    DatasetError
        If it cannot be listed, or its files cannot be read by us.
    """
    is_part = folder.name in (*IMAGE_FOLDERS, *TEST_FOLDERS)
    declared = read_declared(folder.parent if is_part else folder)
    names, notes = _names(folder, declared)
    images = without_labels(names)
    kind = _kind(declared, images) or "folder of images"
    return Layout(
        kind,
        folder,
        folder,
        None,
        images,
        channels=_channels(declared),
        seen=f"{kind}: {_files(images)} in {folder}{_told(declared)}",
        notes=(*_problem(declared), *notes),
    )


def folder_of_tests(root: Path) -> Path | None:
    """The folder of test images of a dataset, if it has one."""
    return next((root / name for name in TEST_FOLDERS if (root / name).is_dir()), None)


def _names(folder: Path, declared: Declared) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Its volumes, and what is said of those that are left out.

    Of several channels those alone are taken whose names end as the dataset declares, as nnU-Net takes them.
    """
    names, ending = volume_names(folder), declared.file_ending
    if ending is None or not _channels(declared):
        return names, ()
    if suffix_of(ending) is None:
        msg = (
            f"{folder.parent / DATASET_JSON} says that the files end in {ending!r}, which is not read; convert them "
            f"(to one of {', '.join(SUFFIXES)})"
        )
        raise DatasetError(msg)
    taken = tuple(name for name in names if name.endswith(ending))
    if len(taken) == len(names):
        return taken, ()
    others = f"{counted(len(names) - len(taken), 'file')} in {folder.name}"
    return taken, (f"{others} left out: {DATASET_JSON} says that names end in {ending}",)


def _problem(declared: Declared) -> tuple[str, ...]:
    return (declared.problem,) if declared.problem else ()


def _channels(declared: Declared) -> tuple[str, ...]:
    return declared.channels if len(declared.channels) > 1 else ()


def _kind(declared: Declared, images: tuple[str, ...]) -> str:
    """The layout by what it declares: the Decathlon's files are not numbered by channel, those of nnU-Net are."""
    if declared.version == 1 and not any(NUMBER.fullmatch(plain(name)) for name in images):
        return "Medical Segmentation Decathlon"
    return ("", "nnU-Net raw (version 1)", "nnU-Net raw")[declared.version]


def _told(declared: Declared) -> str:
    """What else is said of a dataset."""
    channels = f"; channels {', '.join(declared.channels)}" if declared.channels else ""
    values = declared.label_values
    n = 0 if values is None else len(values.names)
    classes = "" if values is None else f"; {n} {'class' if n == 1 else 'classes'}"
    ignored = f" and {values.ignore} for what is ignored" if values is not None and values.ignore is not None else ""
    return channels + classes + ignored


def _files(images: Sized) -> str:
    return counted(len(images), f"{IMAGE.name} file")


def _listed(root: Path, declared: Declared, cases: Mapping[str, ListedCase]) -> Layout:
    """The layout of a dataset that lists its files, wherever they are; names are relative to what they share."""
    path = root / DATASET_JSON
    for case, found in cases.items():
        if len(found.images) != len(declared.channels):
            msg = f"{path}: the case {case!r} has {len(found.images)} images for {len(declared.channels)} channels"
            raise DatasetError(msg)
    files = {case: [_absolute(root, name) for name in (*found.images, found.label)] for case, found in cases.items()}
    base = os.path.commonpath([Path(file).parent for found in files.values() for file in found])
    names = {case: [os.path.relpath(file, base) for file in files[case]] for case in sorted(files, key=natural_key)}
    images = {case: tuple(found[:-1]) for case, found in names.items()}
    case_of = {found[-1]: case for case, found in names.items()}
    return Layout(
        "nnU-Net raw",
        root,
        Path(base),
        Path(base),
        tuple(name for found in images.values() for name in found),
        tuple(case_of),
        case_of=case_of.__getitem__,
        given=images,
        channels=_channels(declared),
        label_values=declared.label_values,
        test_images=folder_of_tests(root),
        seen=f"nnU-Net raw: {len(cases)} cases, whose files its {DATASET_JSON} lists{_told(declared)}",
    )


def _absolute(root: Path, name: str) -> str:
    """As nnU-Net reads such names: with variables of the environment, or relative to the dataset."""
    return os.path.normpath(root.absolute() / os.path.expandvars(name))
