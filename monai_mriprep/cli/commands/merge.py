"""`merge`: what shards have done becomes one run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_mriprep.cli.options import Json, OutputRoot, Quiet, Scratch, Verbose
from monai_mriprep.cli.show import ATTENTION, OK, report, warn

if TYPE_CHECKING:
    from monai_mriprep.run.merge import MergeSummary

__all__ = ["merge"]


def merge(
    output_root: OutputRoot,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Clear up after shards on other machines; they must have ended.")
    ] = False,
    show: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
    scratch: Scratch = None,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Make one run of what shards have done: their records become one file; manifest.csv, dataset.json, report.html.

    What dead shards have left is finished first. Nothing is lost if it is interrupted; the same command goes on.

    Exit status: 0 every case is finished, 1 some failed or are missing, 2 it could not be done.
    """
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.remote.at_hand import output_at_hand
    from monai_mriprep.report.facts import plain
    from monai_mriprep.report.merge_text import merge_text
    from monai_mriprep.run.merge import merge as merged

    with log_lines(verbose, quiet), output_at_hand(output_root, scratch) as here:
        found = merged(here.output, take_over, here.elsewhere)
        if show:
            found = here.reported(found, _with_report)
        found = here.finish_merge(found)
    report(merge_text(found), plain(found), as_json)
    warn(found.warnings, everything=verbose)
    return OK if found.is_complete else ATTENTION


def _with_report(found: MergeSummary) -> MergeSummary:
    from monai_mriprep.report.html.after_run import new_report

    page, suspects = new_report(Path(found.output_root), found.files > 0)
    return replace(found, report=page, suspects=suspects)
