"""`merge`: what the shards of a run have recorded becomes one set of records, with all that is derived from them.

What dead shards have left is finished first. Nothing is preprocessed here, and neither torch nor MONAI is loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monai_mriprep.errors import OutputError, RecordError
from monai_mriprep.formats.names import natural_key
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.case_list import read_cases
from monai_mriprep.run.derived import derive
from monai_mriprep.run.nnunet_doubts import asks_nnunet, nnunet_doubts
from monai_mriprep.store.attempts import Shard, attempts_in, has_records
from monai_mriprep.store.description import Redo, RunDescription, read_description, write_description
from monai_mriprep.store.layout import MANIFEST
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.merging import merge_records
from monai_mriprep.store.record_lines import first_record
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.records import Opened
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.store.takeover import take_over

__all__ = ["MergeSummary", "merge"]


@dataclass(frozen=True)
class MergeSummary:
    """What was merged, and what is not there.

    Parameters
    ----------
    output_root
        Where: a folder, or an address.
    files
        How many files of records were merged.
    done
        How many cases are finished.
    failed
        Names of the cases that failed when they were tried last.
    missing
        Names of the cases that no shard has come to an end with; where nothing was planned, those of them that a shard
        has begun.
    unknown
        How many more cases there are, which no shard has begun, and of which no list says the names.
    not_begun
        Shards of which there is no record, where cases are missing; such as ``3-of-8``.
    other_lists
        Shards that had another list of cases than the one that began last, so that they were split otherwise.
    warnings
        What needs review.
    report
        The page that shows the cases; None where none was written.
    suspects
        Names of the cases that deserve a look, where the page was written anew.
    """

    output_root: Path | str
    files: int
    done: int
    failed: tuple[str, ...]
    missing: tuple[str, ...]
    unknown: int
    not_begun: tuple[str, ...]
    other_lists: tuple[str, ...]
    warnings: tuple[str, ...]
    report: Path | str | None = None
    suspects: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every case is finished, by one list of cases."""
        return not (self.failed or self.missing or self.unknown or self.other_lists)


def merge(
    output_root: str | Path, foreign: bool = False, elsewhere: Mapping[str, Origin] | None = None
) -> MergeSummary:
    """Merge the records of the shards of a run, and write ``manifest.csv`` and ``dataset.json``.

    A crash at any step loses nothing, and the same call goes on.

    Parameters
    ----------
    output_root
        Where the shards have worked.
    foreign
        Finish and clear away what shards on other machines have left; they must have ended.
    elsewhere
        As of `monai_mriprep.store.store.Store`.

    Raises
    ------
    LockedError
        If a run or a shard is alive in the folder, or may be on another machine.
    RecordError
        If there are no records, or they cannot be read.
    DiskFullError, OutputError
        If the folder cannot be written to.
    """
    with open_store(Path(output_root), elsewhere=elsewhere) as store:
        if not has_records(store.root):
            msg = f"{store.root.path}: no {MANIFEST} and no records of shards there; give the output folder of a run"
            raise RecordError(msg)
        aside = store.prepare(())
        with exclusive(store.root):
            try:
                return _merge(store, aside, foreign)
            finally:
                store.leave()


def _merge(store: Store, aside: tuple[str, ...], foreign: bool) -> MergeSummary:
    store.own_manifest()
    openings = tuple(_openings(store))
    files = merge_records(store, foreign)
    left = take_over(Recorder(store), foreign)
    index = read_index(store.root)
    description, problem = _described(store)
    of_shards = index.opened is not None and index.opened.shard is not None
    listed, no_list = _listed(store, description) if of_shards else (frozenset[str](), ())
    names = listed or index.cases()
    redo = 0 if description is None else description.redo.number
    fingerprint = None if description is None else description.fingerprint
    missing = tuple(
        sorted((name for name in names if not _was_attempted(index, name, redo, fingerprint)), key=natural_key)
    )
    unknown = 0 if listed or index.opened is None else max(0, index.opened.cases - len(names))
    if description is not None and not (missing or unknown or description.redo.complete):
        write_description(store, description.model_copy(update={"redo": Redo(number=redo)}))
    derive(store, index, names)
    return MergeSummary(
        store.root.path,
        files,
        sum(index.event(name) == "done" for name in names),
        tuple(sorted((name for name in names if index.event(name) == "failed"), key=natural_key)),
        missing,
        unknown,
        tuple(_not_begun(index)) if missing or unknown else (),
        tuple(_with_other_lists(openings)),
        (*aside, *left, *problem, *no_list, *index.problems(), *_doubts(description, index, names)),
    )


def _openings(store: Store) -> Iterator[Opened]:
    """The first records of the shards that are not merged, in the order in which they count."""
    for attempt in attempts_in(store.root):
        first = first_record(store.root, attempt.file)
        if isinstance(first, Opened):
            yield first


def _described(store: Store) -> tuple[RunDescription | None, tuple[str, ...]]:
    try:
        return read_description(store), ()
    except RecordError as error:
        return None, (str(error),)


def _listed(store: Store, description: RunDescription | None) -> tuple[frozenset[str], tuple[str, ...]]:
    """The names of the cases that were planned; none where nothing was, or why they are not known."""
    if description is None or description.plan is None:
        return frozenset(), ()
    try:
        _, cases = read_cases(store, description.plan, description)
    except RecordError as error:
        return frozenset(), (str(error),)
    return frozenset(case.name for case in cases), ()


def _was_attempted(index: Index, case: str, redo: int, fingerprint: str | None) -> bool:
    """Whether there is a result of a case by the folder's recipe, since the folder was started anew."""
    made = index.made(case)
    if index.event(case) != "done" or made is None:
        return index.event(case) == "failed"
    return made.redo >= redo and fingerprint in (None, made.fingerprint)


def _not_begun(index: Index) -> Iterator[str]:
    """The shards of the last split without a record."""
    last = Shard.of(index.opened.shard) if index.opened is not None else None
    if index.opened is not None and last is not None:
        begun = index.begun[index.opened.plan, last.count]
        yield from (str(Shard(number, last.count)) for number in range(1, last.count + 1) if number not in begun)


def _with_other_lists(openings: Collection[Opened]) -> Iterator[str]:
    of_shards = {str(opened.shard): opened.plan for opened in openings}  # of one that was started again, the last
    last = openings and tuple(openings)[-1].plan
    yield from (shard for shard, plan in of_shards.items() if plan != last)


def _doubts(description: RunDescription | None, index: Index, names: Collection[str]) -> tuple[str, ...]:
    """What the records of all cases say against the recipe; nothing where it is not known here."""
    with suppress(OutputError, ValueError):
        recipe = None if description is None else Recipe(**description.recipe)
        if description is None or recipe is None or not asks_nnunet(recipe):
            return ()
        current = index.made_by(description.fingerprint, names)
        return tuple(nnunet_doubts(recipe, description.target_spacing, description.statistics, current))
    return ()
