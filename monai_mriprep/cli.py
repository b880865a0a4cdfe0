"""The command line. Results go to stdout; progress, warnings and errors to stderr.

Exit status: 0 all well; 1 finished, but some cases failed or something needs attention; 2 could not start;
130 interrupted, 143 terminated.
"""

from __future__ import annotations

import io
import json
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monai_mriprep.errors import MriprepError, RecipeError

if TYPE_CHECKING:
    from monai_mriprep.recipe import Recipe
    from monai_mriprep.run.cases import Case, Result
    from monai_mriprep.run.decide import Decision
    from monai_mriprep.run.session import RunSummary

OK, ATTENTION, COULD_NOT_START, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
RESUMES = "interrupted; the same command resumes"

app = typer.Typer(
    help="nnU-Net-style MRI preprocessing as MONAI transforms: exact, fast, and safe to interrupt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DatasetRoot = Annotated[Path, typer.Argument(help="Folder with ImagesTr and LabelsTr.", show_default=False)]
OutputRoot = Annotated[Path, typer.Argument(help="Folder of the preprocessed dataset.", show_default=False)]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Recipe, a YAML file.", show_default="built in")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the recipe; repeatable.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", "-w", min=0, help="Processes; 0 works in this one.", show_default="all cores")
]
MaxMemory = Annotated[
    str | None,
    typer.Option("--max-memory", metavar="SIZE", help="For all processes, such as 12G.", show_default="what there is"),
]


@app.command()
def run(
    dataset_root: DatasetRoot,
    output_root: OutputRoot,
    config: Config = None,
    settings: Settings = None,
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do finished cases again.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop after the first failed case.")] = False,
    max_memory: MaxMemory = None,
) -> int:
    """Preprocess a dataset. Finished cases are skipped, so an interrupted run is resumed by the same command."""
    from monai_mriprep.run.plan import plan_run
    from monai_mriprep.run.session import RunSummary, open_session

    memory = _bytes(max_memory)
    plan = plan_run(dataset_root, output_root, _recipe(config, settings))
    with open_session(plan, overwrite) as session:
        _warn(session.warnings)
        _log(plan.derivation)
        _log_redone(session.decisions)
        if not session.todo:
            return _summarize(RunSummary(output_root, skipped=session.skipped, warnings=session.warnings))

        from monai_mriprep.run.preprocess import execute  # loads MONAI, which takes seconds

        with _progress() as observe:
            summary = execute(session, workers, fail_fast, memory, observe)
        return _summarize(summary)  # on stdout, which the bar would take to stderr


@app.command()
def check(
    dataset_root: DatasetRoot,
    config: Config = None,
    settings: Settings = None,
    voxels: Annotated[bool, typer.Option("--voxels", help="Read all voxels, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    output_root: Annotated[
        Path | None, typer.Option("--output-root", help="Where the run would write.", show_default="current folder")
    ] = None,
    workers: Workers = None,
) -> int:
    """Say what a run would find, need and make, without running: pairs, headers, geometry, sizes, disk, memory, time.

    Exit status: 0 all well, 1 something needs attention, 2 not one case can be preprocessed.
    """
    from monai_mriprep.report.text import check_json, check_text
    from monai_mriprep.run.check import check_dataset

    report = check_dataset(dataset_root, _recipe(config, settings), voxels, workers, output_root)
    typer.echo(json.dumps(check_json(report), indent=2) if as_json else "\n".join(check_text(report)))
    return {"ready": OK, "attention": ATTENTION, "impossible": COULD_NOT_START}[report.status]


@app.command()
def verify(output_root: OutputRoot, workers: Workers = None) -> int:
    """Read every preprocessed file and compare it with its record.

    Exit status: 0 all that is there is as recorded, 1 something is not, 2 there are no records.
    """
    from monai_mriprep.report.text import verify_text
    from monai_mriprep.run.verify import verify_output

    report = verify_output(output_root, workers)
    typer.echo("\n".join(verify_text(report)))
    return ATTENTION if report.problems else OK


@app.command()
def stats(
    dataset_root: DatasetRoot,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the table to this file.")] = None,
    config: Config = None,
    settings: Settings = None,
) -> int:
    """Compute the table of spacing statistics from the headers of the paired images."""
    from monai_mriprep.dataset.pairing import pair_by_stem
    from monai_mriprep.dataset.statistics import derive_target, statistics_of
    from monai_mriprep.dataset.volumes import find_folders

    folders = find_folders(dataset_root)
    pairing = pair_by_stem(folders.images, folders.labels, _recipe(config, settings).pattern)
    _warn(orphan.reason for orphan in (*pairing.unpaired_images, *pairing.unpaired_labels))
    statistics = statistics_of(pairing)
    derived = derive_target(statistics)
    _log(f"{len(pairing)} paired images; {derived.text}")
    _warn(derived.warnings)
    if output is None:
        typer.echo(statistics.as_csv(), nl=False)
    else:
        statistics.to_csv(output)
        typer.echo(output)
    return OK


@app.command()
def restore(
    output_root: OutputRoot,
    predictions: Annotated[Path, typer.Argument(help="Folder of predictions, or one file.", show_default=False)],
    restored: Annotated[Path, typer.Argument(help="Folder for the restored files.", show_default=False)],
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Keep floats, all channels.")] = False,
) -> int:
    """Put predictions back onto the grid and into the format of their source images."""
    from monai_mriprep.run.restore import restore_each

    def observe(prediction: Path, outcome: Path | MriprepError) -> None:
        _log(f"refused: {outcome}" if isinstance(outcome, MriprepError) else f"{prediction.name}: {outcome}")

    summary = restore_each(output_root, predictions, restored, probabilities, observe)
    counts = [f"{len(summary.restored)} restored"]
    counts += [f"{len(summary.refused)} REFUSED"] if summary.refused else []
    typer.echo(f"{', '.join(counts)}: {summary.folder}")
    for problem in summary.refused:
        typer.echo(f"  refused: {problem}")
    return ATTENTION if summary.refused else OK


@app.command()
def split(
    output_root: OutputRoot,
    folds: Annotated[int, typer.Option("--folds", "-k", min=2, help="Number of folds.")] = 5,
    patient: Annotated[
        str | None,
        typer.Option("--patient", metavar="REGEX", help="Finds the patient in a case's name: its group, or all of it."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another one gives another split.")] = 0,
) -> int:
    """Split the cases for cross-validation, by patient, and write splits_final.json as nnU-Net has it."""
    from monai_mriprep.run.split import SPLITS_NAME, patient_of, write_splits

    splits = write_splits(output_root, folds, patient, seed)
    typer.echo("fold  train   val  patients of val")
    for number, fold in enumerate(splits):
        patients = list(dict.fromkeys(patient_of(case, patient) for case in fold.val))
        more = ", ..." if len(patients) > 8 else ""
        typer.echo(
            f"{number:4} {len(fold.train):6} {len(fold.val):5}  {len(patients)}: {', '.join(patients[:8])}{more}"
        )
    typer.echo(output_root / SPLITS_NAME)
    return OK


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the demonstration goes.")] = Path("demo"),
    workers: Workers = None,
) -> int:
    """Make a small synthetic dataset, preprocess it, and show what happened to it."""
    from monai_mriprep.demo.make import make_demo

    _log(f"making a synthetic dataset in {folder / 'dataset'} ...")
    with _progress() as observe:
        report = make_demo(folder, workers, observe)
    _warn(report.summary.warnings)
    status = _summarize(report.summary)
    typer.echo(report.text)
    return status


class _Terminated(BaseException):
    """SIGTERM, raised so that workers are ended and the lock is freed on the way out."""


def _terminate(signum: int, frame: object) -> None:
    raise _Terminated


def main() -> None:
    """Run the command line; every error that we raise on purpose becomes one message."""
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be text
    try:
        status = app(standalone_mode=False)
        if status == INTERRUPTED:  # typer makes it of Ctrl-C, without a word
            status = _fail(RESUMES, INTERRUPTED)
    except MriprepError as error:
        status = _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):  # older versions of it make the one of the other
        status = _fail(RESUMES, INTERRUPTED)
    except _Terminated:
        status = _fail("terminated; the same command resumes", TERMINATED)
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        status = _usage(error)
    sys.exit(status)


def _usage(error: Any) -> int:
    """Show what click found wrong with the command line."""
    if hasattr(error, "show"):
        error.show()
    return int(error.exit_code)


def _recipe(config: Path | None, settings: list[str] | None) -> Recipe:
    from monai_mriprep.recipe import load_recipe

    return load_recipe(config, settings or ())


def _bytes(size: str | None) -> int | None:
    """Parse ``12G``, ``900M`` or a number of bytes; 1K is 1024."""
    if size is None:
        return None
    number, unit = size.strip().upper().removesuffix("IB").removesuffix("B"), 1
    if number[-1:] in "KMGT" and number:
        number, unit = number[:-1], 1024 ** (1 + "KMGT".index(number[-1]))
    try:
        value = int(float(number) * unit)
    except (ValueError, OverflowError):
        value = 0
    if value <= 0:
        msg = f"--max-memory {size}: expected a size such as 12G or 900M"
        raise RecipeError(msg)
    return value


def _log(message: str) -> None:
    typer.echo(message, err=True)


def _log_redone(decisions: Iterable[tuple[Case, Decision]]) -> None:
    """Say why finished cases are done again; a reason that many share is said once."""
    reasons = Counter(decision.reason for _, decision in decisions if decision.action == "redo")
    for reason, count in reasons.items():
        _log(f"redo: {reason}" + f" ({count} cases)" * (count > 1))


def _warn(messages: Any) -> None:
    for message in messages:
        _log(f"warning: {message}")


def _fail(message: str, status: int = COULD_NOT_START) -> int:
    _log(f"error: {message}")
    return status


@contextmanager
def _progress() -> Iterator[Callable[[Result, int, int], None]]:
    """A bar on a terminal, a line for each case elsewhere; failures and warnings are always lines."""
    if not sys.stderr.isatty():
        yield _report_case
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("preprocessing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def observe(result: Result, finished: int, total: int) -> None:
            bar.update(task, completed=finished, total=total)
            if result.error or result.warnings:
                _report_case(result, finished, total)

        yield observe


def _report_case(result: Result, finished: int, total: int) -> None:
    _warn(result.warnings)
    if result.error:
        _log(f"[{finished}/{total}] {result.case}: FAILED: {result.error}")
    else:
        shape = " x ".join(map(str, result.facts["target_grid"]["shape"]))
        seconds = sum(result.facts["seconds"].values())
        _log(f"[{finished}/{total}] {result.case}: {shape} in {seconds:.2f} s")


def _summarize(summary: RunSummary) -> int:
    """Say what the run did, and return the exit status."""
    counts = [f"{len(summary.done)} preprocessed"]
    counts += [f"{len(summary.skipped)} already done"] if summary.skipped else []
    counts += [f"{len(summary.failed)} FAILED"] if summary.failed else []
    typer.echo(f"{', '.join(counts)} in {summary.seconds:.1f} s: {summary.output_root}")
    for result in summary.failed:
        typer.echo(f"  failed: {result.case}: {result.error}")
    if summary.stopped:
        return _fail(f"stopped: {summary.stopped}", ATTENTION)
    return ATTENTION if summary.failed else OK
