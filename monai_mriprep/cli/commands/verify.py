"""`verify`: every file is read and compared with its record."""

from __future__ import annotations

from monai_mriprep.cli.options import Json, OutputRoot, Workers
from monai_mriprep.cli.show import ATTENTION, OK, report

__all__ = ["verify"]


def verify(output_root: OutputRoot, workers: Workers = None, as_json: Json = False) -> int:
    """Read every preprocessed file and compare it with its record.

    Exit status: 0 all that is there is as recorded, 1 something is not, 2 there are no records.
    """
    from monai_mriprep.report.facts import verify_json
    from monai_mriprep.report.text import verify_text
    from monai_mriprep.verify.audit import verify_output

    found = verify_output(output_root, workers)
    report(verify_text(found), verify_json(found), as_json)
    return ATTENTION if found.problems else OK
