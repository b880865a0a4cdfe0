"""The commands, one function each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import monai_mriprep
from monai_mriprep.cli.options import (
    CaseTimeout,
    Config,
    DatasetRoot,
    MaxMemory,
    OutputRoot,
    Settings,
    Workers,
    configured,
    memory_size,
    required,
)
from monai_mriprep.cli.show import ATTENTION, COULD_NOT_START, OK, log, say, summarize, warn

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        say(f"monai-mriprep {monai_mriprep.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """nnU-Net-style MRI preprocessing as MONAI transforms: exact, fast, and safe to interrupt."""


@app.command()
def run(
    dataset_root: DatasetRoot = None,
    output_root: Annotated[
        Path | None,
        typer.Argument(help="Folder of the preprocessed dataset.", show_default="run.output of the config"),
    ] = None,
    config: Config = None,
    settings: Settings = None,
    workers: Workers = None,
    redo: Annotated[
        bool,
        typer.Option("--redo", "--overwrite", help="Do all cases again, by this recipe; --overwrite is its old name."),
    ] = False,
    retire: Annotated[
        bool, typer.Option("--retire", help="Move files of cases that left the dataset, however many, to retired/.")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Clear up after runs on other machines; they must have ended.")
    ] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop after the first failed case.")] = False,
    max_memory: MaxMemory = None,
    case_timeout: CaseTimeout = None,
) -> int:
    """Preprocess a dataset. Finished cases are skipped, so an interrupted run is resumed by the same command.

    Exit status: 0 all went well, 1 some cases failed or it was stopped, 2 nothing was started,
    130 interrupted, 143 terminated.
    """
    from monai_mriprep.cli.progress import log_lines, progress
    from monai_mriprep.run.plan import plan_run
    from monai_mriprep.run.session import open_session

    limits = {"workers": workers, "max_memory": memory_size(max_memory), "case_timeout": case_timeout}
    recipe, job = configured(config, settings, dataset=dataset_root, output=output_root, **limits)
    dataset, output = required(job.dataset, "DATASET_ROOT", "dataset"), required(job.output, "OUTPUT_ROOT", "output")
    plan = plan_run(dataset, output, recipe, redo)
    with log_lines() as lines, open_session(plan, retire, take_over) as session:
        if not session.todo:
            return summarize(session.summary())

        from monai_mriprep.run.preprocess import execute  # loads MONAI, which takes seconds

        with progress(lines) as observe:
            summary = execute(session, job.workers, fail_fast, job.max_memory, observe, job.case_timeout)
        return summarize(summary)  # on stdout, which the bar would take to stderr


@app.command()
def check(
    dataset_root: DatasetRoot = None,
    config: Config = None,
    settings: Settings = None,
    voxels: Annotated[bool, typer.Option("--voxels", help="Read all voxels, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    output_root: Annotated[
        Path | None,
        typer.Option("--output-root", help="Where the run would write.", show_default="run.output, or here"),
    ] = None,
    workers: Workers = None,
) -> int:
    """Say what a run would find, need and make, without running: pairs, headers, geometry, sizes, disk, memory, time.

    Exit status: 0 all well, 1 something needs attention, 2 not one case can be preprocessed.
    """
    from monai_mriprep.report.text import check_json, check_text
    from monai_mriprep.run.check import check_dataset

    recipe, job = configured(config, settings, dataset=dataset_root, output=output_root, workers=workers)
    dataset = required(job.dataset, "DATASET_ROOT", "dataset")
    report = check_dataset(dataset, recipe, voxels, job.workers, job.output)
    say(json.dumps(check_json(report), indent=2) if as_json else "\n".join(check_text(report)))
    return {"ready": OK, "attention": ATTENTION, "impossible": COULD_NOT_START}[report.status]


@app.command()
def verify(output_root: OutputRoot, workers: Workers = None) -> int:
    """Read every preprocessed file and compare it with its record.

    Exit status: 0 all that is there is as recorded, 1 something is not, 2 there are no records.
    """
    from monai_mriprep.report.text import verify_text
    from monai_mriprep.verify.audit import verify_output

    report = verify_output(output_root, workers)
    say("\n".join(verify_text(report)))
    return ATTENTION if report.problems else OK


@app.command()
def prune(
    output_root: OutputRoot,
    cases: Annotated[
        list[str] | None, typer.Argument(metavar="[CASE]...", help="Names of retired cases.", show_default="all")
    ] = None,
) -> int:
    """Delete what retired cases have left: their volumes in retired/, their records, their rows of manifest.csv.

    Exit status: 0 all of it is deleted, 1 something may hold data of theirs still, 2 nothing was deleted.
    """
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.report.text import prune_text
    from monai_mriprep.run.prune import prune_output

    with log_lines():
        summary = prune_output(output_root, cases or ())
    say("\n".join(prune_text(summary)))
    warn(summary.warnings)
    return ATTENTION if summary.warnings else OK


@app.command()
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


@app.command()
def stats(
    dataset_root: DatasetRoot = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the table to this file.")] = None,
    config: Config = None,
    settings: Settings = None,
) -> int:
    """Compute the table of spacing statistics from the headers of the paired images."""
    from monai_mriprep.dataset.survey import survey_dataset
    from monai_mriprep.dataset.target_rules import derive_target

    recipe, job = configured(config, settings, dataset=dataset_root)
    survey = survey_dataset(required(job.dataset, "DATASET_ROOT", "dataset"), recipe)
    warn(orphan.reason for orphan in survey.orphans)
    if survey.unreadable:  # a table of the rest would pass for one of all
        raise survey.unreadable[0]
    statistics = survey.statistics
    derived = derive_target(statistics, recipe.target_rule, survey.median_size)
    log(f"{len(survey.pairing)} paired images; {derived.text}")
    warn((*survey.doubts, *derived.warnings))
    if output is None:
        say(statistics.as_csv(), end="")
    else:
        statistics.to_csv(output)
        say(output)
    return OK


@app.command()
def recipe(
    preset: Annotated[str, typer.Option("--preset", help="Name of a preset, such as panther2025.")] = "default",
) -> int:
    """Print a recipe as YAML, every key with its meaning, to start a file of your own from."""
    from monai_mriprep.recipe import Recipe, commented_yaml

    say(commented_yaml(Recipe(preset=preset)), end="")
    return OK


@app.command()
def restore(
    output_root: OutputRoot,
    predictions: Annotated[Path, typer.Argument(help="Folder of predictions, or one file.", show_default=False)],
    restored: Annotated[Path, typer.Argument(help="Folder for the restored files.", show_default=False)],
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Keep floats, all channels.")] = False,
) -> int:
    """Put predictions back onto the grid and into the format of their source images.

    Exit status: 0 all are restored, 1 some were refused, 2 there are no records.
    """
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.restore.command import restore_each

    with log_lines():
        summary = restore_each(output_root, predictions, restored, probabilities)
    counts = [f"{len(summary.restored)} restored"]
    counts += [f"{len(summary.refused)} REFUSED"] if summary.refused else []
    say(f"{', '.join(counts)}: {summary.folder}")
    for problem in summary.refused:
        say(f"  refused: {problem}")
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
    """Split the cases for cross-validation, by patient, and write splits_final.json in the form of nnU-Net's."""
    from monai_mriprep.export.splits import patient_of, write_splits
    from monai_mriprep.store.layout import SPLITS

    splits = write_splits(output_root, folds, patient, seed)
    say("fold  train   val  patients of val")
    for number, fold in enumerate(splits):
        patients = list(dict.fromkeys(patient_of(case, patient) for case in fold.val))
        more = ", ..." if len(patients) > 8 else ""
        say(f"{number:4} {len(fold.train):6} {len(fold.val):5}  {len(patients)}: {', '.join(patients[:8])}{more}")
    say(output_root / SPLITS)
    return OK


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the demonstration goes.")] = Path("demo"),
    workers: Workers = None,
) -> int:
    """Make a small synthetic dataset, preprocess it, and show what happened to it."""
    from monai_mriprep.cli.progress import log_lines, progress
    from monai_mriprep.demo.make import make_demo

    log(f"making a synthetic dataset in {folder / 'dataset'} ...")
    with log_lines() as lines, progress(lines) as observe:
        report = make_demo(folder, workers, observe)
    status = summarize(report.summary)
    say(report.text)
    return status
