"""Two cases in each layout that is recognised, of small volumes or of empty files. Nothing here imports the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

Write = Callable[[Path, str], None]
"""Writes a file of a kind: ``"image"``, ``"coarse"`` (an image on a grid of its own), ``"channels"`` (an image of four
channels in one file), or ``"label"``."""

SHAPE, SPACING = (4, 8, 10), (3.0, 1.0, 1.0)
VALUES = {"background": 0, "edema": 1, "tumour": 2}


def volumes(path: Path, kind: str) -> None:
    """Small volumes: noise in a frame of zeros, or the numbers 0, 1 and 2; each file has its own."""
    rng = np.random.default_rng(list(path.name.encode()))
    shape = (4, *SHAPE) if kind == "channels" else (4, 4, 5) if kind == "coarse" else SHAPE
    voxels = rng.integers(0, 3, shape) if kind == "label" else rng.integers(1, 900, shape)
    if kind != "label":
        voxels[..., :2, :] = 0
    image = SimpleITK.GetImageFromArray(voxels.astype(np.int16), isVector=False)
    z, y, x = (3.0, 2.0, 2.0) if kind == "coarse" else SPACING
    image.SetSpacing((x, y, z, 1.0)[: image.GetDimension()])
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path))


def names_alone(path: Path, kind: str) -> None:
    """Empty files."""
    del kind
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _ours(root: Path, write: Write) -> None:
    for case in ("10000_0001", "10000_0002"):
        write(root / "ImagesTr" / f"{case}_0000.mha", "image")
        write(root / "LabelsTr" / f"{case}.mha", "label")
    write(root / "ImagesTs" / "10001_0001_0000.mha", "image")


def _nnunet(root: Path, write: Write) -> None:
    dataset = root / "Dataset005_Prostate"
    _declare(dataset, channel_names={"0": "T2", "1": "ADC"}, labels=VALUES, numTraining=2, file_ending=".nii.gz")
    for number in ("0000", "0001"):
        for case in ("10000_0001", "10000_0002"):
            write(dataset / "imagesTr" / f"{case}_{number}.nii.gz", "image")
            write(dataset / "labelsTr" / f"{case}.nii.gz", "label")
        write(dataset / "imagesTs" / f"10001_0001_{number}.nii.gz", "image")


def _numbered(root: Path, write: Write) -> None:
    for case in ("10000_0001", "10000_0002"):
        write(root / "imagesTr" / f"{case}_0000.nii.gz", "image")
        write(root / "imagesTr" / f"{case}_0001.nii.gz", "image")
        write(root / "labelsTr" / f"{case}.nii.gz", "label")


def _decathlon(root: Path, write: Write) -> None:
    dataset = root / "Task01_BrainTumour"
    listed = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in ("B_1", "B_2")]
    modality = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
    labels = {str(value): name for name, value in VALUES.items()}
    _declare(dataset, modality=modality, labels=labels, numTraining=2, training=listed, test=["./imagesTs/B_3.nii.gz"])
    for case in ("BRATS_001", "BRATS_002"):
        write(dataset / "imagesTr" / f"{case}.nii.gz", "channels")
        write(dataset / "labelsTr" / f"{case}.nii.gz", "label")
        names_alone(dataset / "imagesTr" / f"._{case}.nii.gz", "image")
    write(dataset / "imagesTs" / "BRATS_485.nii.gz", "channels")


def _brats_2021(root: Path, write: Write) -> None:
    _folders(root / "BraTS2021_Training_Data", write, ("BraTS2021_00000", "BraTS2021_00002"), "_", "t1 t1ce t2 flair")


def _brats_2023(root: Path, write: Write) -> None:
    _folders(root, write, ("BraTS-GLI-00000-000", "BraTS-GLI-00002-000"), "-", "t1n t1c t2w t2f")


def _folders(root: Path, write: Write, cases: tuple[str, ...], dash: str, channels: str) -> None:
    for case in cases:
        for channel in channels.split():
            write(root / case / f"{case}{dash}{channel}.nii.gz", "image")
        write(root / case / f"{case}{dash}seg.nii.gz", "label")


def _folder_a_case(root: Path, write: Write) -> None:
    for case in ("case_2", "case_10"):
        write(root / case / "image.nii.gz", "image")
        write(root / case / "mask.nii.gz", "label")


def _picai(root: Path, write: Write) -> None:
    labels = root / "picai_labels"
    for fold, (patient, study) in enumerate([("10000", "1000000"), ("10001", "1000001")]):
        for sequence, kind in (("t2w", "image"), ("adc", "coarse"), ("hbv", "coarse"), ("sag", "coarse")):
            folder = root / f"picai_public_images_fold{fold}" / patient
            write(folder / f"{patient}_{study}_{sequence}.mha", kind)
        for folder in (
            "csPCa_lesion_delineations/human_expert/resampled",
            "anatomical_delineations/whole_gland/AI/Bosma22b",
        ):
            write(labels / folder / f"{patient}_{study}.nii.gz", "label")


def _bids(root: Path, write: Write) -> None:
    for subject in ("sub-01", "sub-02"):
        anat = f"{subject}/ses-1/anat/{subject}_ses-1"
        write(root / f"{anat}_acq-mprage_T1w.nii.gz", "image")
        write(root / f"{anat}_FLAIR.nii.gz", "image")
        write(root / "derivatives" / "manual" / f"{anat}_space-orig_label-lesion_mask.nii.gz", "label")
        write(root / f"{subject}/ses-1/func/{subject}_ses-1_task-rest_bold.nii.gz", "channels")


def _flat(root: Path, write: Write) -> None:
    for case in ("case_2", "case_10"):
        write(root / f"{case}.nii.gz", "image")
        write(root / f"{case}_mask.nii.gz", "label")


def _flat_channels(root: Path, write: Write) -> None:
    for case in ("case_2", "case_10"):
        for channel in ("flair", "t1"):
            write(root / f"{case}_{channel}.nii.gz", "image")
        write(root / f"{case}_seg.nii.gz", "label")


def _named(root: Path, write: Write) -> None:
    for case in ("case_2", "case_10"):
        write(root / "images" / f"{case}.nii.gz", "image")
        write(root / "masks" / f"{case}.nii.gz", "label")


def _declare(dataset: Path, **facts: Any) -> None:
    dataset.mkdir(parents=True)
    (dataset / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")


LAYOUTS: dict[str, Callable[[Path, Write], None]] = {
    "ours": _ours,
    "nnU-Net": _nnunet,
    "numbered": _numbered,
    "Decathlon": _decathlon,
    "BraTS 2021": _brats_2021,
    "BraTS 2023": _brats_2023,
    "folder a case": _folder_a_case,
    "PI-CAI": _picai,
    "BIDS": _bids,
    "flat": _flat,
    "flat with channels": _flat_channels,
    "named folders": _named,
}
"""Writers of a dataset into a folder."""


def write_layout(name: str, root: Path, write: Write = volumes) -> Path:
    """Write the dataset of this layout."""
    LAYOUTS[name](root, write)
    return root
