"""Reading files into tensors that carry their geometry, and writing them."""

from __future__ import annotations

import warnings
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform, Transform
from monai.utils.enums import TransformBackends
from monai.utils.misc import ensure_tuple

from monai_mriprep.dataset.checks import doubtful_spacing
from monai_mriprep.dataset.pairing import Pairing, pair_by_stem
from monai_mriprep.dataset.pattern import compile_pattern
from monai_mriprep.errors import HeaderError, MriprepError, MriprepWarning, ResamplingError, UnpairedError
from monai_mriprep.formats.names import stem
from monai_mriprep.formats.npz import NpzVolume
from monai_mriprep.formats.read import read_channel_headers
from monai_mriprep.formats.signed import signed
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.store.layout import OUTPUT_SUFFIX, ROLE_FOLDERS
from monai_mriprep.store.staging import save_volumes
from monai_mriprep.transforms.axes import check_array_axes, file_axes
from monai_mriprep.transforms.channels import read_channels
from monai_mriprep.transforms.match_geometry import check_policy
from monai_mriprep.transforms.tensors import file_of, from_file, grid_of
from monai_mriprep.types import IMAGE, LABEL, SAME_SPACING_TOLERANCE
from monai_mriprep.volume.labels import narrowed

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from monai_mriprep.formats.header import Header
    from monai_mriprep.types import ArrayAxes, GeometryPolicy

__all__ = ["LoadVolume", "LoadVolumed", "SaveNpzd", "StemPaird", "npz_volume"]


@lru_cache(maxsize=16)
def _pairing(images_dir: Path, labels_dir: Path, pattern: str | None, changed: tuple[int, int]) -> Pairing:
    """Pair two folders. The result is cached until `changed`, their modification times, differs."""
    return pair_by_stem(images_dir, labels_dir, pattern)


def _modified(folder: Path) -> int:
    """Time of the folder's last change; 0 if it cannot be read, which the pairing reports."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


class StemPaird(MapTransform):
    """Put the path of an image's label into the dictionary.

    All images of the image's folder are paired by `pair_by_stem`, so that the label is the one that a run would take.

    Parameters
    ----------
    labels_dir
        Folder of the labels.
    image_key
        Key of the image's path.
    label_key
        Key under which the label's path is put.
    pattern
        A regular expression with a group ``case``, in place of the passes.
    allow_missing_keys
        Skip a dictionary without the image instead of raising.

    Raises
    ------
    UnpairedError
        If the image has no label. Filter with `pair_by_stem` first where that can happen.
    PairingError
        If two files claim one partner; from the constructor, if the pattern is not valid.
    DatasetError
        If a folder cannot be listed, or two of its files have one stem.
    """

    backend = (TransformBackends.TORCH, TransformBackends.NUMPY)

    def __init__(
        self,
        labels_dir: str | Path,
        image_key: str = IMAGE.name,
        label_key: str = LABEL.name,
        pattern: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(image_key, allow_missing_keys)
        self.labels_dir = str(labels_dir)
        self.image_key = image_key
        self.label_key = label_key
        self.pattern = pattern
        if pattern is not None:
            compile_pattern(pattern)  # raise here, not in a worker

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the label's path."""
        result = dict(data)
        for key in self.key_iterator(data):
            result[self.label_key] = self._label_of(Path(data[key]))
        return result

    def _label_of(self, image: Path) -> str:
        labels_dir = Path(self.labels_dir)
        changed = (_modified(image.parent), _modified(labels_dir))
        pairing = _pairing(image.parent, labels_dir, self.pattern, changed)
        for pair in pairing.pairs:
            if pair.image.name == image.name:
                return str(pair.label)
        reasons = [orphan.reason for orphan in pairing.unpaired_images if orphan.path.name == image.name]
        raise UnpairedError("; ".join(reasons) or f"{image}: not an image of {image.parent}")


class LoadVolume(Transform):
    """Read one volume: see `LoadVolumed`.

    Parameters
    ----------
    is_label
        Whether its voxels are class numbers; it is one file of one channel.
    channels, geometry
        As in `LoadVolumed`.
    """

    backend = (TransformBackends.TORCH,)

    def __init__(self, is_label: bool = False, channels: int = 1, geometry: GeometryPolicy = "strict") -> None:
        if channels < 1:
            msg = f"channels must be 1 or more, not {channels}"
            raise ResamplingError(msg)
        self.is_label = is_label
        self.channels = 1 if is_label else channels
        self.geometry = check_policy(geometry)

    def __call__(self, path: str | Path | Sequence[str | Path]) -> MetaTensor:
        """Return the volume, ``(C, D, H, W)``."""
        paths = [path] if isinstance(path, str | PathLike) else list(path)
        headers = read_channel_headers(paths, self.channels)
        first = headers[0]
        if (doubt := doubtful_spacing(first.path, first.grid.spacing)) is not None:
            warnings.warn(doubt, MriprepWarning, 3)
        array = self._label(headers) if self.is_label else read_channels(headers, self.geometry)
        direction = torch.tensor(first.frame.direction, dtype=torch.float64)
        spacing = torch.tensor(first.grid.stated_spacing, dtype=torch.float64)
        return from_file(paths[0], array, first.grid.affine, file_direction=direction, file_spacing=spacing)

    def _label(self, headers: Sequence[Header]) -> NDArray[Any]:
        first, *others = headers
        if others:
            raise HeaderError(first.path, f"a label is one file, not {len(headers)}; merge its classes into one")
        return signed(first, narrowed(read_voxels(first)))[None]


class LoadVolumed(MapTransform):
    """Read volumes: a path becomes a ``(1, D, H, W)`` MetaTensor on its own grid, in its own number type.

    A list of paths becomes ``(C, D, H, W)``: a channel each, on the grid of the first, in one number type that holds
    them all exactly. ``meta["filename_or_obj"]`` is the first. A path can become the same, if its file has a fourth
    dimension and `channels` says so.

    Unsigned integers wider than 8 bits become the next wider signed type, because torch supports few operations on
    them. The affine maps an index in array axis order (z, y, x) to RAS+ mm. ``meta["array_axes"]`` is ``"zyx"``. The
    columns of ``meta["file_direction"]`` are the unit vectors of these axes, with every digit that the file states, and
    ``meta["file_spacing"]`` is its spacing (z y x, mm). The
    result is a MetaTensor even after ``set_track_meta(False)``, because later steps need the geometry.

    Parameters
    ----------
    keys
        Which entries to read: MetaImage, NIfTI, NRRD, FreeSurfer and Analyze files, folders of one DICOM series.
    allow_missing_keys
        Skip entries that are not there instead of raising.
    labels
        Those of the keys that hold class numbers. Where int16 holds each of them exactly, it does: a label of 64-bit
        integers then takes a quarter of the memory. A label is one file of one channel.
    channels
        Of each image: how many its only file holds, along a fourth dimension. A list must have as many files, if it is
        not 1.
    geometry
        What becomes of a channel that is not on the grid of the first. ``resample`` puts it there, as its header says
        where it lies, by a cubic spline, as float32; zeros go by nearest neighbour, and it is 0 where its file does not
        reach. Otherwise it is an error.

    Raises
    ------
    HeaderError, VoxelError
        If a file is not a readable volume of one finite number a voxel, or has another number of channels.
    GeometryError
        If a channel is not on the grid of the first.
    ResamplingError
        From the constructor, if `channels` or `geometry` is not known.
    """

    backend = LoadVolume.backend

    def __init__(
        self,
        keys: KeysCollection,
        allow_missing_keys: bool = False,
        labels: KeysCollection = (),
        channels: int = 1,
        geometry: GeometryPolicy = "strict",
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.labels = ensure_tuple(labels)
        self.image, self.label = LoadVolume(False, channels, geometry), LoadVolume(is_label=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the volumes."""
        keys = self.key_iterator(data)
        return {**data, **{key: (self.label if key in self.labels else self.image)(data[key]) for key in keys}}


class SaveNpzd(MapTransform):
    """Write volumes as ``imagesTr/{stem}.npz`` and ``labelsTr/{stem}.npz`` under the output folder.

    Files are written as by a run: under temporary names in ``output_dir/.partial``. When all are complete and synced,
    they are moved into place, the first key last. Equal volumes give equal bytes. The stem is that of the file named in
    the metadata (``filename_or_obj``).

    Parameters
    ----------
    keys
        ``image`` goes to ``imagesTr``, ``label`` to ``labelsTr``, any other key to a folder of its own name.
    output_dir
        The output folder; made if it is missing.
    array_axes
        The order of the axes of arrays whose metadata do not state it.
    allow_missing_keys
        Skip volumes that are not there instead of raising.

    Raises
    ------
    MriprepError
        If the metadata of a volume have no file name, or its array is not in z y x order.
    """

    backend = (TransformBackends.TORCH,)

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | Path,
        array_axes: ArrayAxes | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir = str(output_dir)
        self.array_axes = check_array_axes(array_axes)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write, and return `data` as it came."""
        volumes = {}
        for key in self.key_iterator(dict(data)):
            place = self._place(str(key), data[key])
            self._check_axes(data[key], file_of(data[key], str(key)))
            volumes[place] = npz_volume(data[key])
        save_volumes(Path(self.output_dir), volumes, torch.get_num_threads())
        return dict(data)

    def _check_axes(self, volume: MetaTensor, name: str) -> None:
        order = file_axes(volume, name, self.array_axes).turn(grid_of(volume)).order
        if order != (0, 1, 2):
            msg = (
                f"{name}: the file's z, y, x are axes {order} of the array, and .npz files promise z y x: load it with "
                "LoadVolumed, and do not permute it (Orientationd) before it is saved"
            )
            raise MriprepError(msg)

    def _place(self, key: str, volume: MetaTensor) -> tuple[str, str]:
        """The folder, and the name in it."""
        source = file_of(volume, "")
        if not source:
            msg = f"{key!r} has no file name in its metadata; load it with LoadVolumed, or set meta['filename_or_obj']"
            raise MriprepError(msg)
        return ROLE_FOLDERS.get(key, key), f"{stem(source).removesuffix(OUTPUT_SUFFIX)}{OUTPUT_SUFFIX}"


def npz_volume(volume: MetaTensor) -> NpzVolume:
    """The volume that is written for a tensor.

    Its spacing is the target spacing if the tensor is still on the grid that it was resampled to, else its own.
    """
    grid = grid_of(volume)
    target = volume.meta.get("target_spacing", grid.spacing)
    then = volume.meta.get("grid_spacing", target)
    is_true = np.allclose(then, grid.spacing, rtol=SAME_SPACING_TOLERANCE.share, atol=0)  # not resampled since
    spacing = np.asarray(target if is_true else grid.spacing, dtype=np.float64)
    return NpzVolume(volume.detach().cpu().numpy(), spacing, grid.affine)
