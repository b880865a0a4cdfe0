"""`split`: folds for cross-validation."""

from __future__ import annotations

from typing import Annotated

import typer

from monai_mriprep.cli.options import OutputRoot
from monai_mriprep.cli.show import OK, say

__all__ = ["split"]


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
