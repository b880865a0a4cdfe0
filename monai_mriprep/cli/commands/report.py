"""`report`: what a run did and found, as a page to look at."""

from __future__ import annotations

from monai_mriprep.cli.options import Json, OutputRoot
from monai_mriprep.cli.show import OK
from monai_mriprep.cli.show import report as show

__all__ = ["report"]


def report(output_root: OutputRoot, as_json: Json = False) -> int:
    """Write OUTPUT_ROOT/report.html: pictures, charts, and the cases that deserve a look; opens offline.

    It is made of the records and of the pictures that a run has drawn; where there are none, they are drawn of the
    preprocessed files alone.

    Exit status: 0 it is written, whatever it shows, 2 it could not be made.
    """
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.report.facts import report_json
    from monai_mriprep.report.html.write import write_report
    from monai_mriprep.report.text import report_text
    from monai_mriprep.store.layout import REPORT

    with log_lines():
        page = write_report(output_root)
    show(report_text(page, output_root / REPORT), report_json(page, output_root / REPORT), as_json)
    return OK
