"""Foreground, z-scores and label types."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from monai.config import KeysCollection
from monai.transforms.transform import MapTransform, Transform

from monai_mriprep.errors import MriprepWarning
from monai_mriprep.transforms.volumes import file_of, grid_of, on_grid
from monai_mriprep.volume.intensity import Moments, foreground_moments, standardize
from monai_mriprep.volume.labels import cast_label

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

__all__ = ["CastLabeld", "NonZeroMaskd", "NormalizeNonZerod"]


class NonZeroMaskd(Transform):
    """Add the mask of non-zero voxels, on the image's grid, as bool.

    Taken before resampling and carried to the target grid by nearest neighbour: a cubic spline smears exact zeros
    until hardly any is left.

    Parameters
    ----------
    image_key
        The image.
    mask_key
        Where the mask is put.
    """

    def __init__(self, image_key: str = "image", mask_key: str = "foreground") -> None:
        self.image_key = image_key
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the mask."""
        image = data[self.image_key]
        return {**data, self.mask_key: on_grid(image.as_tensor() != 0, grid_of(image), image)}


class NormalizeNonZerod(MapTransform):
    """Z-score: ``(image - mean) / std`` on the whole image, mean and population std over the foreground.

    Each channel has its own. ``meta`` receives ``foreground_mean``, ``foreground_std`` and ``foreground_voxels``:
    numbers, or where there are several channels tensors of one number each.

    Parameters
    ----------
    keys
        The images; float32 afterwards.
    mask_key
        The foreground, with the channels of the image or one for all; by default each channel's non-zero voxels.

    Warns
    -----
    MriprepWarning
        If the foreground is empty (the image stays as it is) or constant (only its mean is subtracted).
    """

    def __init__(self, keys: KeysCollection, mask_key: str | None = None) -> None:
        super().__init__(keys)
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the images normalized."""
        result = dict(data)
        for key in self.key_iterator(result):
            image = result[key]
            mask = None if self.mask_key is None else result[self.mask_key].as_tensor()
            moments = foreground_moments(image.as_tensor(), mask)
            for problem in _problems(moments):
                warnings.warn(f"{file_of(image, str(key))}: {problem}", MriprepWarning, 2)
            meta = {"foreground_mean": _of_channels([m.mean for m in moments])}
            meta["foreground_std"] = _of_channels([m.std for m in moments])
            meta["foreground_voxels"] = _of_channels([m.count for m in moments])
            result[key] = on_grid(standardize(image.as_tensor(), moments), grid_of(image), image, **meta)
        return result


def _problems(moments: Sequence[Moments]) -> Iterator[str]:
    """What makes the z-scores of a channel less than z-scores."""
    for channel, its_moments in enumerate(moments):
        if not its_moments.std:
            done = "only its mean is subtracted" if its_moments.count else "the image is left as it is"
            what = "constant" if its_moments.count else "empty"
            where = f" of channel {channel}" if len(moments) > 1 else ""
            yield f"the foreground{where} is {what}; {done}"


def _of_channels(numbers: Sequence[float]) -> float | torch.Tensor:
    """The number of the only channel, or a tensor of one each: both can be collated."""
    return numbers[0] if len(numbers) == 1 else torch.tensor(numbers, dtype=torch.float64)


class CastLabeld(MapTransform):
    """Cast labels to int8, or to int16 where the maximum is over 127; negative values become 0.

    Parameters
    ----------
    keys
        The labels.

    Raises
    ------
    LabelError
        If a value is over 32767 or not an integer.

    Warns
    -----
    MriprepWarning
        If voxels were negative.
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the labels cast."""
        result = dict(data)
        for key in self.key_iterator(result):
            label = result[key]
            cast, n_negative = cast_label(label.as_tensor(), file_of(label, str(key)))
            if n_negative:
                message = f"{file_of(label, str(key))}: {n_negative} negative label voxels became 0"
                warnings.warn(message, MriprepWarning, 2)
            result[key] = on_grid(cast, grid_of(label), label)
        return result
