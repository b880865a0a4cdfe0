"""What the record of a case says, as the facts of its card; and what of it is held for all cases at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from monai_mriprep.cohort.case import CaseNumbers, CohortCase
from monai_mriprep.measures.model import CaseMeasures
from monai_mriprep.report.html.facts import CaseFacts, Moments
from monai_mriprep.store.manifest import Index
from monai_mriprep.store.records import Done, Failed
from monai_mriprep.types import LABEL

__all__ = ["Labels", "case_facts", "held", "whole", "without_thumbnails"]

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


def held(case: CaseFacts) -> CaseFacts:
    """A case with those of its measures that cases are compared by: without its histograms."""
    measures = case.cohort.measures
    return _with_numbers(case, CaseNumbers.of(measures)) if isinstance(measures, CaseMeasures) else case


def without_thumbnails(case: CaseFacts) -> CaseFacts:
    """A case of `held`, once duplicates have been looked for."""
    numbers = case.cohort.measures
    return _with_numbers(case, numbers.without_thumbnails()) if isinstance(numbers, CaseNumbers) else case


def _with_numbers(case: CaseFacts, numbers: CaseNumbers) -> CaseFacts:
    return replace(case, cohort=replace(case.cohort, measures=numbers))


def whole(index: Index, labels: Labels, case: CaseFacts) -> CaseFacts:
    """A held case with all that its record says."""
    return replace(case, cohort=case_facts(index, case.name, labels).cohort)


def _done(record: Done, labels: Labels) -> CaseFacts:
    has_label = LABEL.name in record.sources
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
