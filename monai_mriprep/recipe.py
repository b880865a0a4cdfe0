"""The recipe: what is done to every case, as frozen, validated values.

A recipe comes from a YAML file, from ``key=value`` overrides, or from Python; the three meet in `Recipe`, and
whatever is wrong with them ends as one `RecipeError` that names the place, the key and the remedy. Files are data:
they are parsed into plain mappings, lists and scalars, and nothing in them (a tag, MONAI's ``$`` or ``_target_``)
is ever evaluated.

Numbers that come in threes are in array axis order z, y, x; spacings are in millimetres.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
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
from monai_mriprep.types import Boundary, Foreground, GeometryPolicy, GridRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pydantic_core import ErrorDetails

__all__ = ["Normalization", "Recipe", "load_recipe"]

_MAX_BYTES = 64 * 1024
"""A recipe is a few lines; a larger file is not one (and the parser takes seconds for a megabyte)."""
_MAX_DEPTH = 8
"""Deepest nesting that is read; the deepest that is allowed is 2."""
_MAX_EVENTS = 1000
"""Most keys, values and brackets that are read; a full recipe has about 50. Bounds the time."""

_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9]\d{0,17}|(\d+\.\d*|\.\d+)([eE][-+]\d+)?|\.inf|\.nan)", re.IGNORECASE)
"""Numbers that mean the same to a person and to YAML 1.1, which also has octal, base 60 and underscores."""
_BARE_EXPONENT = re.compile(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)")
"""Numbers that a person writes and YAML 1.1 takes for text: it wants a point and a signed exponent."""


# ---------------------------------------------------------------------------------------------------------------------
# The model
# ---------------------------------------------------------------------------------------------------------------------


def _key(default: Any, what: str, allowed: str, *, voxels: bool) -> Any:
    """Describe one key: what it means, what it may be, and whether it changes the voxels of a case."""
    return Field(
        default, description=f"{what} Allowed: {allowed}.", json_schema_extra={"allowed": allowed, "voxels": voxels}
    )


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
        "coincide (nnunet).",
        "monai or nnunet",
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
        """Turn pydantic's errors into one `RecipeError`; the context says where each key came from."""
        try:
            return handler(data)
        except ValidationError as error:
            raise RecipeError(_explanation(error, data, info.context or {})) from None

    @property
    def orders(self) -> tuple[int, int, int]:
        """The image's spline order along z, y, x."""
        return self.order if isinstance(self.order, tuple) else (self.order,) * 3

    def as_dict(self) -> dict[str, Any]:
        """Every key and its value, ready for JSON; `Recipe.model_validate` takes it back."""
        return self.model_dump(mode="json")

    def fingerprint(self) -> str:
        """Hash of what decides the voxels of a case, once its files and its target spacing are given.

        Covers the keys geometry, grid, boundary, order, clip and normalization; ``order: 3`` and ``order: [3, 3, 3]``
        are the same. The keys that choose files and target (pattern, statistics, statistics_row, axis_order,
        target_spacing) are left out: what they led to is recorded by itself.

        Returns
        -------
        str
            SHA-256 of the keys as canonical JSON, 64 hexadecimal digits.
        """
        values = {key: value for key, value in self.as_dict().items() if _extra(type(self), key)["voxels"]}
        canonical = json.dumps(values | {"order": self.orders}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def __repr__(self) -> str:
        """Give every key, and the axis order and unit of the triples."""
        values = ", ".join(f"{key}={getattr(self, key)!r}" for key in type(self).model_fields)
        return f"Recipe({values})  # triples in z, y, x; spacing in mm"

    __str__ = __repr__


# ---------------------------------------------------------------------------------------------------------------------
# What is wrong with it
# ---------------------------------------------------------------------------------------------------------------------


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
        return f"must be a mapping of keys to values, not {_shown(data)}; the keys are {', '.join(_all_keys())}"
    name = ".".join(path)
    if details[0]["type"] in ("extra_forbidden", "invalid_key"):
        return _unknown_key(name)
    value = _at(data, path)
    allowed = _extra(Normalization if len(path) == 2 else Recipe, path[-1]).get("allowed", "")
    if (reason := details[0].get("ctx", {}).get("error")) is not None:
        return f"{name}: {_shown(value)} {reason}; it must be {allowed}"
    numeric = any(detail["type"] in ("float_type", "int_type") for detail in details)
    return f"{name}: must be {allowed}; not {_shown(value)}{_number_hint(value) if numeric else ''}"


def _unknown_key(name: str) -> str:
    """Say that a key is unknown, with the nearest one and all of them."""
    keys = _all_keys()
    asked = name.lower().replace("-", "_").strip()
    near = difflib.get_close_matches(asked, keys, n=1, cutoff=0.55)
    near = near or [key for key in keys if "." in key and key.rpartition(".")[2] == asked]
    guess = f"did you mean {near[0]}? The" if near else "the"
    return f"{_shown(name)} is not a key of the recipe; {guess} keys are {', '.join(keys)}"


def _all_keys() -> list[str]:
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
        if isinstance(item, str) and _PLAIN_NUMBER.fullmatch(item):
            return f" (remove the quotes around {item})"
    return ""


def _shown(value: object, limit: int = 100) -> str:
    """Write a value for a message: on one line and not too long."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


# ---------------------------------------------------------------------------------------------------------------------
# Reading it
# ---------------------------------------------------------------------------------------------------------------------


def load_recipe(path: str | Path | None = None, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe from a YAML file and change single keys.

    The file is one YAML document, a mapping in UTF-8 of at most 64 KiB, without tags, anchors, aliases or duplicate
    keys; an empty one means the defaults. Numbers are plain decimals.

    Parameters
    ----------
    path
        The file; None starts from the defaults.
    overrides
        ``key=value`` each, a dot between section and key (``normalization.foreground=native``), the value in YAML.
        They are applied in order, so of two for one key the later wins.

    Returns
    -------
    Recipe
        Triples in z, y, x; spacing in mm.

    Raises
    ------
    RecipeError
        If the file cannot be read, is not such YAML, or any key or value is not allowed. The message names the file
        and line, or the override; the key; and what to do.

    Examples
    --------
    >>> load_recipe(overrides=["grid=nnunet", "target_spacing=[3, 0.8, 0.8]"]).target_spacing
    (3.0, 0.8, 0.8)
    """
    draft = _Draft() if path is None else _read_file(Path(path))
    for item in [overrides] if isinstance(overrides, str) else overrides:
        _override(draft, item)
    return Recipe.model_validate(draft.values, context=draft.places)


@dataclass
class _Draft:
    """Keys and values as given, not validated, and where each dotted key came from ("" is the whole)."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


def _read_file(path: Path) -> _Draft:
    source = _Source(str(path), _read_text(path), is_file=True)
    values, places = source.parse()
    if values is None:
        values = {}
    if not isinstance(values, dict):
        msg = f"{path}: must hold keys and values, such as `grid: monai`, not {_shown(values)}"
        raise RecipeError(msg)
    return _Draft(values, {"": str(path)} | places)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{path}: cannot be read ({reason}); give the path of a recipe in YAML, such as configs/default.yaml"
        raise RecipeError(msg) from None
    if len(content) > _MAX_BYTES:
        msg = f"{path}: is larger than {_MAX_BYTES // 1024} KiB, which no recipe is; give the path of a recipe in YAML"
        raise RecipeError(msg)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        msg = f"{path}, line {line}: is not UTF-8 ({error.reason}); save the file as UTF-8 text"
        raise RecipeError(msg) from None


def _override(draft: _Draft, item: str) -> None:
    """Apply one ``key=value`` to a draft."""
    name, equals, text = item.partition("=")
    name, place = name.strip(), f"--set {textwrap.shorten(item, 100)}"
    *sections, key = name.split(".")
    if not equals or not name or len(sections) > _MAX_DEPTH:
        msg = f"{place}: must be key=value, such as --set grid=nnunet; the keys are {', '.join(_all_keys())}"
        raise RecipeError(msg)
    value, _ = _Source(place, text, is_file=False).parse()
    values = draft.values
    for depth, section in enumerate(sections, start=1):
        if not isinstance(values.get(section), dict):
            values[section] = {}
            draft.places[".".join(sections[:depth])] = place
        values = values[section]
    values[key] = value
    for stale in [known for known in draft.places if known.startswith(f"{name}.")]:
        del draft.places[stale]
    draft.places[name] = place


@dataclass(frozen=True)
class _Source:
    """YAML text and what to call it in messages."""

    name: str
    text: str
    is_file: bool

    def place(self, mark: yaml.Mark | None) -> str:
        return self.name if mark is None else self._line(mark.line + 1)

    def _line(self, number: int) -> str:
        return f"{self.name}, line {number}" if self.is_file else self.name

    def parse(self) -> tuple[Any, dict[str, str]]:
        """Plain values (None, bool, int, float, str, list, dict), and the place of every dotted key.

        Works on YAML's nodes, so no constructor ever runs: not for tags, nor for dates or merge keys.
        """
        places: dict[str, str] = {}
        try:
            for problem, mark in _refused(self.text):
                msg = f"{self.place(mark)}: {problem}"
                raise RecipeError(msg)
            node = yaml.compose(self.text, Loader=yaml.SafeLoader)
        except yaml.reader.ReaderError as error:
            line = self.text.count("\n", 0, error.position) + 1
            msg = f"{self._line(line)}: holds the control character {chr(error.character)!r}; remove it"
            raise RecipeError(msg) from None
        except yaml.MarkedYAMLError as error:
            msg = f"{self.place(error.problem_mark)}: is not valid YAML ({error.problem}); {self._remedy}"
            raise RecipeError(msg) from None
        return (None if node is None else self._value(node, (), places)), places

    @property
    def _remedy(self) -> str:
        if self.is_file:
            return "write `key: value` lines, and quote text that has special characters"
        return "quote a value that has special characters, as in --set 'pattern=\"[0-9]+\"'"

    def _value(self, node: yaml.Node, path: tuple[str, ...], places: dict[str, str]) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, places)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, path, {}) for item in node.value]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...], places: dict[str, str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, here = key_node.value, self.place(key_node.start_mark)
            if not isinstance(key, str):
                msg = f"{here}: a key must be a name, such as `grid: monai`"
                raise RecipeError(msg)
            name = ".".join((*path, key))
            if key in values:
                first = f" (first in line {lines[key]})" if self.is_file else ""
                msg = f"{here}: {_shown(name)} is set twice{first}; keep one of the two"
                raise RecipeError(msg)
            lines[key] = key_node.start_mark.line + 1
            places[name] = here
            values[key] = self._value(value_node, (*path, key), places)
        return values

    def _scalar(self, node: yaml.Node, path: tuple[str, ...]) -> bool | int | float | str | None:
        text = str(node.value)
        match node.tag.rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return text.lower() in ("true", "yes", "on")
            case "int" | "float" as kind:
                if not _PLAIN_NUMBER.fullmatch(text):
                    key = f"{'.'.join(path)}: " if path else ""
                    problem = f"{_shown(text)} is another number to YAML than to you; write a plain decimal"
                    msg = f"{self.place(node.start_mark)}: {key}{problem}"
                    raise RecipeError(msg)
                return int(text) if kind == "int" else float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
            case _:
                return text


def _refused(text: str) -> Iterator[tuple[str, Any]]:
    """Find what YAML has and a recipe must not (tags, aliases, a second document, ...), each with YAML's mark."""
    documents = depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            yield "a recipe is one YAML document; remove what follows the second ---", event.start_mark
        if (tag := getattr(event, "tag", None)) is not None:
            yield f"the tag {_shown(tag)} is not allowed, a recipe is plain data; remove it", event.start_mark
        if getattr(event, "anchor", None) is not None:
            yield "anchors (&) and aliases (*) are not allowed; write the value out, or quote it", event.start_mark
        if count > _MAX_EVENTS:
            yield "holds more values than any recipe; give the path of a recipe in YAML", event.start_mark
        if depth > _MAX_DEPTH:
            yield "is nested too deeply; the deepest key of a recipe is normalization.foreground", event.start_mark
