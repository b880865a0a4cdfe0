"""The application: which commands there are, and how the one that is called is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import monai_mriprep
from monai_mriprep.cli.show import say

__all__ = ["GROUPS", "app"]

GROUPS = {
    "Work": {
        "run": "Preprocess a dataset; the same command resumes.",
        "plan": "Write down the cases, for machines that share the work.",
        "merge": "Make one run of what shards have done.",
        "restore": "Put predictions back onto the grids of their sources.",
        "demo": "Make a small synthetic dataset, and preprocess it.",
    },
    "Look before a run": {
        "check": "Say what a run would find, need and make.",
        "advise": "Say what target spacings keep of the labels.",
        "stats": "Compute the table of spacing statistics.",
        "recipe": "Print a recipe as YAML, every key with its meaning.",
    },
    "Look at what came out": {
        "report": "Make a page of pictures, charts and what deserves a look.",
    },
    "Move on to training": {
        "split": "Split the cases for cross-validation, by patient.",
        "export": "Write the sources as nnU-Net's raw data.",
        "nnunet": "Run nnU-Net's preprocessing or prediction, many times faster.",
    },
    "Prove what is there": {
        "verify": "Compare every preprocessed file with its record.",
        "diff": "Say what tells two output folders apart.",
        "lock": "Write down sources, recipe and arrays, for who must prove them.",
        "reproduce": "Make locked cases again, and compare every array.",
        "repair": "Rebuild lost or damaged records from the files.",
        "prune": "Delete what retired cases have left.",
    },
}
"""The commands as ``--help`` shows them. Each is the function of its name in the module of its name."""

NAMES = [name for group in GROUPS.values() for name in group]

SETTINGS: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class _Commands(Mapping[str, Any]):
    """The commands by name. One is loaded when it is asked for: ``--help`` needs none of them."""

    def __getitem__(self, name: str) -> Any:
        if name not in NAMES:
            raise KeyError(name)
        module = import_module(f"monai_mriprep.cli.commands.{name}")
        alone = typer.Typer(add_completion=False, **SETTINGS)
        alone.command(name, **getattr(module, "SETTINGS", {}))(getattr(module, name))
        return typer.main.get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


class _Group(TyperGroup):
    """Shows the commands in groups."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": _Commands()})

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return NAMES

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group, all with columns of one width."""
        width = max(map(len, NAMES))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])


app = typer.Typer(cls=_Group, no_args_is_help=True, **SETTINGS)


def _show_version(asked: bool) -> None:
    if asked:
        say(f"monai-mriprep {monai_mriprep.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """nnU-Net-style MRI preprocessing as MONAI transforms: exact, fast, and safe to interrupt."""
