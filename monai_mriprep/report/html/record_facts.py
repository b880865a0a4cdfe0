"""What the record of a case says, as the facts of its card."""

from __future__ import annotations

from collections.abc import Mapping

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.report.html.facts import CaseFacts, Moments
from monai_mriprep.store.manifest import Index
from monai_mriprep.store.records import Done, Failed
from monai_mriprep.types import LABEL

__all__ = ["case_facts"]

UNFINISHED = "the work on it has begun and not ended; if no run is under way, the same command resumes"


def case_facts(index: Index, name: str, new_numbers: Mapping[int, int]) -> CaseFacts:
    """The facts of a case.

    Parameters
    ----------
    index
        The records; the output folder is open.
    name
        A case of it.
    new_numbers
        The recipe's ``label_map``.
    """
    record = index.latest(name)
    if isinstance(record, Done):
        return _done(record, new_numbers)
    if isinstance(record, Failed):
        return _failed(record, new_numbers)
    return CaseFacts(CohortCase(name), warnings=(index.damaged.get(name, UNFINISHED),))


def _done(record: Done, new_numbers: Mapping[int, int]) -> CaseFacts:
    has_label = LABEL.name in record.outputs
    foreground = record.foreground
    return CaseFacts(
        CohortCase(
            record.case,
            record.source_grid,
            record.measures,
            (record.labels.before or None) if has_label else None,  # {} where it is not known
            record.labels.after if has_label else None,
            target_grid=record.target_grid,
            new_numbers=new_numbers,
        ),
        warnings=record.warnings,
        moments=tuple(map(Moments, foreground.mean, foreground.std, foreground.voxels)),
        is_done=True,
    )


def _failed(record: Failed, new_numbers: Mapping[int, int]) -> CaseFacts:
    before = None if record.labels is None else record.labels.before
    return CaseFacts(
        CohortCase(
            record.case, record.source_grid, record.measures, before, error=record.error, new_numbers=new_numbers
        ),
        warnings=record.warnings,
    )
