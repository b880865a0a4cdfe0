"""The files of finished cases, compared with their records by a mapper: threads, processes, or those of a cluster."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from monai_mriprep.run.mappers import Lost, Mapper
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import open_store
from monai_mriprep.types import ROLE_OF_FOLDER
from monai_mriprep.verify.sources import source_problems
from monai_mriprep.verify.volumes import file_problems, trace_problems

__all__ = ["Compared", "Finished", "compared"]


class Finished(NamedTuple):
    """A case whose files are to be read, and its record."""

    name: str
    record: Done


class Compared(NamedTuple):
    """What is wrong with a case: of each problem the case or the path of a file, and a sentence."""

    case: str
    problems: tuple[tuple[str, str], ...]


def compared(
    mapper: Mapper, root: Path, cases: Iterable[Finished], pending: Collection[str] = ()
) -> Iterator[Compared]:
    """Read the files of cases, and compare them with their records.

    Parameters
    ----------
    mapper
        Who reads them; its workers see the output folder by the same path.
    root
        The output folder.
    cases
        Taken as the mapper has room for them.
    pending
        Paths of files that are just being replaced, which are left out.

    Yields
    ------
    Compared
        One for each case, in any order. What a mapper has taken and not reported is read here.
    """
    work = partial(_compare, root, frozenset(pending))
    rest, out = iter(cases), dict[str, Finished]()

    def handed_out() -> Iterator[Finished]:
        for case in rest:
            out[case.name] = case
            yield case

    for outcome in mapper(work, handed_out()):
        del out[outcome.case]
        yield _lost(outcome) if isinstance(outcome, Lost) else outcome
    yield from map(work, (*out.values(), *rest))


def _lost(outcome: Lost) -> Compared:
    problem = f"was not read: its worker {outcome.reason}; verify again with fewer workers"
    return Compared(outcome.case, ((outcome.case, problem),))


def _compare(root: Path, pending: Collection[str], case: Finished) -> Compared:
    with open_store(root) as store:
        problems = [(case.name, problem) for problem in trace_problems(case.record)]
        for path in (file.path for file in case.record.outputs.values() if file.path not in pending):
            role = ROLE_OF_FOLDER[path.split("/")[0]]
            problems += ((path, problem) for problem in file_problems(store, role, case.record))
    if not case.record.outputs:
        problems += source_problems(case.record)
    return Compared(case.name, tuple(problems))
