"""The target spacing of nnU-Net's plans (``nnUNetPlans.json``), held against what a recipe does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from monai_mriprep.errors import StatisticsError
from monai_mriprep.models import Model, shortened
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.agreement import OF_CROP
from monai_mriprep.recipe.values import AxisOrder, SpacingTriple
from monai_mriprep.types import Spacing

__all__ = ["CONFIGURATION", "MASK_SHARE", "NnunetPlans", "normalizes_inside", "read_plans"]

CONFIGURATION = "3d_fullres"

MASK_SHARE = 0.75
"""nnU-Net normalises inside the mask where the crop leaves less than this share of the median scan."""

SCHEME = "ZScoreNormalization"

KNOWN: dict[str, Any] = {
    "preprocessor_name": "DefaultPreprocessor",
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
    "resampling_fn_seg": "resample_data_or_seg_to_shape",
    "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
}
"""What nnU-Net's own planner writes, and all that is computed here."""

ORIENTATIONS = {"SimpleITKIO": "keep", "NibabelIO": "keep", "NibabelIOWithReorient": "RAS"}
"""The readers whose axes a recipe can have, and its ``orientation`` for each."""

Flags = Annotated[tuple[bool, ...], Field(strict=False)]
Names = Annotated[tuple[str, ...], Field(strict=False)]


class _Configuration(Model):
    spacing: SpacingTriple
    normalization_schemes: Names
    use_mask_for_norm: Flags
    preprocessor_name: Any = KNOWN["preprocessor_name"]
    resampling_fn_data: Any = KNOWN["resampling_fn_data"]
    resampling_fn_data_kwargs: Any = KNOWN["resampling_fn_data_kwargs"]
    resampling_fn_seg: Any = KNOWN["resampling_fn_seg"]
    resampling_fn_seg_kwargs: Any = KNOWN["resampling_fn_seg_kwargs"]


class _Configurations(Model):
    of_3d: Annotated[_Configuration, Field(alias=CONFIGURATION)]


class _File(Model):
    """What counts of the file; all other keys are ignored."""

    transpose_forward: AxisOrder
    image_reader_writer: str
    configurations: _Configurations


_FILE = TypeAdapter(_File)


@dataclass(frozen=True)
class NnunetPlans:
    """What plans say of the arrays of ``3d_fullres``.

    Parameters
    ----------
    path
        The file.
    spacing
        In mm, z y x: of the axes before the transposition, as everywhere here.
    transposition
        For each axis afterwards, the one of z, y, x (0, 1, 2) that becomes it.
    with_mask
        Of each channel, whether it is normalised inside the mask.
    schemes
        Of each channel, how it is normalised.
    reader
        Who read the images.
    """

    path: Path
    spacing: Spacing
    transposition: tuple[int, int, int]
    with_mask: tuple[bool, ...]
    schemes: tuple[str, ...]
    reader: str

    def require_agreement(self, recipe: Recipe) -> None:
        """Refuse a recipe that would make other arrays than the plans, as far as these say it.

        Raises
        ------
        StatisticsError
            Naming the file, both values, and what to set.
        """
        if problems := list(self._contradictions(recipe)):
            msg = f"{self.path}: the plans contradict the recipe: {'; '.join(problems)}"
            raise StatisticsError(msg)

    def _contradictions(self, recipe: Recipe) -> Iterator[str]:
        own, theirs = list(recipe.transposition(self.spacing)), list(self.transposition)
        if own != theirs:
            said = f"`transpose: {_shown(recipe.transpose)}`"
            yield f"transpose_forward is {theirs}, {said} is {own}; set `transpose: {theirs}`"
        foreground = recipe.normalization.foreground
        wanted = "filled" if all(self.with_mask) else "crop"
        if foreground in OF_CROP and foreground != wanted:
            yield (
                f"use_mask_for_norm is {str(all(self.with_mask)).lower()}, `normalization.foreground` is {foreground}; "
                f"set `normalization: {{foreground: {wanted}}}`"
            )
        if recipe.channel_count != len(self.schemes):
            yield f"they have {len(self.schemes)} channels, the recipe {recipe.channel_count}; set `channels`"
        if recipe.orientation != (orientation := ORIENTATIONS[self.reader]):
            yield (
                f"image_reader_writer is {self.reader}, `orientation` is {recipe.orientation}; "
                f"set `orientation: {orientation}`"
            )


def _shown(order: str | tuple[int, ...]) -> str:
    return order if isinstance(order, str) else str(list(order))


def normalizes_inside(shares: Sequence[float]) -> bool:
    """Whether nnU-Net normalises inside its mask, by what its crop leaves of each scan: shares of the voxels."""
    return median(shares) < MASK_SHARE


def read_plans(path: str | Path) -> NnunetPlans:
    """Read nnU-Net's plans.

    Raises
    ------
    StatisticsError
        If the file cannot be read or lacks what counts, or its channels are normalised by anything but z-scores, or
        some of them inside the mask and some not, or its reader, preprocessor or resampling is not known here.
    """
    path = Path(path)
    try:
        file = _FILE.validate_json(path.read_bytes())
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error}); `target_rule` must be a rule, or nnU-Net's plans"
        raise StatisticsError(msg) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = shortened(f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": "))
        msg = f"{path}: is no nnUNetPlans.json with a configuration {CONFIGURATION}: {what}"
        raise StatisticsError(msg) from error
    plans = _plans(path, file)
    for problem in _beyond_us(plans, file.configurations.of_3d):
        msg = f"{path}: {shortened(problem)}; use nnU-Net itself for these arrays: monai-mriprep nnunet preprocess"
        raise StatisticsError(msg)
    return plans


def _plans(path: Path, file: _File) -> NnunetPlans:
    chosen = file.configurations.of_3d
    by_axis = dict(zip(file.transpose_forward, chosen.spacing, strict=True))
    return NnunetPlans(
        path,
        (by_axis[0], by_axis[1], by_axis[2]),
        file.transpose_forward,
        chosen.use_mask_for_norm,
        chosen.normalization_schemes,
        file.image_reader_writer,
    )


def _beyond_us(plans: NnunetPlans, chosen: _Configuration) -> Iterator[str]:
    if others := sorted({*plans.schemes} - {SCHEME}):
        yield f"normalization_schemes has {', '.join(map(repr, others))}, and only {SCHEME} is known here"
    if len(set(plans.with_mask)) != 1 or len(plans.with_mask) != len(plans.schemes):
        flags = ", ".join(str(flag).lower() for flag in plans.with_mask)
        yield f"use_mask_for_norm is [{flags}], and must be the same for each of {len(plans.schemes)} channels"
    for key, known in KNOWN.items():
        if (value := getattr(chosen, key)) != known:
            yield f"{key} is {value!r}, and only {known!r} is known here"
    if plans.reader not in ORIENTATIONS:
        yield f"image_reader_writer is {plans.reader!r}, and only {', '.join(ORIENTATIONS)} are known here"
