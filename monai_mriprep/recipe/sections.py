"""Sections of a YAML file, validated strictly; all their errors become one message."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["PLAIN_NUMBER", "ExplainedError", "Section", "Sections", "explanation", "facts_of", "keys_of", "shown"]

PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9]\d{0,17}|(\d+\.\d*|\.\d+)([eE][-+]\d+)?|\.inf|\.nan)", re.IGNORECASE)
"""Numbers that a person and YAML 1.1 read alike; YAML 1.1 also has octal, base 60 and underscores."""
_BARE_EXPONENT = re.compile(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)")
"""Numbers that YAML 1.1 takes for text, because it wants a point and a signed exponent."""


class ExplainedError(ValueError):
    """A reason that says by itself what to do, so that nothing is added to it."""


Path = tuple[str, ...]
"""The names of the sections that a key is in, then the key; () is the whole file."""


class Section(BaseModel):
    """Keys and values: frozen, no unknown keys, no conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


Sections = Mapping[Path, type[Section]]
"""Each section by its path."""


def facts_of(section: type[BaseModel], key: str) -> dict[str, Any]:
    """The facts that are declared with a key, such as its allowed values."""
    return dict(cast("Mapping[str, Any]", section.model_fields[key].json_schema_extra or {}))


def keys_of(sections: Sections) -> list[str]:
    """Every key that takes a value, with a dot between section and key."""
    keys = [(*path, key) for path, section in sections.items() for key in section.model_fields]
    return [".".join(key) for key in keys if key not in sections]


def explanation(
    error: ValidationError, data: object, places: Mapping[str, str], sections: Sections, also: Iterable[str] = ()
) -> str:
    """All problems, one line for each key, each with its place.

    Parameters
    ----------
    error
        Of a section, the first of `sections`.
    data
        The whole input, as it was given.
    places
        The place of each dotted key, such as a line of the file; "" is the whole.
    sections
        That section and those inside it.
    also
        Further keys to suggest for an unknown one.
    """
    root = next(iter(sections))
    details: dict[Path, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        path = (*root, *(str(part) for part in detail["loc"]))
        details.setdefault(_key_path(path, sections), []).append(detail)
    keys = [*keys_of(sections), *also]
    lines = [
        f"{_place(places, path)}: {_problem(path, found, data, sections, keys)}" for path, found in details.items()
    ]
    return lines[0] if len(lines) == 1 else f"{len(lines)} problems\n  " + "\n  ".join(lines)


def _key_path(path: Path, sections: Sections) -> Path:
    """The path of the key that an error is about, without pydantic's steps into unions and tuples."""
    depth = max(len(section) for section in sections if path[: len(section)] == section)
    return path[: depth + 1]


def _place(places: Mapping[str, str], path: Path) -> str:
    """The place where a key, or the nearest section around it, was set."""
    for depth in range(len(path), -1, -1):
        if (place := places.get(".".join(path[:depth]))) is not None:
            return place
    return "recipe"


def _problem(path: Path, details: list[ErrorDetails], data: object, sections: Sections, keys: list[str]) -> str:
    """The problem in words: the key, what was found, what is allowed."""
    name, value = ".".join(path), _at(data, path)
    if not path:
        return f"must be a mapping of keys to values, not {shown(data)}; the keys are {', '.join(keys)}"
    if details[0]["type"] in ("extra_forbidden", "invalid_key"):
        return _unknown_key(name, keys)
    if path[:-1] not in sections:
        return f"{name}: must be a section with the keys {', '.join(sections[path].model_fields)}; not {shown(value)}"
    allowed = facts_of(sections[path[:-1]], path[-1]).get("allowed", "")
    if reasons := [detail["ctx"]["error"] for detail in details if "error" in detail.get("ctx", {})]:
        if isinstance(reasons[0], ExplainedError):
            return f"{name}: {'; '.join(map(str, reasons))}"
        return f"{name}: {shown(value)} {reasons[0]}; it must be {allowed}"
    numeric = any(detail["type"] in ("float_type", "int_type") for detail in details)
    return f"{name}: must be {allowed}; not {shown(value)}{_number_hint(value) if numeric else ''}"


def _unknown_key(name: str, keys: list[str]) -> str:
    """The message for an unknown key, with the most similar key and all keys."""
    asked = name.lower().replace("-", "_").strip()
    near = difflib.get_close_matches(asked, keys, n=1, cutoff=0.55)
    near = [key for key in keys if "." in key and key.rpartition(".")[2] == asked] or near
    guess = f"did you mean {near[0]}? The" if near else "the"
    return f"{shown(name)} is not a key of the recipe; {guess} keys are {', '.join(keys)}"


def _at(data: Any, path: Path) -> object:
    """The value at a path, as it was given; only what is inside a mapping can have a problem of its own."""
    return reduce(lambda section, key: section.get(key), path, data)


def _number_hint(value: object) -> str:
    """How to write a number that YAML took for text."""
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
