"""`reproduce`: the cases of a lock, made again and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_mriprep.cli.options import Json, MaxMemory, Quiet, Verbose, Workers, memory_size
from monai_mriprep.cli.show import ATTENTION, OK, report
from monai_mriprep.cli.signals import begins_anew
from monai_mriprep.errors import RecipeError

if TYPE_CHECKING:
    from monai_mriprep.cli.progress import LineHandler
    from monai_mriprep.proof.reproduce import Order, ReproduceReport

__all__ = ["reproduce"]


@begins_anew()
def reproduce(
    lock: Annotated[Path, typer.Argument(metavar="LOCK", help="File that `lock` has written.", show_default=False)],
    dataset: Annotated[Path, typer.Argument(help="Folder of the sources, wherever it is.", show_default=False)],
    cases: Annotated[
        str | None, typer.Option("--cases", metavar="NAME,NAME,...", help="Only these.", show_default="all")
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="So many, taken by chance.", show_default="all")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another one takes another sample.")] = 0,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="OUTPUT_ROOT",
            help="The folder that was locked: compare every voxel with its arrays.",
            show_default="hashes and samples of the lock",
        ),
    ] = None,
    workers: Workers = None,
    max_memory: MaxMemory = None,
    scratch: Annotated[
        Path | None,
        typer.Option(
            "--scratch",
            metavar="FOLDER",
            help="For what is made meanwhile; it is removed.",
            show_default="that of temporary files",
        ),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Make locked cases again from their sources, and compare every array: to the bit where packages and CPU agree.

    Exit status: 0 all are as locked, 1 some are not, and it says in what, 2 nothing was compared.
    """
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.proof.reproduce import order_of
    from monai_mriprep.report.proof_text import reproduce_json, reproduce_text

    memory = memory_size(max_memory)
    if cases is not None and sample is not None:
        msg = "--cases names the cases, and --sample takes some by chance; give one of them"
        raise RecipeError(msg)
    order = order_of(lock, dataset, None if cases is None else cases.split(","), sample, seed, against)
    with log_lines(verbose, quiet) as lines:
        found = _made_again(order, lines, workers, memory, scratch)
    report(reproduce_text(found), reproduce_json(found), as_json)
    return OK if found.is_proven else ATTENTION


def _made_again(
    order: Order, lines: LineHandler, workers: int | None, memory: int | None, scratch: Path | None
) -> ReproduceReport:
    """Do it, and show how it goes on."""
    from monai_mriprep.cli.progress import watched
    from monai_mriprep.machine import processors
    from monai_mriprep.run.estimates import case_seconds

    work = {case.name: case_seconds(case) for case in order.cases}
    with watched(lines, work, processors() if workers is None else workers) as watch:
        with watch.doing("loading MONAI"):
            from monai_mriprep.proof.again import reproduce as make_again
            from monai_mriprep.run.engines import ThisMachine
        return make_again(order, ThisMachine.limited(workers, memory), scratch, watch)
