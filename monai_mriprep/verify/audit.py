"""Is an output folder what its records say? Every byte of every output is read; nothing is written.

Of a virtual folder that is every byte of the sources.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from monai_mriprep.errors import MriprepError, OutputError, RecordError, first_names
from monai_mriprep.formats.names import natural_key
from monai_mriprep.machine import processors
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.fingerprint import ALGORITHM_VERSION, fingerprint_of
from monai_mriprep.run.case_list import list_problem
from monai_mriprep.run.mappers import Mapper
from monai_mriprep.run.thread_workers import thread_workers
from monai_mriprep.store.attempts import has_records
from monai_mriprep.store.description import RunDescription, read_description
from monai_mriprep.store.journal import pending_records
from monai_mriprep.store.layout import (
    CASES,
    MANIFEST,
    OUTPUT_SUFFIX,
    PARTIAL,
    RETIRED,
    RUN,
    VOLUME_FOLDERS,
    is_temporary,
)
from monai_mriprep.store.lock import shared
from monai_mriprep.store.manifest import Index, Made, read_index
from monai_mriprep.store.outdated import outdated_in
from monai_mriprep.store.records import Failed
from monai_mriprep.store.retirement import retired_files
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.store.writers import Writer
from monai_mriprep.verify.outputs import Finished, compared
from monai_mriprep.verify.sources import source_files

__all__ = ["Finding", "VerifyReport", "verify_output"]

REPAIR = "`repair` rebuilds records that are lost"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Parameters
    ----------
    subject
        The case, or a path relative to the output folder.
    problem
        What is wrong, and what to do.
    is_unfinished
        Nothing is wrong with what is there, but a run has not been completed.
    """

    subject: str
    problem: str
    is_unfinished: bool = False


@dataclass(frozen=True)
class VerifyReport:
    """What was found in an output folder.

    Parameters
    ----------
    root
        The folder.
    cases
        How many cases are recorded.
    intact
        Names of those that were finished and are exactly as recorded.
    bytes_read
        Size of their files; of a virtual folder, of their sources.
    findings
        None if all is well.
    retired
        How many volumes of cases that have left the dataset are in ``retired/``; they are not read.
    """

    root: Path
    cases: int
    intact: tuple[str, ...]
    bytes_read: int
    findings: tuple[Finding, ...]
    retired: int = 0

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What is there and should not be so, or should be there and is not."""
        return tuple(finding for finding in self.findings if not finding.is_unfinished)

    @property
    def unfinished(self) -> tuple[Finding, ...]:
        """What the next run has to do."""
        return tuple(finding for finding in self.findings if finding.is_unfinished)


def verify_output(output_root: str | Path, workers: int | None = None, *, mapper: Mapper | None = None) -> VerifyReport:
    """Read every output and compare it with its record; look for files that no record knows.

    Parameters
    ----------
    output_root
        From a run.
    workers
        Threads; by default one for each core.
    mapper
        Who reads the files, such as `monai_mriprep.run.executor_workers.executor_workers` with any processes; by
        default these threads.

    Raises
    ------
    RecordError
        If there are no records: the folder is not the output of a run.
    LockedError
        If a run is alive in the folder, which would change what is being read.
    """
    threads = processors() if workers is None else workers
    with open_store(Path(output_root)) as store, shared(store.root):
        return _verify(store, thread_workers(threads) if mapper is None else mapper)


def _verify(store: Store, mapper: Mapper) -> VerifyReport:
    root = store.root.path
    if not has_records(store.root):
        msg = f"{root}: no {MANIFEST} there, so nothing to compare with; give the output folder of a run, or {REPAIR}"
        raise RecordError(msg)
    index = read_index(store.root)
    cases = sorted(index.cases(), key=natural_key)
    unread: list[Finding] = []
    pending = _pending(store, index, unread)
    sizes: dict[str, int] = {}
    recorded: set[str] = set()
    seen = compared(mapper, root.absolute(), _finished(index, cases, sizes, recorded), pending or ())
    problems = {one.case: one.problems for one in seen if one.problems}
    of_cases = ((case, [*_check_case(index, case, problems.get(case, ()))]) for case in cases)
    flawed = {case: found for case, found in of_cases if found}
    findings = [finding for found in flawed.values() for finding in found]
    findings += [Finding(MANIFEST, problem) for problem in _nameless(index)]
    findings += _compare_with_last_run(store, index)
    findings += _unrecorded_files(store, recorded, pending, unread)
    retired: tuple[str, ...] = ()
    with _told(unread, RETIRED):
        retired = retired_files(store)
    findings += dict.fromkeys(unread)
    intact = tuple(case for case in cases if case not in flawed)
    read = sum(sizes.get(case, 0) for case in intact)
    return VerifyReport(root, len(cases), intact, read, tuple(findings), len(retired))


def _finished(index: Index, cases: Iterable[str], sizes: dict[str, int], recorded: set[str]) -> Iterator[Finished]:
    """The finished cases one after the other, each record read once; its bytes to read and its outputs are noted."""
    for case in cases:
        record = index.done(case)
        if record is not None:
            sizes[case] = sum(file.size for file in record.outputs.values() or source_files(record))
            recorded.update(file.path for file in record.outputs.values())
            yield Finished(case, record)


def _nameless(index: Index) -> Iterator[str]:
    yield from (f"{problem}; it names no case" for problem in index.nameless[:5])
    if (more := len(index.nameless) - 5) > 0:
        yield f"{more} more such lines"


@contextmanager
def _told(unread: list[Finding], folder: str) -> Iterator[None]:
    """A folder that cannot be listed is a finding itself, and hides no other."""
    try:
        yield
    except OSError as error:
        unread.append(Finding(folder, f"cannot be listed ({error.strerror}); mend it, then verify again"))
    except OutputError as error:
        unread.append(Finding(folder, str(error)))


def _pending(store: Store, index: Index, unread: list[Finding]) -> set[str] | None:
    """Outputs that the journals of all writers will put in place; None if that cannot be read."""
    with _told(unread, PARTIAL):
        records = pending_records(store, outdated_in(store, index))
        return {file.path for record in records for file in record.outputs.values()}
    return None


def _check_case(index: Index, case: str, problems: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """What is wrong with a case's files, by the record of its last success; and whether more was tried since."""
    if case in index.damaged:
        yield Finding(case, f"{index.damaged[case]}; {REPAIR}, or `run` does the case again")
    elif index.event(case) != "done":
        latest = index.latest(case)
        what = f"failed in its last run: {latest.error}" if isinstance(latest, Failed) else "was interrupted"
        if case in index.done_places:
            what += "; the files that are there are of a run before"
        yield Finding(case, what, is_unfinished=True)
    yield from (Finding(subject, problem) for subject, problem in problems)


def _compare_with_last_run(store: Store, index: Index) -> Iterator[Finding]:
    """Compare the recorded cases with what the last run wanted."""
    recorded = len(index.cases())
    if index.opened is not None and recorded < index.opened.cases:
        what = f"the last run had {index.opened.cases} cases, {recorded} of them were started"
        yield Finding(MANIFEST, what, is_unfinished=True)
    try:
        run = read_description(store)
    except RecordError as error:
        yield Finding(RUN, str(error).removeprefix(f"{store.root.path / RUN}: "))
        return
    if run is None:
        yield Finding(RUN, "is missing; `run` writes it again")
        return
    if not _agrees_with_itself(run):
        what = "its fingerprint is of another recipe or target spacing than it says: it was changed"
        yield Finding(RUN, f"{what}; remove it, and `run` writes it again")
    if problem := list_problem(store, run.plan):
        yield Finding(CASES, problem)
    if not run.redo.complete:
        yield Finding(RUN, "a run with --redo has not come to its end", is_unfinished=True)
    finished = sorted(index.done_places, key=natural_key)
    if others := [case for case in finished if not _is_of_run(index.made(case), run)]:
        what = (
            "cases have another recipe, target spacing, version or --virtual than the last run: "
            f"{first_names(others, 3)}; "
            "`run` does them again, unless their sources have left the dataset"
        )
        yield Finding(RUN, what, is_unfinished=not run.redo.complete)


def _is_of_run(made: Made | None, run: RunDescription) -> bool:
    return made is None or (made.fingerprint, made.virtual) == (run.fingerprint, run.virtual)


def _agrees_with_itself(run: RunDescription) -> bool:
    """Whether recipe and target are those of the fingerprint, as far as this version can tell."""
    if run.algorithm_version != ALGORITHM_VERSION:
        return True
    try:
        return fingerprint_of(Recipe(**run.recipe), run.target_spacing) == run.fingerprint
    except (MriprepError, ValueError):  # such as a step that is not registered here
        return True


def _unrecorded_files(
    store: Store, recorded: Collection[str], pending: Collection[str] | None, unread: list[Finding]
) -> list[Finding]:
    """Name everything that no finished case's record names, as far as journals and folders can be read."""
    findings: list[Finding] = []
    needed = {path.split("/")[0] for path in recorded}
    for folder in (name for name in VOLUME_FOLDERS if name in needed or store.has_folder(name)):
        with _told(unread, folder):
            for name in store.folder(folder).names():
                path = f"{folder}/{name}"
                if not name.endswith(OUTPUT_SUFFIX) or not store.folder(folder).is_file(name):
                    what = "is no .npz file; who lists the folder takes it for a case: remove it"
                    findings.append(Finding(path, what))
                elif pending is not None and path not in recorded and path not in pending:
                    findings.append(
                        Finding(path, f"belongs to no case that is recorded as finished; {REPAIR}, or remove it")
                    )
    with _told(unread, PARTIAL):
        findings += _leftovers(store) if store.has_folder(PARTIAL) else ()
    return findings


def _leftovers(store: Store) -> Iterator[Finding]:
    """What is in ``.partial``: the next run clears it up, or leaves it alone."""
    names = store.partial.names()
    writers = {name: Writer.of(name) for name in names if store.partial.is_folder(name)}
    foreign = [name for name, writer in writers.items() if writer is not None and writer.state() == "foreign"]
    strange = [name for name in names if not is_temporary(name) and writers.get(name) is None]
    if ours := [name for name in names if name not in (*foreign, *strange)]:
        yield Finding(PARTIAL, f"holds what an interrupted run left: {first_names(ours, 3)}", is_unfinished=True)
    if foreign:
        what = f"holds what a run on another machine left, or writes now: {first_names(foreign, 3)}"
        yield Finding(PARTIAL, f"{what}; if it has ended, `run --take-over` clears up after it")
    if strange:
        yield Finding(PARTIAL, f"holds what no run of ours has left: {first_names(strange, 3)}; remove it")
