"""`restore`: predictions go back onto the grids of their sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_mriprep.cli.options import Json, OutputRoot, Quiet, Verbose
from monai_mriprep.cli.show import ATTENTION, OK, report

__all__ = ["restore"]


def restore(
    output_root: OutputRoot,
    predictions: Annotated[Path, typer.Argument(help="Folder of predictions, or one file.", show_default=False)],
    restored: Annotated[Path, typer.Argument(help="Folder for the restored files.", show_default=False)],
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Keep floats, all channels.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Put predictions back onto the grid and into the format of their source images.

    Exit status: 0 all are restored, 1 some were refused, 2 there are no records.
    """
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.report.facts import plain
    from monai_mriprep.report.text import restore_text
    from monai_mriprep.restore.command import restore_each

    with log_lines(verbose, quiet):
        summary = restore_each(output_root, predictions, restored, probabilities)
    report(restore_text(summary), plain(summary), as_json)
    return ATTENTION if summary.refused else OK
