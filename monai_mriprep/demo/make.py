"""A small synthetic dataset, preprocessed, with a report that shows before and after."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from monai_mriprep.demo.phantoms import make_demo_dataset
from monai_mriprep.errors import OutputError, package_logger, write_error
from monai_mriprep.report.html.after_run import with_report
from monai_mriprep.report.lines import table
from monai_mriprep.run.engines import ThisMachine
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.preprocess import Observer, execute
from monai_mriprep.run.session import RunSummary, open_session
from monai_mriprep.store.layout import PICTURES
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.records import Done

__all__ = ["DemoReport", "make_demo"]

MARKER = "monai-mriprep-demo.txt"
MARKER_TEXT = "The command `monai-mriprep demo` made this folder. Where this file is, it writes again.\n"


@dataclass(frozen=True)
class DemoReport:
    """What the demonstration did, and a text for people about it."""

    summary: RunSummary
    text: str


def make_demo(folder: Path, workers: int | None, observe: Observer) -> DemoReport:
    """Make the dataset and preprocess it, with a report that shows each case before and after.

    Parameters
    ----------
    folder
        Receives ``dataset`` and ``preprocessed``. It must not exist, or an earlier demonstration must
        have made it.
    workers
        As in `monai_mriprep.preprocess`.
    observe
        As in `monai_mriprep.run.preprocess.execute`.

    Raises
    ------
    OutputError
        If there is such a folder, and no demonstration has made it; or if it cannot be made. Nothing is written then.
    """
    _take(folder)
    package_logger().info("making a synthetic dataset in %s ...", folder / "dataset")
    dataset, output = folder / "dataset", folder / "preprocessed"
    make_demo_dataset(dataset)
    plan = plan_run(dataset, output, redo=True)
    with open_session(plan) as session:
        summary = execute(session, ThisMachine.limited(workers), observe=observe)
        index = read_index(session.store.root)
        done = sorted(result.case for result in summary.done)
        records = [index.done(case) for case in done]
    summary = with_report(summary)
    rows = [_HEADINGS, *(_row(record) for record in records if record is not None)]
    lines = ["", *table(rows), "", *_NEXT, "", f"dataset       {dataset}", f"pictures      {output / PICTURES}"]
    return DemoReport(summary, "\n".join(lines))


def _take(folder: Path) -> None:
    """Make the folder and mark it, unless it is there and marked."""
    try:
        folder.mkdir(parents=True)
        (folder / MARKER).write_text(MARKER_TEXT)
    except FileExistsError:
        if not os.path.isfile(folder / MARKER):  # noqa: PTH113, Path raises below a closed one
            msg = (
                f"{folder} is there already, and `demo` did not make it ({MARKER} is not in it), so nothing is written "
                "there: give the name of a folder that does not exist"
            )
            raise OutputError(msg) from None
    except OSError as error:
        raise write_error(error, f"{folder}: cannot be made ({error.strerror}); give another folder") from error


_HEADINGS = ("case", "size z y x", "spacing mm", "becomes", "foreground", "label voxels")
_NEXT = (
    'In Python:  np.load("imagesTr/....npz")["arr_0"]  # (1, D, H, W), float32',
    "Your own:   monai-mriprep run DATASET_ROOT OUTPUT_ROOT",
)


def _row(record: Done) -> tuple[str, ...]:
    """A row of the table, for the headings: 80 characters with all others."""
    size, becomes = ("x".join(map(str, grid.shape)) for grid in (record.source_grid, record.target_grid))
    spacing = " ".join(f"{value:.3g}" for value in record.source_grid.spacing)
    moments = zip(record.foreground.mean, record.foreground.std, strict=True)
    foreground = ", ".join(f"{mean:.0f} +- {std:.0f}" for mean, std in moments)
    labels = " ".join(str(count) for value, count in record.labels.after.items() if value)
    return record.case, size, spacing, becomes, foreground, labels
