"""`diff`: what tells two output folders apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_mriprep.cli.options import Json
from monai_mriprep.cli.show import ATTENTION, OK, report

__all__ = ["diff"]


def diff(
    a: Annotated[Path, typer.Argument(metavar="OUT_A", help="Folder of a preprocessed dataset.", show_default=False)],
    b: Annotated[Path, typer.Argument(metavar="OUT_B", help="Another one.", show_default=False)],
    as_json: Json = False,
) -> int:
    """Say what tells two output folders apart, by their records: cases, recipe, target, arrays, volumes of classes.

    No voxel is read. Exit status: 0 the same cases with the same arrays, 1 something differs, 2 one cannot be read.
    """
    from monai_mriprep.report.comparison import comparison_text
    from monai_mriprep.report.facts import diff_json
    from monai_mriprep.verify.compare import compare_outputs

    found = compare_outputs(a, b)
    report(comparison_text(found), diff_json(found), as_json)
    return OK if found.is_equal else ATTENTION
