"""What others call: the public names with their parameters, and the commands with their options, as plain values.

``python -m tests.signatures`` prints those of this version, for the file of a release.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import typer

import monai_mriprep
from monai_mriprep.cli.app import app

PLAIN = (str, int, float, bool, tuple, type(None))
BY_PLACE = ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD")

Facts = dict[str, Any]


def public_api() -> Facts:
    """The Python interface by name (``Class.method``, too), and the command line by command."""
    return {"python": dict(_python()), "commands": dict(_commands())}


def _python() -> Iterator[tuple[str, Facts]]:
    for name in sorted(monai_mriprep.__all__):
        value = getattr(monai_mriprep, name)
        yield name, _described(value)
        if inspect.isclass(value):
            yield from ((f"{name}.{member}", _described(found)) for member, found in _members(value))


def _members(of: type) -> Iterator[tuple[str, Any]]:
    """What a class of ours has in public, without what it has from others'."""
    for name in sorted(dir(of)):
        home = next((base for base in of.__mro__ if name in vars(base)), object)
        if not name.startswith("_") and home.__module__.startswith("monai_mriprep"):
            yield name, inspect.getattr_static(of, name)


def _described(value: Any) -> Facts:
    called = getattr(value, "__func__", value)
    if not callable(called):
        return {"kind": "value"}
    if inspect.isclass(value):
        parameters = [] if issubclass(value, Exception) else _parameters(value)
        return {"kind": "class", "parameters": parameters}
    return {"kind": "function", "parameters": _parameters(called)}


def _parameters(called: Callable[..., Any]) -> list[Facts]:
    return [
        {"name": parameter.name, "kind": parameter.kind.name, **_default(parameter.default)}
        for parameter in inspect.signature(called).parameters.values()
    ]


def _default(value: Any) -> Facts:
    if value is inspect.Parameter.empty:
        return {}
    return {"default": repr(value) if isinstance(value, PLAIN) else type(value).__name__}


def _commands() -> Iterator[tuple[str, list[str]]]:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name in sorted(commands):
        options = [option for given in commands[name].params for option in (*given.opts, *given.secondary_opts)]
        yield name, sorted(options)


def broken(before: Facts, now: Facts) -> list[str]:
    """What a caller of `before` would stumble over; what is new and optional is none of it."""
    found = [f"{name} is gone" for name in before["python"] if name not in now["python"]]
    for name, then in before["python"].items():
        if name in now["python"]:
            found += [f"{name}: {change}" for change in _changes(then, now["python"][name])]
    for command, options in before["commands"].items():
        lost = set(options) - set(now["commands"].get(command, ()))
        found += [f"monai-mriprep {command}: {option} is gone" for option in sorted(lost)]
    return found


def _changes(then: Facts, now: Facts) -> Iterator[str]:
    if then["kind"] != now["kind"]:
        yield f"was a {then['kind']}, is a {now['kind']}"
        return
    before, after = then.get("parameters", []), now.get("parameters", [])
    if any(parameter["kind"] == "VAR_POSITIONAL" for parameter in before):  # of MONAI, where it tells no names
        return
    by_name = {parameter["name"]: parameter for parameter in after}
    for parameter in before:
        if parameter["name"] not in by_name:
            yield f"{parameter['name']} is gone"
        elif change := _change(parameter, by_name[parameter["name"]]):
            yield f"{parameter['name']} {change}"
    names = {parameter["name"] for parameter in before}
    for parameter in after:
        if parameter["name"] not in names and "default" not in parameter and not parameter["kind"].startswith("VAR"):
            yield f"{parameter['name']} is new and must be given"
    if (order := _by_place(before)) != _by_place(after)[: len(order)]:
        yield f"are in another order: {_by_place(after)}, which was {order}"


def _change(then: Facts, now: Facts) -> str | None:
    if "default" in then and then["default"] != now.get("default"):
        return f"was {then['default']} by default, is {now.get('default', 'to be given')}"
    return "may be given by place no more" if then["kind"] in BY_PLACE and now["kind"] not in BY_PLACE else None


def _by_place(parameters: list[Facts]) -> list[str]:
    return [parameter["name"] for parameter in parameters if parameter["kind"] in BY_PLACE]


if __name__ == "__main__":
    print(json.dumps(public_api(), indent=1))  # noqa: T201
