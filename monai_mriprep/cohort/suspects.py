"""Which cases deserve a look, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from monai_mriprep.cohort import copies, labels, scans
from monai_mriprep.cohort.case import CohortCase, Suspect

__all__ = ["KINDS", "find_suspects"]


def _failed(cases: Sequence[CohortCase]) -> Iterator[tuple[int, str]]:
    """Cases that could not be preprocessed."""
    for i, case in enumerate(cases):
        if case.error is not None:
            yield i, next(iter(case.error.splitlines()), "")


KINDS: Mapping[str, Callable[[Sequence[CohortCase]], Iterator[tuple[int, str]]]] = {
    "failed": _failed,
    "spacing": scans.unlike_in_spacing,
    "orientation": scans.unlike_in_orientation,
    "size": scans.unlike_in_size,
    "intensity": scans.unlike_in_intensity,
    "duplicate": copies.duplicates,
    "near_duplicate": copies.near_duplicates,
    "label_empty": labels.empty,
    "label_undeclared": labels.undeclared,
    "label_class_missing": labels.without_a_class,
    "label_volume": labels.unlike_in_volume,
    "label_parts": labels.unlike_in_parts,
    "label_outside": labels.outside,
    "label_edge": labels.at_an_edge,
    "label_lost": labels.lost,
}
"""What finds the suspects of each kind. Each yields places of cases in the cohort, and a sentence for each."""


@np.errstate(all="ignore")  # a record that somebody has edited may hold any number; what overflows is like nothing
def find_suspects(cases: Sequence[CohortCase]) -> tuple[Suspect, ...]:
    """The cases that are unlike the others, too much like another, or wrong in themselves.

    Parameters
    ----------
    cases
        All of a dataset, the failed ones, too. Each is compared with the others in what is known of it.

    Returns
    -------
    tuple
        In the order of the cases; of one case in the order of `KINDS`, one a kind. Where the bar lies is said in
        `monai_mriprep.cohort.thresholds`.
    """
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    for kind, finder in KINDS.items():
        for i, reason in finder(cases):
            found[i, kind].append(reason)
    by_case = sorted(found.items(), key=lambda item: item[0][0])  # stable, so the kinds keep their order
    return tuple(Suspect(cases[i].name, kind, "; ".join(reasons)) for (i, kind), reasons in by_case)
