"""Reading a recipe from YAML and from ``key=value``."""

from __future__ import annotations

import os
import re
import stat
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe.model import Recipe, all_keys
from monai_mriprep.recipe.run_settings import RUN_KEYS, RunSettings
from monai_mriprep.recipe.sections import PLAIN_NUMBER, shown

__all__ = ["load_config", "load_recipe"]

_MAX_BYTES = 64 * 1024
"""Largest file that is read. A recipe is a few lines, and the parser takes seconds for a megabyte."""
_MAX_DEPTH = 8
"""Deepest nesting that is read; the deepest that is allowed is a setting of a step, 3."""
_MAX_EVENTS = 1000
"""Largest number of keys, values and brackets that are parsed, to bound the time; a full recipe has about 50."""


def load_recipe(path: str | Path | None = None, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe from a YAML file and change single keys.

    The file is one YAML document, a mapping in UTF-8 of at most 64 KiB, without tags, anchors, aliases or duplicate
    keys; an empty one means the defaults. Numbers are plain decimals. A section ``run``, which says
    where a run reads and writes, is checked and left out; `load_config` gives it, too.

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
    return load_config(path, overrides)[0]


def load_config(path: str | Path | None = None, overrides: Iterable[str] = ()) -> tuple[Recipe, RunSettings]:
    """Read a recipe and the optional section ``run`` of the same file.

    Parameters
    ----------
    path, overrides
        As in `load_recipe`; ``run.workers=2`` changes a key of the section.

    Returns
    -------
    Recipe
        What is done to every case.
    RunSettings
        Where the run reads and writes, and what it may use; None for what is not set.

    Raises
    ------
    RecipeError
        As in `load_recipe`.
    """
    draft = _Draft() if path is None else _read_file(Path(path))
    for item in [overrides] if isinstance(overrides, str) else overrides:
        _override(draft, item)
    settings = RunSettings.model_validate(draft.values.pop("run", {}), context=draft.places)
    return Recipe.model_validate(draft.values, context=draft.places), settings


@dataclass
class _Draft:
    """Keys and values before validation, and the place of each dotted key ("" is the whole)."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


def _read_file(path: Path) -> _Draft:
    source = _Source(str(path), _read_text(path), is_file=True)
    values, places = source.parse()
    if values is None:
        values = {}
    if not isinstance(values, dict):
        msg = f"{path}: must hold keys and values, such as `grid: monai`, not {shown(values)}"
        raise RecipeError(msg)
    return _Draft(values, {"": str(path)} | places)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to would be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # which Windows does not have


def _read_text(path: Path) -> str:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            content = file.read(_MAX_BYTES + 1) if is_regular else b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{path}: cannot be read ({reason}); give the path of a recipe in YAML; `monai-mriprep recipe` prints one"
        raise RecipeError(msg) from None
    if not is_regular:
        msg = f"{path}: is no regular file, but a pipe or a device; save the recipe to a file and give its path"
        raise RecipeError(msg)
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
        msg = (
            f"{place}: must be key=value, such as --set grid=nnunet; the keys are {', '.join((*all_keys(), *RUN_KEYS))}"
        )
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

        Works on YAML's nodes, so that no constructor ever runs for a tag, a date or a merge key.
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
                msg = f"{here}: {shown(name)} is set twice{first}; keep one of the two"
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
                if not PLAIN_NUMBER.fullmatch(text):
                    key = f"{'.'.join(path)}: " if path else ""
                    problem = f"{shown(text)} is another number to YAML than to you; write a plain decimal"
                    msg = f"{self.place(node.start_mark)}: {key}{problem}"
                    raise RecipeError(msg)
                return int(text) if kind == "int" else float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
            case _:
                return text


def _refused(text: str) -> Iterator[tuple[str, Any]]:
    """Find YAML that is not allowed in a recipe (tags, aliases, a second document, ...), each with its mark."""
    documents = depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            yield "a recipe is one YAML document; remove what follows the second ---", event.start_mark
        if (tag := getattr(event, "tag", None)) is not None:
            yield f"the tag {shown(tag)} is not allowed, a recipe is plain data; remove it", event.start_mark
        if getattr(event, "anchor", None) is not None:
            yield "anchors (&) and aliases (*) are not allowed; write the value out, or quote it", event.start_mark
        if count > _MAX_EVENTS:
            yield "holds more values than any recipe; give the path of a recipe in YAML", event.start_mark
        if depth > _MAX_DEPTH:
            yield "is nested too deeply; the deepest key of a recipe is normalization.foreground", event.start_mark
