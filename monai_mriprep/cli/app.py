"""The application: its commands, and the options that it has without one."""

from __future__ import annotations

from typing import Annotated

import typer

import monai_mriprep
from monai_mriprep.cli.commands.check import check
from monai_mriprep.cli.commands.demo import demo
from monai_mriprep.cli.commands.prune import prune
from monai_mriprep.cli.commands.recipe import recipe
from monai_mriprep.cli.commands.repair import repair
from monai_mriprep.cli.commands.restore import restore
from monai_mriprep.cli.commands.run import run
from monai_mriprep.cli.commands.split import split
from monai_mriprep.cli.commands.stats import stats
from monai_mriprep.cli.commands.verify import verify
from monai_mriprep.cli.show import say

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


for command in (run, check, verify, prune, repair, stats, recipe, restore, split, demo):
    app.command()(command)
