"""`split`: folds for cross-validation."""

from __future__ import annotations

from typing import Annotated

import typer

from monai_mriprep.cli.options import Exclude, Json, OutputRoot
from monai_mriprep.cli.show import OK, report

__all__ = ["split"]


def split(
    output_root: OutputRoot,
    folds: Annotated[int, typer.Option("--folds", "-k", min=2, help="Number of folds.")] = 5,
    patient: Annotated[
        str | None,
        typer.Option("--patient", metavar="REGEX", help="Finds the patient in a case's name: its group, or all of it."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another one gives another split.")] = 0,
    exclude: Exclude = None,
    as_json: Json = False,
) -> int:
    """Split the cases for cross-validation, by patient, and write splits_final.json in the form of nnU-Net's."""
    from monai_mriprep.cli.progress import log_lines
    from monai_mriprep.export.splits import write_splits
    from monai_mriprep.report.facts import split_json
    from monai_mriprep.report.text import split_text
    from monai_mriprep.store.layout import SPLITS

    with log_lines():
        splits = write_splits(output_root, folds, patient, seed, exclude)
    file = output_root / SPLITS
    report(split_text(splits, file, patient), split_json(splits, file), as_json)
    return OK
