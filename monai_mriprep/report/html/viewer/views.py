"""Which cases of an output folder can be looked at in 3-D, and why the others cannot."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from monai_mriprep.errors import MriprepError, OutputError
from monai_mriprep.formats.npz import NpzVolume, decode_npz
from monai_mriprep.report.html.viewer.volumes import ViewerVolume, viewer_volume
from monai_mriprep.store.folder import Folder
from monai_mriprep.types import IMAGE, LABEL

__all__ = ["BUDGET", "MOST_VIEWS", "Views", "read_volume", "views_of"]

MOST_VIEWS = 15
"""Cases of a page that have a 3-D view."""
BUDGET = 2_000_000
"""Characters of a page for the volumes of all its cases."""
LARGEST = 1 << 30
"""Bytes of an array that is read for a view, or a picture: no more memory is taken."""
FARTHEST = 1e6
"""Mm. No scanner is a kilometre wide, and the viewer computes in float32."""


@dataclass(frozen=True)
class Views:
    """The 3-D views of a page.

    Parameters
    ----------
    volumes
        By the name of the case.
    without
        Why a case has none, in words that follow "No 3-D view: ".
    """

    volumes: dict[str, ViewerVolume] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)


def views_of(root: Folder, outputs: Mapping[str, Mapping[str, str]], budget: int = BUDGET) -> Views:
    """Read cases, one at a time, and make them small. What one leaves of its share of the budget, the next ones have.

    Parameters
    ----------
    root
        The open output folder.
    outputs
        Of each case the paths of its files below `root`, by role. The first `MOST_VIEWS` cases have a view.
    budget
        In characters, for all.
    """
    views = Views(without=dict.fromkeys(outputs, f"only {MOST_VIEWS} cases of a page have one"))
    shown = list(islice(outputs.items(), MOST_VIEWS))
    for left, (case, files) in zip(range(len(shown), 0, -1), shown, strict=True):
        try:
            volume = _view(root, files, budget // left)
        except (MriprepError, OSError, MemoryError, ValueError) as error:
            views.without[case] = str(error) or "it does not fit into the memory"
            continue
        budget -= volume.size
        views.volumes[case] = volume
        del views.without[case]
    return views


def _view(root: Folder, files: Mapping[str, str], budget: int) -> ViewerVolume:
    if not files:
        msg = "a run with --virtual has written no volume of it"
        raise OutputError(msg)
    image = read_volume(root, files[IMAGE.name])
    label = read_volume(root, files[LABEL.name]) if LABEL.name in files else None
    if label is not None and not _fits(label, image):
        msg = f"image ({_told(image)}) and label ({_told(label)}) are not of one run"
        raise ValueError(msg)
    if not (image.array.size and np.abs(image.grid.affine).max() < FARTHEST):
        msg = f"{_told(image)} on the grid {image.grid}, which is that of no scan"
        raise ValueError(msg)
    return viewer_volume(image.array[0], image.grid, None if label is None else label.array[0], budget)


def _fits(label: NpzVolume, image: NpzVolume) -> bool:
    same_size = label.array.shape[1:] == image.array.shape[1:]
    return same_size and label.array.size > 0 and label.array.dtype in (np.int8, np.int16)


def _told(volume: NpzVolume) -> str:
    return f"{volume.array.dtype} {volume.array.shape}"


def read_volume(root: Folder, path: str) -> NpzVolume:
    """A preprocessed volume of an output folder, by its path there.

    Raises
    ------
    MriprepError, OSError
        If it cannot be read.
    ValueError
        If it is too large to be read for a page.
    """
    parent, _, name = path.partition("/")
    with closing(root.folder(parent)) as volumes:
        raw = volumes.read(name, LARGEST)
    if (size := _declared_size(raw)) > LARGEST:
        msg = f"{path} holds {size / 2**30:.1f} GiB of voxels, more than is read for a page"
        raise ValueError(msg)
    return decode_npz(raw, root.path / path)


def _declared_size(raw: bytes) -> int:
    """Bytes of the array before a voxel is inflated; 0 of what is no archive of ours, which the reader then says."""
    with suppress(Exception), zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return archive.getinfo("arr_0.npy").file_size
    return 0
