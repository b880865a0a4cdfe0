"""The keys of a recipe, what each may be, and what is said of a value that it may not be."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe.presets import PRESETS, under_users_keys
from monai_mriprep.types import Boundary, Foreground, GeometryPolicy, GridRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.config import JsonDict
    from pydantic_core import ErrorDetails

__all__ = ["PLAIN_NUMBER", "Normalization", "Recipe", "all_keys", "shown"]

PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9]\d{0,17}|(\d+\.\d*|\.\d+)([eE][-+]\d+)?|\.inf|\.nan)", re.IGNORECASE)
"""Numbers that mean the same to a person and to YAML 1.1, which also has octal, base 60 and underscores."""
_BARE_EXPONENT = re.compile(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)")
"""Numbers that a person writes and YAML 1.1 takes for text: it wants a point and a signed exponent."""


def _key(default: Any, what: str, allowed: str, *, voxels: bool, since: str = "0.1.0") -> Any:
    """Describe one key: what it means, what it may be, whether it changes the voxels of a case, and its first version.

    A key that is younger than 0.1.0 enters the fingerprint only where it differs from its default, so that the folders
    of earlier versions stay current.
    """
    facts: JsonDict = {"allowed": allowed, "voxels": voxels, "since": since}
    return Field(default, description=f"{what} Allowed: {allowed}.", json_schema_extra=facts)


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Millimetres = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SplineOrder = Annotated[int, Field(ge=0, le=3)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


class Normalization(_Section):
    """How intensities are normalised; see the keys' descriptions."""

    foreground: Foreground = _key(
        "carried",
        "Voxels that the mean and the standard deviation are taken over: the non-zero voxels of the scan as stored, "
        "carried to the new grid by nearest neighbour (carried); those that are non-zero after resampling "
        "(resampled); or the stored voxels themselves, before resampling, as nnU-Net does (native).",
        "carried, resampled or native",
        voxels=True,
    )


class Recipe(_Section):
    """What is done to every case.

    Every key has a default; the defaults are the published recipe. ``Recipe.model_fields[key].description`` says what
    a key means and what it may be, as ``configs/default.yaml`` does. Values are strict: ``"3"`` or ``True`` is no
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
        "Name of a set of keys to start from; keys that are set beside it win over it.",
        " or ".join(PRESETS),
        voxels=False,
        since="0.2.0",
    )
    pattern: str | None = _key(
        None,
        "Regular expression, searched in the file stem of image and of label; its group `case` is the name that pairs "
        "them. Replaces the built-in pairing.",
        "a regular expression with a named group, such as (?P<case>\\d+_\\d+), or null",
        voxels=False,
    )
    statistics: str | None = _key(
        None,
        "Path of the table of spacings. null: mri_statistics.csv in DATASET_ROOT, computed if it is not there.",
        "a path, or null",
        voxels=False,
    )
    statistics_row: int | None = _key(
        None,
        "Row of that table, for a table with several; 0 is the first below the header.",
        "an integer from 0, or null (the table has one row)",
        voxels=False,
    )
    axis_order: Literal["zyx", "xyz"] | None = _key(
        None,
        "Order of the three numbers in that table. null: z y x, compared with the scans, an error if they contradict.",
        "zyx, xyz or null",
        voxels=False,
    )
    target_spacing: Annotated[tuple[Millimetres, Millimetres, Millimetres] | None, BeforeValidator(_as_tuple)] = _key(
        None,
        "Spacing of the result in mm, z y x; replaces the rule on the table. null: the rule.",
        "three positive numbers [z, y, x] in mm, or null",
        voxels=False,
    )
    geometry: GeometryPolicy = _key(
        "strict",
        "A label that is not on its image's grid is an error (strict), or is first put on it (resample_label).",
        "strict or resample_label",
        voxels=True,
    )
    grid: GridRule = _key(
        "monai",
        "Where the new voxels lie: first voxel centres coincide and the spacing is exact (monai), or the extents "
        "coincide (nnunet); or as monai with round(N * s / t) voxels, and 0 where one lies outside the scan (itk).",
        "monai, nnunet or itk",
        voxels=True,
    )
    boundary: Boundary = _key(
        "nearest",
        "How the image continues beyond its edge: its last voxel repeated (nearest), or reflected about the centre of "
        "its last voxel (mirror).",
        "nearest or mirror",
        voxels=True,
    )
    order: Annotated[SplineOrder | tuple[SplineOrder, SplineOrder, SplineOrder], BeforeValidator(_as_tuple)] = _key(
        3,
        "Order of the spline that interpolates the image: 0 nearest, 1 linear, 3 cubic; one for all axes or one each, "
        "z y x. Labels are always nearest.",
        "an integer 0 to 3, or three of them [z, y, x]",
        voxels=True,
    )
    clip: bool = _key(
        False,
        "Limit the resampled image to the range of the scan, which a cubic spline overshoots at edges.",
        "true or false",
        voxels=True,
    )
    normalization: Normalization = _key(
        Normalization(), "How intensities are normalised.", "a section with the key foreground", voxels=True
    )

    @field_validator("preset")
    @classmethod
    def _is_preset(cls, preset: str) -> str:
        if preset not in PRESETS:
            msg = "is not a preset"
            raise ValueError(msg)
        return preset

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

    @field_validator("statistics")
    @classmethod
    def _is_path(cls, path: str | None) -> str | None:
        if path is not None and (not path.strip() or "\0" in path):
            msg = "is no path"
            raise ValueError(msg)
        return path

    @field_validator("statistics_row")
    @classmethod
    def _is_row(cls, row: int | None) -> int | None:
        if row is not None and row < 0:
            msg = "is negative"
            raise ValueError(msg)
        return row

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: Callable[[Any], Recipe], info: ValidationInfo) -> Recipe:
        """Apply the preset; turn pydantic's errors into one `RecipeError`; the context says where each key is from."""
        try:
            return handler(under_users_keys(data))
        except ValidationError as error:
            raise RecipeError(_explanation(error, data, info.context or {})) from None

    @property
    def orders(self) -> tuple[int, int, int]:
        """The image's spline order along z, y, x."""
        return self.order if isinstance(self.order, tuple) else (self.order,) * 3

    def dataset_keys(self) -> tuple[str, ...]:
        """Keys with another value than the default that pair files or derive the target: they need the dataset."""
        fields = type(self).model_fields
        asking = (
            key for key in fields if not _extra(type(self), key)["voxels"] and getattr(self, key) != fields[key].default
        )
        return tuple(key for key in asking if key not in ("preset", "target_spacing"))

    def as_dict(self) -> dict[str, Any]:
        """Every key and its value, ready for JSON; `Recipe.model_validate` takes it back."""
        return self.model_dump(mode="json")

    def fingerprint(self) -> str:
        """Hash of what decides the voxels of a case, once its files and its target spacing are given.

        Covers the keys geometry, grid, boundary, order, clip and normalization; ``order: 3`` and ``order: [3, 3, 3]``
        are the same. The keys that choose files and target (pattern, statistics, statistics_row, axis_order,
        target_spacing) are left out: what they led to is recorded by itself. So is the preset: only the keys count,
        whoever set them. A default recipe has the fingerprint that version 0.1.0 gave it.

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


def _voxel_keys(section: _Section) -> dict[str, Any]:
    """The keys that change voxels: those of 0.1.0, and later ones that differ from their default."""
    values = section.model_dump(mode="json")
    for key, info in type(section).model_fields.items():
        facts, value = _extra(type(section), key), getattr(section, key)
        if not facts["voxels"] or (facts["since"] != "0.1.0" and value == info.default):
            del values[key]
        elif isinstance(value, _Section):
            values[key] = _voxel_keys(value)
    return values


def _extra(model: type[BaseModel], key: str) -> dict[str, Any]:
    """Look up what `_key` stored beside a key."""
    extra = model.model_fields[key].json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}


def _explanation(error: ValidationError, data: object, places: dict[str, str]) -> str:
    """All problems, one line for each key, each with its place."""
    details: dict[tuple[str, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        details.setdefault(_key_path(detail), []).append(detail)
    lines = [f"{_place(places, path)}: {_problem(path, found, data)}" for path, found in details.items()]
    return lines[0] if len(lines) == 1 else f"{len(lines)} problems\n  " + "\n  ".join(lines)


def _key_path(detail: ErrorDetails) -> tuple[str, ...]:
    """Name the key that an error is about, without pydantic's steps into unions and tuples."""
    path = tuple(str(part) for part in detail["loc"])
    if detail["type"] in ("extra_forbidden", "invalid_key"):
        return path[: 1 + (path[0] == "normalization")]
    return path[: 2 if path[:1] == ("normalization",) else 1]


def _place(places: dict[str, str], path: tuple[str, ...]) -> str:
    """Where a key, or the nearest section around it, was set."""
    for depth in range(len(path), -1, -1):
        if (place := places.get(".".join(path[:depth]))) is not None:
            return place
    return "recipe"


def _problem(path: tuple[str, ...], details: list[ErrorDetails], data: object) -> str:
    """Name the key, what was found, what is allowed."""
    if not path:
        return f"must be a mapping of keys to values, not {shown(data)}; the keys are {', '.join(all_keys())}"
    name = ".".join(path)
    if details[0]["type"] in ("extra_forbidden", "invalid_key"):
        return _unknown_key(name)
    value = _at(data, path)
    allowed = _extra(Normalization if len(path) == 2 else Recipe, path[-1]).get("allowed", "")
    if (reason := details[0].get("ctx", {}).get("error")) is not None:
        return f"{name}: {shown(value)} {reason}; it must be {allowed}"
    numeric = any(detail["type"] in ("float_type", "int_type") for detail in details)
    return f"{name}: must be {allowed}; not {shown(value)}{_number_hint(value) if numeric else ''}"


def _unknown_key(name: str) -> str:
    """Say that a key is unknown, with the nearest one and all of them."""
    keys = all_keys()
    asked = name.lower().replace("-", "_").strip()
    near = difflib.get_close_matches(asked, keys, n=1, cutoff=0.55)
    near = near or [key for key in keys if "." in key and key.rpartition(".")[2] == asked]
    guess = f"did you mean {near[0]}? The" if near else "the"
    return f"{shown(name)} is not a key of the recipe; {guess} keys are {', '.join(keys)}"


def all_keys() -> list[str]:
    """Every key that takes a value, dotted where it is in a section."""
    flat = [key for key in Recipe.model_fields if key != "normalization"]
    return flat + [f"normalization.{key}" for key in Normalization.model_fields]


def _at(data: object, path: tuple[str, ...]) -> object:
    """Look up the value under a path, as it was given."""
    for part in path:
        data = data.get(part) if isinstance(data, dict) else getattr(data, part, None)
    return data


def _number_hint(value: object) -> str:
    """Say how to write the text that was meant as a number."""
    for item in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(item, str) and (match := _BARE_EXPONENT.fullmatch(item)):
            whole, decimals, sign, exponent = match.groups()
            return f" (YAML takes {item} for text: write {whole}{decimals or '.0'}e{sign or '+'}{exponent})"
        if isinstance(item, str) and PLAIN_NUMBER.fullmatch(item):
            return f" (remove the quotes around {item})"
    return ""


def shown(value: object, limit: int = 100) -> str:
    """Write a value for a message: on one line and not too long."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
