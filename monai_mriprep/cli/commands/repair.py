"""`repair`: records are rebuilt from the files."""

from __future__ import annotations

from monai_mriprep.cli.options import OutputRoot
from monai_mriprep.cli.show import ATTENTION, OK, say

__all__ = ["repair"]


def repair(output_root: OutputRoot) -> int:
    """Rebuild lost or damaged records from the preprocessed files alone, so that predictions can be restored.

    Exit status: 0 every file has a record, 1 some file cannot have one, 2 there are no files.
    """
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.report.text import repair_text
    from monai_mriprep.verify.repair import repair_output

    with log_lines():
        report = repair_output(output_root)
    say("\n".join(repair_text(report)))
    return ATTENTION if report.problems else OK
