"""The command line of a command, put together again of what its user has given."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import typer

from monai_mriprep.formats.names import address_in

__all__ = ["given_words"]


def given_words(context: typer.Context, without: Collection[str] = ()) -> list[str]:
    """The words after the name of a command, in the order in which its help names them.

    Parameters
    ----------
    context
        Of the command.
    without
        Names of parameters that are left out.
    """
    named = {parameter.name: parameter for parameter in context.command.params if parameter.name not in without}
    sources = {name: context.get_parameter_source(name) for name in named if name is not None}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    return [word for name in given for word in _words(named[name], context.params[name])]


def _words(parameter: Any, value: object) -> Iterator[str]:
    if parameter.param_type_name == "argument":
        yield f"./{value}" if str(value).startswith("-") else address_in(str(value)) or str(value)
    elif parameter.is_flag:
        yield (parameter.opts if value else parameter.secondary_opts)[0]
    else:
        for one in value if isinstance(value, list | tuple) else [value]:
            yield from (parameter.opts[0], str(one))
