"""The layout of PI-CAI: ``images/PATIENT/PATIENT_STUDY_t2w.mha``, and labels ``PATIENT_STUDY.nii.gz`` elsewhere.

https://zenodo.org/records/6624726 holds the images, as ``picai_public_images_fold0`` to ``fold4``;
https://github.com/DIAGNijmegen/picai_labels the labels, in several folders: those in
``csPCa_lesion_delineations/human_expert/resampled`` lie on the grids of the T2-weighted images.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from monai_mriprep.dataset.channels import plain
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.dataset.side_by_side import layout_by_case
from monai_mriprep.errors import DatasetError
from monai_mriprep.types import LABEL

__all__ = ["picai"]

STUDY = re.compile(r"[0-9]+_[0-9]+")
"""Patient and study, which the name of each file begins with."""
IMAGE_NAME = re.compile(r"(?:.*/)?([0-9]+)/\1_[0-9]+_(?:t2w|adc|hbv|sag|cor)")
CHANNELS = ("t2w", "adc", "hbv")
"""The axial images; the others, sagittal and coronal, have fields of view of their own."""
ON_ONE_GRID = {"geometry": "resample"}
"""The three have different grids."""
LABEL_FOLDERS = {"picai_labels", f"{LABEL.name}s"}
USUAL_LABELS = "csPCa_lesion_delineations/human_expert/resampled"


def picai(root: Path, names: Sequence[str], with_labels: bool) -> Layout | None:
    """The layout of PI-CAI.

    Parameters
    ----------
    root
        The dataset.
    names
        Its volumes, with the folders they lie in.
    with_labels
        Look for the labels, too.

    Returns
    -------
    None if most volumes are none of its images or labels.

    Raises
    ------
    DatasetError
        If there are no labels, or several folders of them and none is the usual one.
    """
    images = [name for name in names if IMAGE_NAME.fullmatch(plain(name))]
    if not images:
        return None
    folder, labels = _chosen(root, _label_folders(names)) if with_labels else ("", [])
    layout = layout_by_case("PI-CAI", root, images, labels, _study, (root, root / folder))
    channels = [name for name in layout.suffixes if name in CHANNELS]
    if len(channels) < 2:
        return layout
    return replace(layout, proposed={"channels": tuple(channels), **ON_ONE_GRID})


def _study(name: str) -> str:
    """The case: patient and study, which begin the name of the file."""
    found = STUDY.match(name.rpartition("/")[2])
    return found[0] if found else ""


def _label_folders(names: Iterable[str]) -> dict[str, list[str]]:
    """The names of labels by the folder they lie in, of those inside a folder of labels."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folder, _, file = name.rpartition("/")
        if STUDY.fullmatch(plain(file)) and LABEL_FOLDERS.intersection(folder.split("/")):
            found[folder].append(file)
    return found


def _chosen(root: Path, folders: Mapping[str, list[str]]) -> tuple[str, list[str]]:
    """The usual folder of labels if it is there, else the only one."""
    usual = [folder for folder in folders if folder.endswith(USUAL_LABELS)]
    candidates = usual or sorted(folders)
    if len(candidates) == 1:
        return candidates[0], folders[candidates[0]]
    if not candidates:
        msg = (
            f"{root} holds images of PI-CAI, and no labels in a folder {' or '.join(sorted(LABEL_FOLDERS))}: clone "
            f"https://github.com/DIAGNijmegen/picai_labels into it; or is it a test set (`run {root} OUT --like ...`)?"
        )
        raise DatasetError(msg)
    msg = (
        f"{root} holds several folders of labels, and it is unclear which is meant: {', '.join(candidates)}. Leave one "
        f"of them (the usual one is {USUAL_LABELS})"
    )
    raise DatasetError(msg)
