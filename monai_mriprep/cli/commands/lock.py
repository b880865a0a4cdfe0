"""`lock`: sources, recipe and arrays of an output folder, on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_mriprep.cli.options import Json, OutputRoot, Workers
from monai_mriprep.cli.show import ATTENTION, OK, log, report, say_exactly
from monai_mriprep.cli.signals import begins_anew
from monai_mriprep.cli.streams import lost_result

__all__ = ["lock"]


@begins_anew()
def lock(
    output_root: OutputRoot,
    dataset: Annotated[
        Path | None,
        typer.Option("--dataset", metavar="FOLDER", help="Where the sources are now.", show_default="as for the run"),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Lock what is finished, though other cases have failed.")
    ] = False,
    workers: Workers = None,
    as_json: Json = False,
) -> int:
    """Write down what a preprocessed dataset was made of, by what, and every array, for `reproduce`: to stdout.

    All sources and all files are read again. With --json only what was found is told.
    Exit status: 0 the lock is written, 1 something is not as recorded, and nothing is written, or not all could be
    written, 2 there are no records.
    """
    from monai_mriprep.proof.lock import lock_output
    from monai_mriprep.report.proof_text import lock_json, lock_text

    found = lock_output(output_root, dataset, partial, workers)
    if as_json:
        report((), lock_json(found), as_json)
    else:
        say_exactly(found.lines)
        for line in lock_text(found):
            log(line)
    return ATTENTION if found.problems or lost_result() else OK
