"""Steps from outside: a recipe names them, and whoever defines one registers it under that name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, PlainSerializer, ValidationError

from monai_mriprep.errors import RecipeError

__all__ = ["ENTRY_POINTS", "NamedModel", "described", "made", "register", "registered"]

ENTRY_POINTS = "monai_mriprep.steps"
"""Group of entry points in which an installed package names its steps, so that the commands find them."""

NAME = "step"
"""The key that names the model; the others are its settings."""

_MODELS: dict[str, type[BaseModel]] = {}


def register(name: str, model: type[BaseModel]) -> None:
    """Make a model known under a name; the same one may be registered again.

    Raises
    ------
    RecipeError
        If another model has the name.
    """
    known = _MODELS.setdefault(name, model)
    if (known.__module__, known.__qualname__) != (model.__module__, model.__qualname__):
        msg = (
            f"a step named {name!r} is registered already, {known.__module__}.{known.__qualname__}; choose another name"
        )
        raise RecipeError(msg)
    _MODELS[name] = model


def registered(name: str) -> type[BaseModel]:
    """Look up a model, among the entry points of installed packages too.

    Raises
    ------
    RecipeError
        If nobody has registered it.
    """
    if name not in _MODELS:
        for entry in entry_points(group=ENTRY_POINTS, name=name):
            register(name, entry.load())
    if name not in _MODELS:
        msg = (
            f"no step is registered as {name!r}; known are {', '.join(sorted(_MODELS))}. Import the module that calls "
            f"register_step, or install the package that names it as an entry point of {ENTRY_POINTS}"
        )
        raise RecipeError(msg)
    return _MODELS[name]


def made(described: object) -> BaseModel:
    """The model that a name, or a mapping of its name and settings, describes.

    Raises
    ------
    RecipeError
        If it is neither, nobody has registered the name, or a setting is not allowed.
    """
    if isinstance(described, BaseModel) and _MODELS.get(_name_of(described)) is type(described):
        return described
    facts = {NAME: described} if isinstance(described, str) else described
    if not isinstance(facts, Mapping) or not isinstance(facts.get(NAME), str):
        msg = f"{described!r} is no step; give the name of one, or a mapping such as {{step: NAME, setting: value}}"
        raise RecipeError(msg)
    settings = {key: value for key, value in facts.items() if key != NAME}
    try:
        return registered(facts[NAME]).model_validate(settings)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}, found {one['input']!r}" for one in error.errors()
        )
        msg = f"the settings of step {facts[NAME]!r} are not allowed: {problems}"
        raise RecipeError(msg) from None


def described(model: BaseModel) -> dict[str, Any]:
    """Name and settings as JSON can hold them; `made` takes them back."""
    return {NAME: _name_of(model), **model.model_dump(mode="json")}


def _name_of(model: BaseModel) -> str:
    return next((name for name, known in _MODELS.items() if known is type(model)), "")


def _made_in_recipe(value: object) -> BaseModel:
    try:
        return made(value)
    except RecipeError as error:
        raise ValueError(str(error)) from None


NamedModel = Annotated[BaseModel, BeforeValidator(_made_in_recipe), PlainSerializer(described)]
"""A registered model in a recipe."""
