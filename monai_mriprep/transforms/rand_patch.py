"""Random patches of preprocessed files, without reading the volumes that they lie in."""

from __future__ import annotations

import warnings
from copy import deepcopy
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from monai.config import KeysCollection
from monai.transforms.traits import MultiSampleTrait
from monai.transforms.transform import Randomizable
from monai.utils.enums import TransformBackends
from monai.utils.misc import ImageMetaKey, ensure_tuple_rep, fall_back_tuple

from monai_mriprep.errors import GeometryError, MriprepWarning, NpzError, RecordError, ResamplingError
from monai_mriprep.formats.names import stem
from monai_mriprep.formats.npz import read_npz, read_npz_head, read_npz_part
from monai_mriprep.transforms.load_npz import tensor_of_file
from monai_mriprep.transforms.way_back import WayBackd
from monai_mriprep.types import LABEL
from monai_mriprep.volume.class_index import ClassIndex, sample_classes
from monai_mriprep.volume.geometry import Grid, same_grid_problem
from monai_mriprep.volume.labels import label_histogram, plan_cast
from monai_mriprep.volume.patch_places import any_centre, check_ratios, draw_centres, missing_classes, patch_start

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from monai_mriprep.formats.npz import NpzHead
    from monai_mriprep.types import Shape

__all__ = ["RandPatchd"]


class RandPatchd(Randomizable, WayBackd, MultiSampleTrait):
    """Read random patches of preprocessed volumes: paths become ``(C, *size)`` MetaTensors, in a list of dictionaries.

    A class is drawn by its ratio, then one of its voxels, and the patches of all keys lie around it, as
    `RandCropByLabelClassesd` would crop them. Neither the label nor the image is read for that: of each class the
    label's comment tells a uniform sample, and of the volumes only the blocks are read that the patch lies in. Of a
    file before 0.9.0, all is read.

    The affine starts at the patch. ``meta["patch_start"]`` is its first voxel in the volume, z y x. Other metadata are
    those of `LoadNpzd`, and the inverse puts a patch back on the grid of the source, with zeros around it.

    Parameters
    ----------
    keys
        Which volumes to read: paths of ``.npz`` files of one case.
    size
        Of a patch, z y x; one number for all three. Along an axis where it is 0 or less, all voxels are taken. Along an
        axis that is shorter, there are zeros on both sides, as `SpatialPad` puts them.
    ratios
        How often each class is drawn, from class 0, the background, on. None draws those that are there equally often.
        A class that a case does not have is left to the others; where a case has none of them, patches lie anywhere.
    num_samples
        How many patches of a case.
    label_key
        The path of the label; it need not be one of `keys`, and is left as it is then.
    allow_missing_keys
        Skip entries that are not there instead of raising; the label must be there.

    Raises
    ------
    NpzError
        If a file is damaged or holds something else.
    LabelError
        If the label holds no class numbers.
    GeometryError
        If a volume does not lie on the grid of the label.
    ResamplingError
        If an entry is no path; or from the constructor, if an argument is not possible.

    Warns
    -----
    MriprepWarning
        If a class that has a ratio is not in a case, once for each class; if none of them is, once for each case.
    """

    backend = (TransformBackends.TORCH,)

    def __init__(
        self,
        keys: KeysCollection,
        size: Sequence[int] | int,
        ratios: Sequence[float] | None = None,
        num_samples: int = 1,
        label_key: str = LABEL.name,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.size = _checked_size(size)
        self.ratios = check_ratios(ratios)
        if num_samples < 1:
            msg = f"num_samples must be 1 or more, not {num_samples}"
            raise ResamplingError(msg)
        self.num_samples = num_samples
        self.label_key = label_key
        self.warned: set[int | Path] = set()

    def __call__(self, data: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """Return a copy of `data` for each patch."""
        label = _path(data, self.label_key)
        head = read_npz_head(label)
        keys = list(self.key_iterator(data))
        others = {key: value for key, value in data.items() if key not in keys}
        samples = []
        for number, start in enumerate(self._starts(label, head)):
            volumes = {key: self._patch(_path(data, key), head.grid, start, number) for key in keys}
            samples.append({key: volumes[key] if key in volumes else deepcopy(others[key]) for key in data})
        return samples

    def _starts(self, label: Path, head: NpzHead) -> list[Shape]:
        """The first voxel of each patch."""
        index = _class_index(label, head)
        size = fall_back_tuple(self.size, index.shape)
        centres = draw_centres(index, self.ratios, self.num_samples, self.R)
        if centres is None:
            self._warn_of(label, f"{label}: no voxel of a class that has a ratio; its patches lie anywhere")
            anywhere = (any_centre(size, index.shape, self.R) for _ in range(self.num_samples))
            return [patch_start(centre, size, index.shape) for centre in anywhere]
        for value in missing_classes(index, self.ratios):
            told = "its ratio is left to the other classes, here and in others"
            self._warn_of(value, f"{label}: no voxel of class {value}; {told}")
        return [patch_start(centre, size, index.shape) for centre in centres]

    def _warn_of(self, what: int | Path, message: str) -> None:
        if what not in self.warned:
            self.warned.add(what)
            warnings.warn(message, MriprepWarning, 4)

    def _patch(self, path: Path, whole: Grid, start: Shape, number: int) -> torch.Tensor:
        if problem := same_grid_problem(read_npz_head(path).grid, whole):
            msg = f"{path} and its label do not lie on one grid: the {problem} differs; give the files of one case"
            raise GeometryError(msg)
        size = fall_back_tuple(self.size, whole.shape)
        part = read_npz_part(path, _inside(start, size))
        return tensor_of_file(self, path, part.padded(start, size), **{ImageMetaKey.PATCH_INDEX: number})


def _checked_size(size: Sequence[int] | int) -> tuple[int, int, int]:
    try:
        z, y, x = map(int.__index__, ensure_tuple_rep(size, 3))
    except (TypeError, ValueError) as error:
        msg = f"size must be three whole numbers, of z, y and x, or one for all, not {size}"
        raise ResamplingError(msg) from error
    return z, y, x


def _path(data: Mapping[Hashable, Any], key: Hashable) -> Path:
    value = data.get(key)
    if not isinstance(value, str | PathLike):
        found = "missing" if value is None else type(value).__name__
        msg = f"{key}: expected the path of an .npz file, not {found}; RandPatchd reads the files itself"
        raise ResamplingError(msg)
    return Path(value)


def _class_index(label: Path, head: NpzHead) -> ClassIndex:
    """That of the comment; of a file that has none, made of the voxels."""
    if head.shape[0] != 1:
        raise NpzError(label, f"has {head.shape[0]} channels; a label has one, of class numbers (label_key names it)")
    if "classes" not in head.facts:
        voxels = torch.from_numpy(read_npz(label).array[0])
        plan_cast(voxels, str(label))  # refuses intensities
        return sample_classes(voxels.numpy(), label_histogram(voxels), stem(str(label)))
    try:
        return ClassIndex.from_json(head.facts["classes"], head.grid.shape)
    except RecordError as error:
        raise NpzError(label, f"{error}; preprocess the case again") from error


def _inside(start: Shape, size: Shape) -> tuple[slice, slice, slice]:
    """What of a patch lies in the volume."""
    z, y, x = (slice(max(first, 0), first + length) for first, length in zip(start, size, strict=True))
    return z, y, x
