"""`lock`: sources, recipe, packages and arrays of an output folder, so that anybody can prove to have the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from monai_mriprep.errors import DatasetError, RecordError, counted
from monai_mriprep.formats.names import natural_key, refuse_address
from monai_mriprep.machine import processors
from monai_mriprep.models import checked
from monai_mriprep.proof.arrays import array_facts
from monai_mriprep.proof.lock_file import FORMAT, end_of, lock_lines
from monai_mriprep.proof.locked import FACTS, LockedCase, LockedOutput, LockedSource, LockHead, Made
from monai_mriprep.proof.sources import Places, changed_files
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.fingerprint import ALGORITHM_VERSION, fingerprint_of
from monai_mriprep.store.attempts import has_records
from monai_mriprep.store.description import RunDescription, read_description
from monai_mriprep.store.layout import MANIFEST, RUN
from monai_mriprep.store.lock import shared
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.record_lines import manifest_lines
from monai_mriprep.store.record_parts import SourceRecord
from monai_mriprep.store.records import Done, Failed, Opened, read_record
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.types import ROLE_OF_FOLDER
from monai_mriprep.verify.audit import Finding
from monai_mriprep.verify.volumes import examined
from monai_mriprep.windows import mapped_in_window

__all__ = ["LockReport", "facts_of", "lock_output"]

AGAIN = "run again, then lock"
OR_PARTIAL = f"{AGAIN}, or lock what is finished by --partial"


@dataclass(frozen=True)
class LockReport:
    """What came of locking a folder.

    Parameters
    ----------
    root
        The folder.
    cases
        How many cases are finished.
    left_out
        Names of those that are not.
    problems
        Why there is no lock: each source, file or record that is not as it must be.
    sha256
        The hash that the lock ends with; None where there is none.
    lines
        The lock; none if there are problems.
    """

    root: Path
    cases: int
    left_out: tuple[str, ...]
    problems: tuple[Finding, ...]
    sha256: str | None = None
    lines: tuple[str, ...] = field(default=(), repr=False)


def lock_output(
    output_root: str | Path,
    dataset: str | Path | None = None,
    allow_partial: bool = False,
    workers: int | None = None,
) -> LockReport:
    """Read all sources and all arrays of an output folder again, and make its lock if they are as recorded.

    Parameters
    ----------
    output_root
        From a run.
    dataset
        Where the sources are now; by default where the run has read them.
    allow_partial
        Lock what is finished, where other cases have failed or were not begun.
    workers
        Threads; by default one for each core.

    Raises
    ------
    RecordError
        If there are no records, or recipe and target of the folder are not known, or of another version.
    RecipeError
        If a step of the recipe is not registered here.
    DatasetError
        If `dataset` is an address.
    LockedError
        If a run is alive in the folder.
    """
    threads = processors() if workers is None else workers
    if dataset is not None:
        refuse_address(dataset, DatasetError)
    with open_store(Path(output_root)) as store, shared(store.root):
        description = _description(store)
        index = read_index(store.root)
        openings = tuple(_openings(store))
        places = Places(_roots(openings, description), None if dataset is None else Path(dataset).absolute())
        unfinished = dict(_unfinished(index))
        names = sorted(index.cases() - unfinished.keys())
        work = partial(_examine, store.root.path.absolute(), description.fingerprint, places)
        seen = tuple(mapped_in_window(work, _finished(index, names), threads))
    head = _head(description, openings, names, tuple(unfinished), _not_begun(index))
    problems = [] if allow_partial else [*_lacking(unfinished, head.not_begun)]
    problems += [Finding(one.case, problem) for one in seen for problem in one.problems]
    others = (one.case for one in seen if one.locked is not None and not one.locked.is_of(head))
    problems += [
        Finding(case, f"has other files than {RUN} says of its cases: that was changed; {AGAIN}") for case in others
    ]
    problems += [] if names else [Finding(str(store.root.path), f"no case is finished there; {AGAIN}")]
    lines = () if problems else tuple(lock_lines(head, (one.locked for one in seen if one.locked is not None)))
    digest = end_of(lines[-1]) if lines else None
    return LockReport(store.root.path, len(names), head.left_out, tuple(problems), digest, lines)


def _description(store: Store) -> RunDescription:
    """What ``run.json`` says, if it agrees with itself."""
    root = store.root.path
    if not has_records(store.root):
        msg = f"{root}: no {MANIFEST} there, so nothing to lock; give the output folder of a run"
        raise RecordError(msg)
    found = read_description(store)
    if found is None:
        msg = f"{root / RUN}: is missing, so recipe and target are not known; `run` writes it again"
        raise RecordError(msg)
    if found.algorithm_version != ALGORITHM_VERSION:
        what = f"version {found.algorithm_version} of the algorithm, and this is {ALGORITHM_VERSION}"
        msg = f"{root / RUN}: its cases were made by {what}; lock with the monai-mriprep that has made them"
        raise RecordError(msg)
    if fingerprint_of(Recipe(**found.recipe), found.target_spacing) != found.fingerprint:
        msg = f"{root / RUN}: its fingerprint is of another recipe or target spacing: it was changed; {AGAIN}"
        raise RecordError(msg)
    return found


def _openings(store: Store) -> Iterator[Opened]:
    """What each run there has said at its start, the last one first."""
    lines = [line for line, _ in manifest_lines(store.root) if b'"opened"' in line]
    for line in reversed(lines):
        with suppress(RecordError):
            record = read_record(line.decode(errors="replace"))
            if isinstance(record, Opened):
                yield record


def _roots(openings: Iterable[Opened], description: RunDescription) -> tuple[str, ...]:
    """Where the dataset was for each run: it may have been moved between two."""
    return tuple(dict.fromkeys((*(opened.dataset_root for opened in openings), description.dataset_root)))


def _unfinished(index: Index) -> Iterator[tuple[str, str]]:
    """The cases that have no result, and why."""
    for case in sorted(index.cases(), key=natural_key):
        latest = index.latest(case)
        if case in index.damaged:
            yield case, index.damaged[case]
        elif isinstance(latest, Failed):
            yield case, f"has failed: {latest.error}"
        elif not isinstance(latest, Done):
            yield case, "was interrupted"


def _not_begun(index: Index) -> int:
    """How many cases of the last run have no record."""
    return 0 if index.opened is None else max(0, index.opened.cases - len(index.cases()))


def _lacking(unfinished: Mapping[str, str], not_begun: int) -> Iterator[Finding]:
    """What a lock of the whole lacks."""
    yield from (Finding(case, f"{what}; {OR_PARTIAL}") for case, what in unfinished.items())
    if not_begun:
        yield Finding(MANIFEST, f"{counted(not_begun, 'case')} of the last run were not begun; {OR_PARTIAL}")


class _Finished(NamedTuple):
    """A case that is to be locked, and its record."""

    name: str
    record: Done


def _finished(index: Index, names: Iterable[str]) -> Iterator[_Finished]:
    yield from (_Finished(name, record) for name in names if (record := index.done(name)) is not None)


class _Examined(NamedTuple):
    """What a lock says of a case, or why it cannot be locked."""

    case: str
    locked: LockedCase | None
    problems: tuple[str, ...]


def _examine(root: Path, fingerprint: str, places: Places, finished: _Finished) -> _Examined:
    """Read the sources and the outputs of a case again."""
    case, record = finished
    problems: list[str] = []
    if record.repaired:
        problems.append(f"its record was rebuilt from its files, which do not tell its sources; {AGAIN}")
    elif record.fingerprint != fingerprint:
        problems.append(f"was made by another recipe, target spacing or version than the folder has; {AGAIN}")
    if problems:
        return _Examined(case, None, tuple(problems))
    try:
        by_role = record.sources.items()
        sources = {role: tuple(_source(one, places, problems) for one in of_role) for role, of_role in by_role}
        with open_store(root) as store:
            outputs = {role: _output(store, record, role, problems) for role in record.outputs}
        facts = {"case": case, "sources": sources, "outputs": outputs, **facts_of(record)}
        return _Examined(case, None if problems else checked(_CASE, facts), tuple(problems))
    except RecordError as error:
        return _Examined(case, None, (*problems, str(error)))


def _source(source: SourceRecord, places: Places, problems: list[str]) -> LockedSource:
    """What a lock says of a source; adds what is not as recorded."""
    name = places.name(source.path)
    if name is None:
        msg = f"{source.path} lies outside of the dataset ({', '.join(places.roots)}), so nobody could find it again"
        raise RecordError(msg)
    folder = places.of(name)
    if folder is None:
        msg = f"{source.path} is an object in a store; give a copy of the dataset by --dataset"
        raise RecordError(msg)
    data = [{"name": file.path.rpartition("/")[2], "size": file.size, "sha256": file.sha256} for file in source.data]
    size = None if (folder / name).is_dir() else source.size
    locked: LockedSource = checked(_SOURCE, {"path": name, "size": size, "sha256": source.sha256, "data": data})
    found = (f"{folder / one.subject} {one.problem}" for one in changed_files(folder, locked))
    problems.extend(f"{problem}; {AGAIN}, or say by --dataset where the dataset is now" for problem in found)
    return locked


def _output(store: Store, record: Done, role: str, problems: list[str]) -> LockedOutput | None:
    """What a lock says of a volume; None, and why, if it is not as recorded."""
    output = record.outputs[role]
    volume, found = examined(store, ROLE_OF_FOLDER[output.path.split("/")[0]], record)
    problems.extend(f"{output.path} {problem}" for problem in found)
    if volume is None or found:
        return None
    return LockedOutput(path=output.path, **array_facts(volume.array).model_dump())


def facts_of(record: Done) -> dict[str, Any]:
    """What a lock says of a case as its record does, as plain JSON; the keys are `FACTS`."""
    facts = {
        "target_grid": record.target_grid.to_json(),
        "spacing": record.spacing,
        "foreground": record.foreground.model_dump(mode="json"),
        "labels": record.labels.model_dump(mode="json"),
        "trace": record.recorded_trace,
        "classes": None if record.recorded_classes is None else _hash_of(record.recorded_classes),
    }
    return {key: json.loads(json.dumps(facts[key])) for key in FACTS}


def _hash_of(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _head(
    description: RunDescription,
    openings: Sequence[Opened],
    names: Sequence[str],
    unfinished: Sequence[str],
    not_begun: int,
) -> LockHead:
    """What all cases share; of the packages each combination that a run there had."""
    by_runs = [Made(versions=opened.versions, processor=opened.processor) for opened in openings]
    made = by_runs or [Made(versions=description.versions, processor=None)]
    return LockHead(
        lock=FORMAT,
        recipe=description.recipe,
        target_spacing=description.target_spacing,
        fingerprint=description.fingerprint,
        algorithm_version=description.algorithm_version,
        made=tuple(one for _, one in sorted({_as_text(one): one for one in made}.items())),
        is_test=description.like is not None,
        virtual=description.virtual,
        cases=tuple(names),
        left_out=tuple(unfinished),
        not_begun=not_begun,
    )


def _as_text(made: Made) -> str:
    return json.dumps(made.model_dump(mode="json"), sort_keys=True)


_CASE, _SOURCE = TypeAdapter(LockedCase), TypeAdapter(LockedSource)
