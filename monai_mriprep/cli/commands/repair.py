"""`repair`: records are rebuilt from the files."""

from __future__ import annotations

from monai_mriprep.cli.options import Json, OutputRoot, Quiet, Verbose
from monai_mriprep.cli.show import ATTENTION, OK, report

__all__ = ["repair"]


def repair(output_root: OutputRoot, as_json: Json = False, verbose: Verbose = False, quiet: Quiet = False) -> int:
    """Rebuild lost or damaged records from the preprocessed files alone, so that predictions can be restored.

    Exit status: 0 every file has a record, 1 some file cannot have one, 2 there are no files.
    """
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.report.facts import plain
    from monai_mriprep.report.text import repair_text
    from monai_mriprep.verify.repair import repair_output

    with log_lines(verbose, quiet):
        found = repair_output(output_root)
    report(repair_text(found), plain(found), as_json)
    return ATTENTION if found.problems else OK
