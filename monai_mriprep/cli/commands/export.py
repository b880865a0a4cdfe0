"""`export`: the sources of an output folder, for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_mriprep.cli.options import Exclude, Json, OutputRoot, Quiet, Verbose
from monai_mriprep.cli.show import ATTENTION, OK, report

__all__ = ["export"]


def export(
    output_root: OutputRoot,
    nnunet: Annotated[
        Path,
        typer.Option("--nnunet", metavar="FOLDER", help="Where, such as Dataset101_Liver; new, or exported to before."),
    ],
    exclude: Exclude = None,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Write the sources of the finished cases as nnU-Net's raw data: .nii.gz, labels numbered without gaps.

    The same command resumes, and adds what is new. Exit status: 0 all are there, 1 some were refused, 2 not started.
    """
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.export.nnunet_raw import export_nnunet
    from monai_mriprep.report.facts import plain
    from monai_mriprep.report.text import export_text

    with log_lines(verbose, quiet):
        summary = export_nnunet(output_root, nnunet, exclude)
    report(export_text(summary), plain(summary), as_json)
    return ATTENTION if summary.refused else OK
