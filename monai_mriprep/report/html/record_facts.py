"""What the record of a case says, as the facts of its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.report.html.facts import CaseFacts, Moments
from monai_mriprep.store.manifest import Index
from monai_mriprep.store.records import Done, Failed
from monai_mriprep.types import LABEL

__all__ = ["Labels", "case_facts"]

UNFINISHED = "the work on it has begun and not ended; if no run is under way, the same command resumes"


@dataclass(frozen=True)
class Labels:
    """What is known of the labels of a dataset: the recipe's ``label_map``, and the values that are declared."""

    new_numbers: Mapping[int, int] = field(default_factory=dict)
    declared: tuple[int, ...] | None = None


def case_facts(index: Index, name: str, labels: Labels) -> CaseFacts:
    """The facts of a case.

    Parameters
    ----------
    index
        The records; the output folder is open.
    name
        A case of it.
    labels
        Of its dataset.
    """
    record = index.latest(name)
    if isinstance(record, Done):
        return _done(record, labels)
    if isinstance(record, Failed):
        return _failed(record, labels)
    return CaseFacts(CohortCase(name), warnings=(index.damaged.get(name, UNFINISHED),))


def _done(record: Done, labels: Labels) -> CaseFacts:
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
            declared=labels.declared,
            new_numbers=labels.new_numbers,
        ),
        warnings=record.warnings,
        moments=tuple(map(Moments, foreground.mean, foreground.std, foreground.voxels)),
        is_done=True,
    )


def _failed(record: Failed, labels: Labels) -> CaseFacts:
    return CaseFacts(
        CohortCase(
            record.case,
            record.source_grid,
            record.measures,
            None if record.labels is None else record.labels.before,
            error=record.error,
            declared=labels.declared,
            new_numbers=labels.new_numbers,
        ),
        warnings=record.warnings,
    )
