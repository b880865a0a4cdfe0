"""Foreground, z-scores and label types."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform, Transform
from monai.utils.enums import TransformBackends

from monai_mriprep.errors import MriprepWarning, RecipeError
from monai_mriprep.steps import Params, Step, Volumes
from monai_mriprep.steps.foreground import ForegroundMask
from monai_mriprep.steps.intensities import Over
from monai_mriprep.steps.label_cast import LabelCast
from monai_mriprep.steps.normalization import Normalization
from monai_mriprep.steps.resampling import ItkResampling, Resampling
from monai_mriprep.transforms.tensors import (
    ANYWHERE,
    file_of,
    require_channels,
    score_marks,
    tensor_of,
    volume_of,
    with_values,
)
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

__all__ = ["CastLabel", "CastLabeld", "NonZeroMask", "NonZeroMaskd", "NormalizeNonZero", "NormalizeNonZerod"]


OVER: dict[str | None, Over] = {None: "nonzero", "resampled": "nonzero", "resampled_positive": "positive"}


def _carried_out(step: Step, volumes: Volumes) -> tuple[Volumes, Params]:
    """Of a step that changes values alone, the result and what it has found; where they lie plays no part."""
    params = step.plan(volumes, ANYWHERE)
    return step.carry_out(volumes, ANYWHERE, params), params


class NonZeroMask(Transform):
    """The mask of non-zero voxels, on the image's grid, as bool."""

    backend = (TransformBackends.TORCH,)

    def __call__(self, image: Any, name: str = IMAGE.name) -> torch.Tensor:
        """Return the mask."""
        image = volume_of(image, name)
        found, _ = _carried_out(ForegroundMask(), Volumes({IMAGE: tensor_of(image)}))
        return with_values(found.by_role[FOREGROUND], image)


class NonZeroMaskd(MapTransform):
    """Add the mask of non-zero voxels, on the image's grid, as bool.

    Taken before resampling and carried to the target grid by nearest neighbour: a cubic spline smears exact zeros
    until hardly any is left.

    Parameters
    ----------
    image_key
        The image.
    mask_key
        Where the mask is put.
    allow_missing_keys
        Skip a case without the image instead of raising.
    """

    backend = NonZeroMask.backend

    def __init__(
        self, image_key: str = IMAGE.name, mask_key: str = FOREGROUND.name, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(image_key, allow_missing_keys)
        self.mask_key = mask_key
        self.mask_of = NonZeroMask()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the mask."""
        result = dict(data)
        for key in self.key_iterator(data):
            result[self.mask_key] = self.mask_of(data[key], str(key))
        return result


class NormalizeNonZero(Transform):
    """Z-score of one image: see `NormalizeNonZerod`.

    Parameters
    ----------
    foreground, epsilon
        As there.
    """

    backend = (TransformBackends.TORCH,)

    def __init__(
        self, foreground: Literal["resampled", "resampled_positive"] | None = None, epsilon: float = 0.0
    ) -> None:
        if foreground not in OVER:
            msg = f"foreground must be resampled, resampled_positive, or left out, not {foreground!r}"
            raise RecipeError(msg)
        if not 0 <= epsilon < float("inf"):
            msg = f"epsilon must be a finite number from 0, not {epsilon!r}"
            raise RecipeError(msg)
        self.foreground = foreground
        self.epsilon = float(epsilon)

    def __call__(self, image: Any, mask: Any = None, name: str = IMAGE.name) -> torch.Tensor:
        """Return the image normalized over `mask`, or else over its own non-zero or positive voxels."""
        image = volume_of(image, name)
        require_channels(image)
        name = file_of(image, name)
        if mask is None and self.foreground is None and _spline_resampled(image):
            warnings.warn(f"{name}: {SMEARED}", MriprepWarning, 3)
        masks = {} if mask is None else {FOREGROUND: tensor_of(volume_of(mask, "mask"))}
        step = Normalization(over="foreground" if masks else OVER[self.foreground], epsilon=self.epsilon)
        scored, moments = _carried_out(step, Volumes({IMAGE: tensor_of(image), **masks}, {IMAGE: name}))
        return with_values(scored.by_role[IMAGE], image, **score_marks(moments))


SMEARED = (
    "a spline has resampled this image, so hardly a voxel of the air is exactly 0 any more, and the mean and deviation "
    "of its non-zero voxels are not those of the foreground. Take the mask before (NonZeroMaskd, resampled with the "
    'image, mask_key="foreground"), or use ResampleNormalized; foreground="resampled" says that this is meant'
)


def _spline_resampled(image: torch.Tensor) -> bool:
    """Whether the history holds a resampling of an order over 1, by this package or by MONAI."""
    history = image.applied_operations if isinstance(image, MetaTensor) else []
    return any(mode == "bicubic" or (isinstance(mode, int) and mode > 1) for mode in _modes(history))


def _modes(history: Any) -> Iterator[Any]:
    """Every interpolation mode or order in a history; MONAI nests them to different depths, and so does a trace."""
    if isinstance(history, dict):
        is_ours = history.get("step") in (Resampling.name, ItkResampling.name)
        yield int(np.max(history["order"])) if is_ours else history.get("mode")
        history = list(history.values())
    if isinstance(history, list):
        for entry in history:
            yield from _modes(entry)


class NormalizeNonZerod(MapTransform):
    """Z-score: ``(image - mean) / (std + epsilon)`` on the whole image, mean and population std over the foreground.

    Each channel has its own. ``meta`` receives ``foreground_mean``, ``foreground_std`` and ``foreground_voxels``:
    numbers, or where there are several channels tensors of one number each.

    Parameters
    ----------
    keys
        The images; float32 afterwards.
    mask_key
        The foreground, with the channels of the image or one for all; by default each channel's non-zero voxels.
    foreground
        ``resampled`` says that the non-zero voxels are meant although a spline has resampled the image;
        ``resampled_positive`` takes the voxels that are greater than zero.
    allow_missing_keys
        Skip images that are not there instead of raising. The mask of one that is there may not be missing.
    epsilon
        Added to the standard deviation; in units of the image.

    Raises
    ------
    RecipeError
        If `foreground` is not known, or given together with `mask_key`; or `epsilon` is negative or not finite.
    ResamplingError
        If an image is not ``(C, D, H, W)``, or the mask is of another shape.

    Warns
    -----
    MriprepWarning
        If the foreground is empty (the image stays as it is) or constant (only its mean is subtracted); and if a spline
        has resampled the image, and neither `mask_key` nor `foreground` is given: a spline leaves hardly any zeros.
    """

    backend = NormalizeNonZero.backend

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: str | None = None,
        foreground: Literal["resampled", "resampled_positive"] | None = None,
        allow_missing_keys: bool = False,
        epsilon: float = 0.0,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if mask_key is not None and foreground is not None:
            msg = f"give either mask_key or foreground, not both; found {mask_key!r} and {foreground!r}"
            raise RecipeError(msg)
        self.mask_key = mask_key
        self.normalize = NormalizeNonZero(foreground, epsilon)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the images normalized."""
        result = dict(data)
        for key in self.key_iterator(result):
            mask = None if self.mask_key is None else result[self.mask_key]
            result[key] = self.normalize(result[key], mask, str(key))
        return result


class CastLabel(Transform):
    """Cast one label: see `CastLabeld`."""

    backend = (TransformBackends.TORCH,)

    def __call__(self, label: Any, name: str = LABEL.name) -> torch.Tensor:
        """Return the label as int8 or int16."""
        label = volume_of(label, name)
        cast, _ = _carried_out(LabelCast(), Volumes({LABEL: tensor_of(label)}, {LABEL: file_of(label, name)}))
        return with_values(cast.by_role[LABEL], label)


class CastLabeld(MapTransform):
    """Cast labels to int8, or to int16 where the maximum is over 127; negative values become 0.

    Parameters
    ----------
    keys
        The labels.
    allow_missing_keys
        Skip labels that are not there instead of raising.

    Raises
    ------
    LabelError
        If a value is over 32767 or not an integer.

    Warns
    -----
    MriprepWarning
        If voxels were negative.
    """

    backend = CastLabel.backend

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.cast = CastLabel()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the labels cast."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.cast(result[key], str(key))
        return result
