"""The keys of a recipe, what each may be, and what is said of a value that it may not be."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe.agreement import DEPENDENT, require_agreement, require_effect
from monai_mriprep.recipe.extensions import StepOfRecipe
from monai_mriprep.recipe.presets import PRESETS, under_users_keys
from monai_mriprep.recipe.run_settings import RUN_KEYS
from monai_mriprep.recipe.sections import Section, Sections, explanation, facts_of, keys_of
from monai_mriprep.recipe.values import (
    FROM_LIST,
    Amount,
    ChannelNames,
    Count,
    LabelMap,
    PathText,
    SpacingTriple,
    SplineOrders,
    TargetRuleOrPlans,
    Transpose,
    orientation_codes,
)
from monai_mriprep.types import (
    SEPARATE_THRESHOLD,
    Boundary,
    Clip,
    Crop,
    Foreground,
    GeometryPolicy,
    GridRule,
    IntensityRule,
    LabelOutside,
    LabelRule,
    SeparateAxis,
    Spacing,
    TargetRule,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.config import JsonDict

__all__ = ["Normalization", "Recipe", "all_keys", "given_or_default"]


def _key(default: Any, what: str, allowed: str, *, voxels: bool, since: str = "0.1.0") -> Any:
    """Describe one key: what it means, what it may be, whether it changes the voxels of a case, and its first version.

    The description is also the comment above the key in `monai-mriprep recipe`; its lines are wrapped there.

    A key that is younger than 0.1.0 enters the fingerprint only where it differs from its default, so that the folders
    of earlier versions stay current.
    """
    facts: JsonDict = {"allowed": allowed, "voxels": voxels, "since": since}
    return Field(default, description=f"{what}\nAllowed: {allowed}.", json_schema_extra=facts)


class Normalization(Section):
    """How intensities are normalised; see the keys' descriptions."""

    foreground: Foreground = _key(
        "carried",
        "The voxels that mean and std, or the percentiles, are taken over.\n"
        "carried:   those that are not zero in the scan as stored, carried to the new grid by nearest neighbour.\n"
        "resampled: those that are not zero after resampling; a cubic spline smears exact zeros, so that is nearly "
        "all.\n"
        "resampled_positive: those that are greater than zero after resampling.\n"
        "native:    those of the scan as stored, before resampling; nnU-Net normalises first [1].\n"
        "crop:      all voxels that `crop` leaves, before resampling, in float32; nnU-Net's usual way [1].\n"
        "filled:    those inside the mask of `crop: nonzero_filled`, before resampling, in float32; outside the scan "
        "stays 0. nnU-Net's way where the crop leaves less than three quarters of the median scan [1].",
        "carried, resampled, resampled_positive, native, crop or filled",
        voxels=True,
    )
    epsilon: Amount = _key(
        0.0,
        "Added to the std that is divided by, in units of the image.",
        "a number from 0",
        voxels=True,
        since="0.2.0",
    )


class Recipe(Section):
    """What is done to every case.

    Every key has a default; where the defaults depart from the recipe's text and from what its authors run,
    ``docs/recipe.md`` says so. ``Recipe.model_fields[key].description`` says what a key means and what it may be, as
    ``configs/default.yaml`` does, which ``monai-mriprep recipe`` prints. Values are strict: ``"3"`` or ``True`` is no
    number, an integer is a float. Triples are in array axis order (z, y, x), spacings in mm.

    Raises
    ------
    RecipeError
        If a key is unknown or a value is not allowed; one message for all of them.

    Examples
    --------
    >>> Recipe(target_spacing=(3.0, 0.8, 0.8), order=(1, 3, 3)).orders
    (1, 3, 3)
    """

    preset: str = _key(
        "default",
        "A name for a set of keys to start from; a key that is set beside it wins over it.\n"
        "default:     nothing; every key has its default.\n"
        "panther2025: what the authors of the recipe run themselves: resampled as by SimpleITK [3], z-scores over what "
        "is greater than zero. It sets grid, boundary and normalization.\n"
        "nnunet:      the arrays of nnU-Net 2.8.1 [1], its 3d_fullres. It sets target_rule, transpose, crop, grid, "
        "separate_axis, clip, label, normalization and label_outside.",
        " or ".join(PRESETS),
        voxels=False,
        since="0.2.0",
    )
    pattern: str | None = _key(
        None,
        "A regular expression, searched in the stems of image and label (file name without .mha, .nii.gz, ...). What "
        "its named group `case` matches is the key that pairs them; files it does not match are skipped with a "
        "warning.\n"
        "null: the built-in pairing (equal stems; nnU-Net's _0000 channel suffix [1]; _seg and the like dropped from "
        "the label; last _token dropped; leading numbers; never different digits).",
        "a regular expression with (?P<case>...), in single quotes, such as '^(?P<case>\\d+_\\d+)_'; or null",
        voxels=False,
    )
    channels: ChannelNames | None = _key(
        None,
        "What the files of a case end in, a name for each channel of its image, in order: case_t1.nii.gz, "
        "case_flair.nii.gz. Files that end in _0000, _0001, ... are taken in this order; an image in one file has a "
        "fourth dimension.\n"
        "null: what the dataset declares (channel_names or modality of its dataset.json; files _0000, _0001, ... of a "
        "case whose label has no number), else one channel.",
        "a list of different names, such as [t1, t1ce, t2, flair] (numbers in quotes); or null",
        voxels=True,
        since="0.5.0",
    )
    statistics: PathText | None = _key(
        None,
        "The table with the columns median_spacing and 10th_percentile_spacing, in mm.\n"
        "null: DATASET_ROOT/mri_statistics.csv; if that does not exist, it is computed from the paired images' "
        "headers.",
        "a path, or null",
        voxels=False,
    )
    statistics_row: Count | None = _key(
        None,
        "Which row of the table, if it has several; 0 is the first below the header.",
        "an integer from 0, or null (the table has one row)",
        voxels=False,
    )
    axis_order: Literal["zyx", "xyz"] | None = _key(
        None,
        "Order of the three numbers in the table. A table in the wrong order silently wrecks a dataset, so null "
        "compares it with the headers of the scans and stops if they contradict; zyx or xyz is taken at its word.",
        "zyx, xyz or null",
        voxels=False,
    )
    target_rule: TargetRuleOrPlans = _key(
        "published",
        "How the table becomes a target spacing.\n"
        "published: the median; but where median z / median x is 3 or more, z is the 10th percentile; after nnU-Net "
        "[1].\n"
        "nnunet:    nnU-Net's own rule [1], which also counts voxels and never makes the coarsest axis finer than the "
        "others.\n"
        "a path:    that of nnU-Net's plans (nnUNetPlans.json), whose 3d_fullres has the spacing; this recipe must not "
        "contradict them.",
        "published, nnunet, or the path of a .json file",
        voxels=False,
        since="0.2.0",
    )
    target_spacing: SpacingTriple | None = _key(
        None,
        "The spacing itself, [z, y, x] in mm; replaces the table and the rule on it.\nnull: by the rule above.",
        "three positive numbers [z, y, x] in mm, such as [3.0, 0.8, 0.8]; or null",
        voxels=False,
    )
    geometry: GeometryPolicy = _key(
        "strict",
        "What happens when a label is not on its image's grid (size, spacing, origin, direction), or a channel not on "
        "that of the first channel.\n"
        "strict: the case fails, and the message shows both.\n"
        "resample_label: the label is put on the image's grid first.\n"
        "resample: channels, too, by a cubic spline, where their headers say that they lie; nothing is registered.",
        "strict, resample_label or resample",
        voxels=True,
    )
    orientation: str = _key(
        "keep",
        "Turn the axes of every case alike, before anything else; no value is computed. Spacings, the table of them "
        "and the target are those of the turned axes. The codes name where the file's axes x, y, z run to: RAS is "
        "right, anterior, superior [2], so the arrays, z y x, run to superior, anterior, right.\n"
        "keep: as stored.",
        "keep, or three letters, one each of R or L, A or P, S or I, such as RAS or LPS",
        voxels=True,
        since="0.3.0",
    )
    transpose: Transpose = _key(
        "none",
        "Put the axes of every case into another order, after `orientation`; no value is computed. Spacings, the table "
        "of them, the target and `order` are those of the axes before, z y x.\n"
        "none:           z y x.\n"
        "coarsest_first: the axis on which the target is coarsest goes first (of equals the first), the others keep "
        "their order, as in nnU-Net [1].\n"
        "[1, 0, 2]:      y z x, and so on: for each new axis the old one.",
        "none, coarsest_first, or the numbers 0, 1 and 2 in any order",
        voxels=True,
        since="0.7.0",
    )
    crop: Crop = _key(
        "none",
        "Cut away the border of the scan, before resampling; restored predictions are 0 there.\n"
        "none:    keep all of it.\n"
        "nonzero: keep the smallest box that holds every non-zero voxel of the image [1].\n"
        "nonzero_filled: the same box; the mask of the non-zero voxels of any channel, its holes filled, goes along "
        "for `normalization` and `label_outside` [1].",
        "none, nonzero or nonzero_filled",
        voxels=True,
        since="0.3.0",
    )
    crop_margin: Amount = _key(
        0.0,
        "What `crop` keeps around the box, in mm on each side, rounded up to whole voxels.",
        "a number from 0",
        voxels=True,
        since="0.3.0",
    )
    grid: GridRule = _key(
        "monai",
        "Where the new voxels lie, for N voxels of spacing s and the target t.\n"
        "monai:  first voxel centres coincide, round((N - 1) * s / t + 1) voxels, spacing exactly t [2].\n"
        "nnunet: the extents coincide (half-pixel), round(N * s / t) voxels, spacing near t [1].\n"
        "itk:    first voxel centres coincide, round(N * s / t) voxels, spacing exactly t; 0 where a voxel's centre "
        "lies outside the scan [3].\n"
        "nnunet_exact: as nnunet, plainly rounded, and on every axis: nnU-Net's own sizes, noise or not.",
        "monai, nnunet, itk or nnunet_exact",
        voxels=True,
    )
    boundary: Boundary = _key(
        "nearest",
        "How the image continues beyond its edge.\n"
        "nearest: the last voxel is repeated [1] [2].\n"
        "mirror:  reflected about the centre of the last voxel, as ITK's B-spline does [3].",
        "nearest or mirror",
        voxels=True,
    )
    order: SplineOrders = _key(
        3,
        "Order of the spline that interpolates the image; 0 nearest, 1 linear, 2 quadratic, 3 cubic [1]. Labels go "
        "their own way. nnU-Net uses order 0 along z for anisotropic scans: [0, 3, 3].",
        "an integer 0 to 3, or three of them [z, y, x]",
        voxels=True,
    )
    separate_axis: SeparateAxis = _key(
        "none",
        "Whether the coarsest axis of a scan goes by order 0.\n"
        "none: as `order` says.\n"
        "auto: where the spacings of the scan, or else of the target, differ by more than `separate_threshold`; "
        "nnU-Net does [1]. It needs `grid: nnunet_exact`.",
        "none or auto",
        voxels=True,
        since="0.7.0",
    )
    separate_threshold: Amount = _key(
        SEPARATE_THRESHOLD,
        "How many times the finest spacing the coarsest must exceed for that.",
        "a number from 0",
        voxels=True,
        since="0.7.0",
    )
    clip: Clip = _key(
        False,
        "Limit each channel of the resampled image to its range in the scan, which a cubic spline overshoots at edges; "
        "slice: each slice across an axis of order 0 to its own range, as nnU-Net does [1].",
        "true, false or slice",
        voxels=True,
    )
    label: LabelRule = _key(
        "nearest",
        "How labels are resampled.\n"
        "nearest: the value of the nearest voxel.\n"
        "linear:  each class by itself, linearly; the one with the highest value wins, of equals that of the nearest "
        "voxel, as nnU-Net does with batchgenerators 0.25.5 [1]. It needs `grid: nnunet_exact`.",
        "nearest or linear",
        voxels=True,
        since="0.7.0",
    )
    intensity: IntensityRule = _key(
        "zscore",
        "What the values of the image become; each channel by itself, by its own foreground.\n"
        "zscore:     (image - mean) / (std + epsilon), the whole image [1].\n"
        "percentile: from 0 to 1; the whole image is clipped to the 0.5 and 99.5 percentile of the foreground, which "
        "become 0 and 1.\n"
        "none:       as resampled, in the scan's own units.",
        "zscore, percentile or none",
        voxels=True,
        since="0.5.0",
    )
    normalization: Normalization = _key(
        Normalization(),
        "Which foreground that is, and what is added to the std; what has no effect under `intensity` is refused.",
        "a section with the keys foreground and epsilon",
        voxels=True,
    )
    label_map: LabelMap = _key(
        (),
        "New numbers for labels, by their numbers in the files, before anything else is done: two to one merges them, "
        "0 drops one. What it does not name keeps its number; but where that is the new number of another label, the "
        "case fails: name it, too.\n"
        "{}: as in the files.",
        "a mapping of whole numbers, the new ones from 0 to 32767, such as {2: 1, 49: 2, 7: 0}; or null",
        voxels=True,
        since="0.5.0",
    )
    label_outside: LabelOutside = _key(
        0,
        "What label 0 becomes outside the mask of `crop: nonzero_filled`; nnU-Net makes -1 of it [1]. A restored label "
        "has 0 there.",
        "0 or -1",
        voxels=True,
        since="0.7.0",
    )
    steps: Annotated[tuple[StepOfRecipe, ...], FROM_LIST] = _key(
        (),
        "Steps of your own, which Python code or an installed package has registered (docs/architecture.md). Each "
        "comes after the step of ours that it says it follows.",
        "a list of names, or of mappings with the key step and the step's settings, such as [{step: NAME, axis: z}]",
        voxels=True,
        since="0.3.0",
    )

    @field_validator("preset")
    @classmethod
    def _is_preset(cls, preset: str) -> str:
        if preset not in PRESETS:
            msg = "is not a preset"
            raise ValueError(msg)
        return preset

    @field_validator("orientation")
    @classmethod
    def _is_orientation(cls, codes: str) -> str:
        return codes if codes == "keep" else orientation_codes(codes)

    @field_validator(*DEPENDENT)
    @classmethod
    def _agrees(cls, value: Any, info: ValidationInfo) -> Any:
        require_agreement(str(info.field_name), value, info.data)
        return value

    @field_validator("normalization")
    @classmethod
    def _has_effect(cls, section: Normalization, info: ValidationInfo) -> Normalization:
        require_effect(section, info.data)
        return section

    @field_validator("pattern")
    @classmethod
    def _has_case_group(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            groups = re.compile(pattern).groupindex
        except (re.error, OverflowError, RecursionError) as error:
            msg = f"does not compile ({error})"
            raise ValueError(msg) from None
        if "case" not in groups:
            msg = "has no group named case"
            raise ValueError(msg)
        return pattern

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: Callable[[Any], Recipe], info: ValidationInfo) -> Recipe:
        """Apply the preset; turn pydantic's errors into one `RecipeError`; the context says where each key is from."""
        try:
            return handler(under_users_keys(data))
        except ValidationError as error:
            places = info.context or {}  # empty for a recipe made in Python, which has no section `run`
            explained = explanation(error, data, places, _SECTIONS, also=RUN_KEYS if places else ())
            raise RecipeError(explained) from None

    @property
    def channel_count(self) -> int:
        """How many channels an image has."""
        return len(self.channels or ("",))

    @property
    def orders(self) -> tuple[int, int, int]:
        """The image's spline order along z, y, x."""
        return self.order if isinstance(self.order, tuple) else (self.order,) * 3

    def transposition(self, target: Spacing) -> tuple[int, int, int]:
        """For each axis of the output, the one of z, y, x (0, 1, 2) that becomes it; the target is in z y x."""
        if isinstance(self.transpose, tuple):
            return self.transpose
        coarsest = target.index(max(target)) if self.transpose == "coarsest_first" else 0
        first, second, third = sorted(range(3), key=lambda axis: axis != coarsest)
        return first, second, third

    @property
    def named_rule(self) -> TargetRule | None:
        """The target rule, or None where it is the path of plans."""
        return next((rule for rule in get_args(TargetRule) if rule == self.target_rule), None)

    def dataset_keys(self) -> tuple[str, ...]:
        """Keys with another value than the default that pair files or derive the target: they need the dataset."""
        fields = type(self).model_fields
        asking = (
            key
            for key in fields
            if not facts_of(type(self), key)["voxels"] and getattr(self, key) != fields[key].default
        )
        return tuple(key for key in asking if key not in ("preset", "target_spacing"))

    def as_dict(self) -> dict[str, Any]:
        """Every key and its value, ready for JSON; `Recipe.model_validate` takes it back."""
        return self.model_dump(mode="json")

    def fingerprint(self) -> str:
        """Hash of what decides the voxels of a case, once its files and its target spacing are given.

        Covers the keys that change voxels, from ``geometry`` on; ``order: 3`` and ``order: [3, 3, 3]`` are the
        same. The keys that choose files and target (pattern, statistics, statistics_row, axis_order, target_rule,
        target_spacing) are left out: what they led to is recorded by itself. So is the preset: only the values of the
        keys count. A default recipe has the fingerprint that version 0.1.0 gave it.

        Returns
        -------
        str
            SHA-256 of the keys as canonical JSON, 64 hexadecimal digits.
        """
        canonical = json.dumps(_voxel_keys(self) | {"order": self.orders}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def __repr__(self) -> str:
        """Give every key, and the axis order and unit of the triples."""
        values = ", ".join(f"{key}={getattr(self, key)!r}" for key in type(self).model_fields)
        return f"Recipe({values})  # triples in z, y, x; spacing in mm"

    __str__ = __repr__


def _voxel_keys(section: Section) -> dict[str, Any]:
    """The keys that change voxels: those of 0.1.0, and later ones that differ from their default."""
    values = section.model_dump(mode="json")
    for key, info in type(section).model_fields.items():
        facts, value = facts_of(type(section), key), getattr(section, key)
        if not facts["voxels"] or (facts["since"] != "0.1.0" and value == info.default):
            del values[key]
        elif isinstance(value, Section):
            values[key] = _voxel_keys(value)
    return values


def all_keys() -> list[str]:
    """Every key that takes a value, dotted where it is in a section."""
    return keys_of(_SECTIONS)


_SECTIONS: Sections = {(): Recipe, ("normalization",): Normalization}


def given_or_default(recipe: object) -> Recipe:
    """The recipe that a caller gave, or the default one for None.

    Raises
    ------
    RecipeError
        If it is something else, such as the path of a file.
    """
    if recipe is None:
        return Recipe()
    if not isinstance(recipe, Recipe):
        msg = f"a recipe must be a Recipe or None, not {recipe!r}; load_recipe reads one from a YAML file"
        raise RecipeError(msg)
    return recipe
