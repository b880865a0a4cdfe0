"""`prune`: what retired cases have left is deleted."""

from __future__ import annotations

from typing import Annotated

import typer

from monai_mriprep.cli.options import Json, OutputRoot, Quiet, Verbose
from monai_mriprep.cli.show import ATTENTION, OK, report, warn

__all__ = ["prune"]


def prune(
    output_root: OutputRoot,
    cases: Annotated[
        list[str] | None, typer.Argument(metavar="[CASE]...", help="Names of retired cases.", show_default="all")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted; delete nothing.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Delete what retired cases have left: their volumes in retired/, their records, their rows of manifest.csv.

    Exit status: 0 all of it is deleted, 1 something may hold data of theirs still, 2 nothing was deleted.
    """
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.report.facts import plain
    from monai_mriprep.report.text import prune_text
    from monai_mriprep.run.prune import prune_output

    with log_lines(verbose, quiet):
        summary = prune_output(output_root, cases or (), dry)
    report(prune_text(summary, dry), plain(summary), as_json)
    warn(summary.warnings)
    return ATTENTION if summary.warnings else OK
