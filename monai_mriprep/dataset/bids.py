"""The layout of BIDS, the Brain Imaging Data Structure, whose labels are derivatives.

``sub-01/ses-1/anat/sub-01_ses-1_run-1_T1w.nii.gz``: the name is made of entities (a key, ``-``, a value) and ends in
the sequence. Labels are in ``derivatives``, in a folder of the program that made them; their names have the entities of
the image, then some of their own, and end in ``dseg``, ``mask`` or, in practice, ``seg``.
https://bids-specification.readthedocs.io/en/stable/derivatives/imaging.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from monai_mriprep.dataset.channels import files_by_case, plain
from monai_mriprep.dataset.file_endings import channel_suffixes
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.dataset.side_by_side import layout_by_case
from monai_mriprep.types import LABEL

__all__ = ["bids"]

LABEL_SUFFIXES = ("dseg", "mask", "msk", "seg")
"""The third is that of ISLES."""
NOT_RAW = {"derivatives", "sourcedata", "code", "stimuli"}
"""Folders beside those of the subjects."""
OF_LABELS = {"space", "res", "den", "seg", LABEL.name, "desc", "atlas"}
"""Entities that images do not have."""
OF_CASES = (("sub", "ses", "run"), ("sub", "ses", "acq", "run"))
"""Entities that tell cases, the first that do; else all of them. Images of one session have others, such as `acq`, that
differ between sequences."""


def bids(root: Path, names: Sequence[str]) -> Layout | None:
    """The layout of BIDS.

    Parameters
    ----------
    root
        The dataset.
    names
        Its volumes, with the folders they lie in.

    Returns
    -------
    None if there is no anatomical image of a subject.
    """
    raw = [name for name in names if _is_raw(name)]
    images = [name for name in raw if _is_image(root, name)]
    if not any(_folder(name) == "anat" for name in images):
        return None
    labels = [name for name in names if _is_label(name)]
    case_of = partial(_case, _telling(images))
    suffixes = channel_suffixes(files_by_case(images, case_of), lambda _, files: [_parts(name)[1] for name in files])
    layout = layout_by_case("BIDS", root, images, labels, case_of, suffixes=suffixes)
    return replace(layout, seen=layout.seen + _left_out(set(raw).difference(images, labels)))


def _left_out(names: Iterable[str]) -> str:
    """What is said of volumes that are neither images nor labels, such as those of ``func``."""
    counts = sorted(Counter(map(_folder, names)).items())
    return f"; left out: {', '.join(f'{count} in {folder}' for folder, count in counts)}" if counts else ""


def _is_raw(name: str) -> bool:
    *folders, file = name.split("/")
    return file.startswith("sub-") and not NOT_RAW.intersection(folders)


def _is_image(root: Path, name: str) -> bool:
    """An anatomical image, or a map of diffusion, such as ``adc``; a diffusion series has its directions beside it."""
    if _is_label(name) or plain(name).endswith("mask"):
        return False
    is_map = _folder(name) == "dwi" and not (root / f"{plain(name)}.bvec").exists()
    return is_map or _folder(name) == "anat"


def _folder(name: str) -> str:
    """The folder that a file lies in: of BIDS, its kind."""
    return name.rpartition("/")[0].rpartition("/")[2]


def _is_label(name: str) -> bool:
    entities, suffix = _parts(name)
    return "sub" in entities and (suffix in LABEL_SUFFIXES or (LABEL.name in entities and suffix != "probseg"))


def _parts(name: str) -> tuple[dict[str, str], str]:
    """The entities of a name, in its order, and its suffix."""
    *tokens, suffix = plain(name).rpartition("/")[2].split("_")
    pairs = (token.partition("-") for token in tokens)
    return {key: value for key, dash, value in pairs if dash}, suffix


def _telling(images: Iterable[str]) -> Collection[str] | None:
    """The entities by which no two images of one sequence are of one case; None for all."""
    parts = [_parts(name) for name in images]
    for keys in OF_CASES:
        told = {(suffix, *(entities.get(key) for key in keys)) for entities, suffix in parts}
        if len(told) == len(parts):
            return keys
    return None


def _case(keys: Collection[str] | None, name: str) -> str:
    """The entities of the case that an image or a label is of, as they are written."""
    entities, _ = _parts(name)
    return "_".join(
        f"{key}-{value}" for key, value in entities.items() if (key in keys if keys else key not in OF_LABELS)
    )
