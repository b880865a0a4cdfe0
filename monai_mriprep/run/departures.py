"""Cases that have left the dataset, or whose label was renamed: what they had goes to ``retired/``.

Nothing moves where that is likely to be a mistake, such as a mistyped pattern, until the user confirms it. Cases that
a list excludes are confirmed by the list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from monai_mriprep.dataset.exclusions import NOBODY, Exclusions
from monai_mriprep.errors import OutputError, first_names
from monai_mriprep.formats.names import natural_key
from monai_mriprep.run.cases import Case
from monai_mriprep.store.manifest import Index
from monai_mriprep.store.pictures import remove_pictures
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.records import Done, Retired
from monai_mriprep.store.retirement import retire_output

__all__ = [
    "DatasetIdentity",
    "Departures",
    "find_departures",
    "is_renamed",
    "outputs_of_others",
    "refuse_departures",
    "retire_cases",
]

FEW = 10
"""One case in so many may leave without being asked for."""


@dataclass(frozen=True)
class DatasetIdentity:
    """Where the cases of an output folder come from: the path of the dataset, and the pattern that paired its files."""

    dataset_root: str
    pattern: str | None


@dataclass(frozen=True)
class Departures:
    """What an output folder knows, and the dataset does not have.

    Parameters
    ----------
    left
        Names of the cases that have left the dataset.
    renamed
        Names of those whose outputs get other names than the recorded ones, as where a label was renamed.
    recorded
        How many cases the folder knows.
    excluded
        Names of those that the list excludes.
    never_tried
        Names of the cases of the dataset that the list excludes and the folder does not know. They have nothing to
        retire; their exclusion is recorded, so that a later run without the list can say that they are back.
    """

    left: tuple[str, ...]
    renamed: tuple[str, ...]
    recorded: int
    excluded: tuple[str, ...] = ()
    never_tried: tuple[str, ...] = ()

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """Those that no list confirms."""
        return (*self.left, *self.renamed)

    @property
    def names(self) -> tuple[str, ...]:
        """All that have something to retire."""
        return (*self.unconfirmed, *self.excluded)

    def renamed_alone(self) -> Departures:
        """Without those that concern the folder as a whole."""
        return Departures((), self.renamed, self.recorded)


def find_departures(
    index: Index,
    cases: Iterable[Case],
    renamed: Iterable[str],
    exclusions: Exclusions = NOBODY,
    excluded: Iterable[str] = (),
) -> Departures:
    """Who has left.

    Parameters
    ----------
    index
        The records. A case of which there is nothing but a damaged line is not known: its name may be what is damaged.
    cases
        Of the dataset, without the excluded ones.
    renamed
        Names of those of them that `is_renamed` finds.
    exclusions
        The list of excluded cases.
    excluded
        Names of the cases of the dataset that it excludes.
    """
    known = {case for case in index.cases() if case not in index.damaged or case in index.done_places}
    gone = sorted(known - {case.name for case in cases}, key=natural_key)
    return Departures(
        left=tuple(case for case in gone if case not in exclusions),
        renamed=tuple(renamed),
        recorded=len(known),
        excluded=tuple(case for case in gone if case in exclusions),
        never_tried=tuple(case for case in excluded if case not in known and not _was_excluded(index, case)),
    )


def _was_excluded(index: Index, case: str) -> bool:
    record = index.latest(case)
    return isinstance(record, Retired) and record.excluded is not None


def is_renamed(case: Case, record: Done | None) -> bool:
    """Whether the outputs of a finished case have other names than those that it gets."""
    if record is None:
        return False
    return any(case.outputs.get(role, file.path) != file.path for role, file in record.outputs.items())


def refuse_departures(
    root: object, departures: Departures, before: DatasetIdentity | None, now: DatasetIdentity
) -> None:
    """Stop where the user has to confirm that cases leave.

    Parameters
    ----------
    root
        The output folder.
    departures
        Who would leave.
    before, now
        Where the cases came from, if that is known, and where they come from.

    Raises
    ------
    OutputError
        If dataset or pattern are others, or if more than a tenth of the cases would leave, and more than one.
    """
    n, names = len(departures.unconfirmed), departures.unconfirmed
    reasons = [] if before is None else list(_changes(before, now))
    if n > 1 and n * FEW > departures.recorded:
        reasons.append("that is more than a tenth of them")
    if n and reasons:
        msg = (
            f"{root}: {n} of its {departures.recorded} cases {_what(departures)}: {first_names(names)}; "
            f"{', and '.join(reasons)}. Nothing was changed. If that is meant, --retire moves their files to retired/; "
            "else mend dataset or pattern, or choose another output folder"
        )
        raise OutputError(msg)


def _changes(before: DatasetIdentity, now: DatasetIdentity) -> Iterator[str]:
    if before.dataset_root != now.dataset_root:
        yield f"the dataset was {before.dataset_root}, and is {now.dataset_root}"
    if before.pattern != now.pattern:
        yield f"the pattern was {before.pattern!r}, and is {now.pattern!r}"


def _what(departures: Departures) -> str:
    left = ["left the dataset"] if departures.left else []
    renamed = ["got outputs of another name"] if departures.renamed else []
    return f"{'has' if len(departures.unconfirmed) == 1 else 'have'} {' or '.join((*left, *renamed))}"


def outputs_of_others(index: Index, names: Collection[str]) -> frozenset[str]:
    """The outputs of all finished cases but these."""
    others = (record for record in index.all_done() if record.case not in names)
    return frozenset(file.path for record in others for file in record.outputs.values())


def retire_cases(
    recorder: Recorder,
    index: Index,
    names: Iterable[str],
    kept: Collection[str] = (),
    exclusions: Exclusions = NOBODY,
) -> None:
    """Move what these cases have to ``retired/``, and record it; their pictures go.

    A case whose move a crash interrupts is found again.

    Parameters
    ----------
    recorder
        Of the output folder.
    index
        Its records.
    names
        Of the cases.
    kept
        Outputs that stay, for another case has them, too.
    exclusions
        The list of excluded cases, whose comments are recorded.

    Raises
    ------
    DiskFullError, OutputError
        If files cannot be moved or records cannot be written.
    """
    retired = [_retired(recorder, name, index.done(name), kept) | _why(name, exclusions) for name in names]
    remove_pictures(recorder.store, (one["case"] for one in retired))
    recorder.enter(retired)


def _retired(recorder: Recorder, case: str, record: Done | None, kept: Collection[str]) -> dict[str, Any]:
    outputs = () if record is None else record.outputs.values()
    moved = [retire_output(recorder.store, output) for output in outputs if output.path not in kept]
    return {"event": "retired", "case": case, "files": [path for path in moved if path is not None]}


def _why(case: str, exclusions: Exclusions) -> dict[str, Any]:
    comment = exclusions.comment(case)
    return {} if comment is None else {"excluded": comment}
