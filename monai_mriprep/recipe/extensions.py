"""Steps by name: recipes and records name a step, and the code that defines it registers it under that name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe.sections import ExplainedError

__all__ = ["ENTRY_POINTS", "PLACES", "NamedSettings", "StepOfRecipe", "register"]

ENTRY_POINTS = "monai_mriprep.steps"
"""Group of entry points in which an installed package names its steps, so that the commands find them."""

PLACES = ("orientation", "crop", "resampling", "normalization", "label_cast")
"""The steps of ours after which one from outside may come, by name. Each is a place even in a recipe without it."""

NAME = "step"
"""The key that holds the name; the others are settings."""

RESERVED = (NAME, "params")
"""What no setting may be called: in a record these stand beside the settings."""

_REGISTERED: dict[str, type[NamedSettings]] = {}

Named = TypeVar("Named", bound="NamedSettings")


class NamedSettings(BaseModel):
    """A registered name with its settings, frozen and strict: what a recipe and a record hold of a step."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: ClassVar[str]
    """In recipes and records."""
    follows: ClassVar[str] = "crop"
    """The place in a recipe that it comes after, one of `PLACES`; by default it is the last before the resampling."""

    def to_json(self) -> dict[str, Any]:
        """Name and settings, as plain values that `from_json` takes back."""
        return {NAME: self.name, **self.model_dump(mode="json")}

    @classmethod
    def from_json(cls: type[Named], facts: object) -> Named:
        """What a name, or a mapping of name and settings, stands for.

        Parameters
        ----------
        facts
            ``"flip"``, or ``{"step": "flip", "axis": "z"}``. Settings may be what JSON can hold, and triples.

        Raises
        ------
        RecipeError
            If it is neither, the name is not registered, or a setting is not allowed.
        """
        facts = {NAME: facts} if isinstance(facts, str) else facts
        if not isinstance(facts, Mapping) or not isinstance(facts.get(NAME), str):
            msg = f"{facts!r} is no step; give the name of one, or a mapping such as {{step: NAME, setting: value}}"
            raise RecipeError(msg)
        model = _registered(facts[NAME])
        if not issubclass(model, cls):
            msg = f"{facts[NAME]!r} is registered, but is no {cls.__name__}: {_dotted_name(model)}"
            raise RecipeError(msg)
        settings = {key: value for key, value in facts.items() if key != NAME}
        try:
            return model.model_validate_json(json.dumps(settings))
        except ValidationError as error:
            raise RecipeError(_explained(model, error)) from None
        except (TypeError, ValueError) as error:
            msg = f"the settings of step {facts[NAME]!r} are not plain values ({error}): {settings!r}"
            raise RecipeError(msg) from None


def register(model: type[Named]) -> type[Named]:
    """Make a step known under its name; the same one may be registered again.

    Raises
    ------
    RecipeError
        If it has no name or one that is taken, follows what is no place, or has a setting whose name is reserved.
    """
    name = getattr(model, "name", None)
    if not isinstance(name, str) or not name:
        msg = f'{_dotted_name(model)} has no name: write `name = "..."` in the class, without a type'
        raise RecipeError(msg)
    if model.follows not in PLACES:
        msg = f"step {name!r} follows {model.follows!r}; it must be one of {', '.join(PLACES)}"
        raise RecipeError(msg)
    if taken := [key for key in RESERVED if key in model.model_fields]:
        msg = f"step {name!r} has a setting called {taken[0]!r}, a key that records need; give it another name"
        raise RecipeError(msg)
    known = _REGISTERED.get(name, model)
    if _dotted_name(known) != _dotted_name(model):
        msg = f"a step named {name!r} is registered already, {_dotted_name(known)}; choose another name"
        raise RecipeError(msg)
    _REGISTERED[name] = model
    return model


def _dotted_name(model: type) -> str:
    return f"{model.__module__}.{model.__qualname__}"


def _registered(name: str) -> type[NamedSettings]:
    """Look up a step, among the entry points of installed packages too."""
    if name not in _REGISTERED:
        for entry in entry_points(group=ENTRY_POINTS, name=name):
            _load(entry)
    if name not in _REGISTERED:
        installed = (entry.name for entry in entry_points(group=ENTRY_POINTS))
        known = ", ".join(sorted({*_REGISTERED, *installed})) or "none"
        msg = (
            f"no step is registered as {name!r}. Import the module that calls register_step, or install the package "
            f"that names it as an entry point of {ENTRY_POINTS}; known are {known}"
        )
        raise RecipeError(msg)
    return _REGISTERED[name]


def _load(entry: EntryPoint) -> None:
    """Import a step of an installed package, and register it."""
    where = f"the entry point {entry.name!r} = {entry.value!r} of {ENTRY_POINTS}"
    try:
        model = entry.load()
    except Exception as error:  # the import of another package may raise anything
        msg = f"{where} cannot be imported ({error!r}); mend or remove the package that has it"
        raise RecipeError(msg) from error
    if not (isinstance(model, type) and issubclass(model, NamedSettings)) or getattr(model, "name", "") != entry.name:
        msg = f"{where} is no step of this name, but {model!r}"
        raise RecipeError(msg)
    register(model)


_IN_WORDS = {"extra_forbidden": " is no setting of it", "missing": " is missing"}
"""Errors of pydantic that are about the name of a setting, not its value."""


def _explained(model: type[NamedSettings], error: ValidationError) -> str:
    """The settings that are wrong, in a message."""
    problems = (
        ".".join(map(str, one["loc"])) + _IN_WORDS.get(one["type"], f": {one['msg']}, found {one['input']!r}")
        for one in error.errors()
    )
    settings = ", ".join(model.model_fields) or "none"
    return f"step {model.name!r} cannot have these settings: {'; '.join(problems)}; its settings are {settings}"


def _in_recipe(value: object) -> NamedSettings:
    """A step of a recipe: from its name and settings, or as it is if its class is the registered one."""
    try:
        if not isinstance(value, NamedSettings):
            return NamedSettings.from_json(value)
        if _registered(value.name) is type(value):
            return value
    except RecipeError as error:
        raise ExplainedError(str(error)) from None
    msg = f"{value!r} is not of the class that is now registered as {value.name!r}; make it again, of that class"
    raise ExplainedError(msg)


StepOfRecipe = Annotated[NamedSettings, BeforeValidator(_in_recipe), PlainSerializer(NamedSettings.to_json)]
"""A step in a recipe, by its name and settings; only their names are known here, not what they do."""
