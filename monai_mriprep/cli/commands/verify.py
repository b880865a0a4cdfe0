"""`verify`: every file is read and compared with its record."""

from __future__ import annotations

from monai_mriprep.cli.options import OutputRoot, Workers
from monai_mriprep.cli.show import ATTENTION, OK, say

__all__ = ["verify"]


def verify(output_root: OutputRoot, workers: Workers = None) -> int:
    """Read every preprocessed file and compare it with its record.

    Exit status: 0 all that is there is as recorded, 1 something is not, 2 there are no records.
    """
    from monai_mriprep.report.text import verify_text
    from monai_mriprep.verify.audit import verify_output

    report = verify_output(output_root, workers)
    say("\n".join(verify_text(report)))
    return ATTENTION if report.problems else OK
