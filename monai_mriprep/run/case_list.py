"""``cases.jsonl``: the cases of a run as `plan` has found them, so that nobody needs to look at the dataset again.

The first line is what holds for all of them, every other one is a case. Both are written and read a line at a time. The
hash of the whole file is in ``run.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from monai_mriprep.dataset.exclusions import Exclusion, Exclusions
from monai_mriprep.errors import RecordError
from monai_mriprep.formats.names import address_in, composed
from monai_mriprep.models import Count, Whole, checked
from monai_mriprep.run.cases import Case
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.store.description import FrozenList, RunDescription, read_description, write_description
from monai_mriprep.store.layout import CASES, RUN, is_output
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.store.store import Store, named_errors
from monai_mriprep.types import ROLE_OF_FOLDER

__all__ = ["ListHead", "ListedFiles", "drop_list", "list_problem", "read_cases", "write_cases"]

AGAIN = "`plan` makes it again"
LONGEST_LINE = 1 << 24


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True)


class ListHead(_Plain):
    """What holds for all cases of a list.

    Parameters
    ----------
    dataset_root
        Where they were found: absolute, or an address.
    orphans, declared_labels, warnings
        As in a run's `Opened` record.
    excluded
        Names of the cases of the dataset that a list of the user has left out.
    exclusions
        The lines of that list: case, comment, and number of the line.
    retire
        Whether the user has confirmed that cases leave, however many.
    """

    dataset_root: str
    orphans: Count = 0
    declared_labels: tuple[Whole, ...] | None = None
    warnings: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    retire: bool = False

    @property
    def exclusion_list(self) -> Exclusions:
        """The list of the user, as it was."""
        return Exclusions(None, {composed(one.case): one for one in self.exclusions})


class _Object(_Plain):
    """What a store has said of an object, or of the slices of a series as one."""

    etag: str
    size: Count
    modified_ns: Whole


class _Line(_Plain):
    """A case; its sources are relative to the dataset where they lie in it, and so are the names of its objects."""

    name: str
    sources: dict[str, tuple[str, ...]]
    outputs: dict[str, str]
    memory_bytes: Count
    output_voxels: Count
    is_upper_bound: bool
    objects: dict[str, _Object] = {}


_HEAD, _LINE = TypeAdapter(ListHead), TypeAdapter(_Line)


class ListedFiles(Mapping[str, tuple[Path, ...]]):
    """The files of a case by the name of their role; a path is made when it is asked for, for a run holds all cases.

    Parameters
    ----------
    root
        The dataset.
    names
        Relative to it, or absolute.
    """

    __slots__ = ("names", "root")

    def __init__(self, root: Path, names: Mapping[str, tuple[str, ...]]) -> None:
        self.root = root
        self.names = names

    def __getitem__(self, role: str) -> tuple[Path, ...]:
        return tuple(self.root / name for name in self.names[role])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def write_cases(store: Store, plan: RunPlan, retire: bool = False) -> FrozenList:
    """Write the list of a plan, and say what ``run.json`` is to say of it.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be written.
    """
    digest = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for line in _lines(plan, retire):
            digest.update(line)
            yield line

    store.replace(CASES, hashed())
    return FrozenList(sha256=digest.hexdigest(), cases=len(plan.cases))


def _lines(plan: RunPlan, retire: bool) -> Iterator[bytes]:
    head = ListHead(
        dataset_root=plan.dataset_name,
        orphans=plan.orphans,
        declared_labels=plan.job.declared_labels,
        warnings=plan.warnings,
        excluded=plan.excluded,
        exclusions=tuple(plan.exclusions.by_name.values()),
        retire=retire,
    )
    facts = (_facts(case, plan) for case in plan.cases)
    yield from (f"{json.dumps(line)}\n".encode() for line in chain([head.model_dump(mode="json")], facts))


def _facts(case: Case, plan: RunPlan) -> dict[str, Any]:
    names = {path: origin.address.removeprefix(f"{plan.address}/") for path, origin in case.origins.items()}
    facts = {
        "name": case.name,
        "sources": {
            role: [names.get(str(path)) or _place(path, plan.dataset_root) for path in paths]
            for role, paths in case.sources.items()
        },
        "outputs": dict(case.outputs),
        "memory_bytes": case.memory_bytes,
        "output_voxels": case.output_voxels,
        "is_upper_bound": case.is_upper_bound,
    }
    if names:
        facts["objects"] = {names[path]: _object(origin) for path, origin in case.origins.items()}
    return facts


def _object(origin: Origin) -> dict[str, Any]:
    return {"etag": origin.etag, "size": origin.size, "modified_ns": origin.modified_ns}


def _place(path: Path, root: Path) -> str:
    return str(path.relative_to(root) if path.is_relative_to(root) else path.absolute())


def read_cases(store: Store, frozen: FrozenList, description: RunDescription) -> tuple[ListHead, tuple[Case, ...]]:
    """What holds for all cases of the list, and the cases, in their order.

    Parameters
    ----------
    store
        The output folder.
    frozen
        What ``run.json`` says of the list.
    description
        The rest of ``run.json``: what each case is read from, and whether it is stored.

    Returns
    -------
    tuple of ListHead and tuple of Case
        Where the dataset is an address, sources are named below it as below a folder, and have their `origins`.

    Raises
    ------
    RecordError
        If there is no list, or it is another than ``run.json`` tells of.
    """
    digest = hashlib.sha256()
    with _lines_of(store, digest) as lines:
        head: ListHead = _checked(store, _HEAD, next(lines, b""))
        cases = tuple(_case(store, line, head.dataset_root, description) for line in lines)
    if problem := _difference(frozen, digest):
        raise _refusal(store, problem)
    return head, cases


def list_problem(store: Store, frozen: FrozenList | None) -> str | None:
    """What is wrong with the list, beside ``run.json``; None if nothing is."""
    if frozen is None:
        is_there = store.root.status(CASES) is not None
        return f"{RUN} does not tell of it; remove it, or {AGAIN}" if is_there else None
    digest = hashlib.sha256()
    try:
        with _lines_of(store, digest) as lines:
            deque(lines, 0)
    except RecordError as error:
        return str(error).removeprefix(f"{store.root.path / CASES}: ")
    return _difference(frozen, digest)


def drop_list(store: Store) -> None:
    """Remove the list, and what ``run.json`` says of it; a crash between leaves a list that nobody takes.

    Raises
    ------
    RecordError
        If ``run.json`` cannot be read.
    DiskFullError, OutputError
        If it cannot be written, or the list cannot be removed.
    """
    description = read_description(store)
    if description is not None and description.plan is not None:
        write_description(store, description.model_copy(update={"plan": None}))
    with named_errors(store.root.path / CASES, "cannot be removed", "remove it"):
        if store.root.status(CASES) is not None:
            store.root.remove(CASES)


@contextmanager
def _lines_of(store: Store, digest: Any) -> Iterator[Iterator[bytes]]:
    """The lines of the list, which go through a digest."""
    try:
        with store.root.reading(CASES) as file:
            yield _hashed(file, digest)
    except OSError as error:
        raise _refusal(store, f"cannot be read ({error.strerror}); {AGAIN}") from error


def _hashed(file: IO[bytes], digest: Any) -> Iterator[bytes]:
    while line := file.readline(LONGEST_LINE):
        digest.update(line)
        yield line


def _difference(frozen: FrozenList, digest: Any) -> str | None:
    if digest.hexdigest() == frozen.sha256:
        return None
    return f"is not the list that {RUN} tells of, by its SHA-256; {AGAIN}"


def _checked(store: Store, adapter: TypeAdapter[Any], text: bytes) -> Any:
    try:
        return checked(adapter, json.loads(text))
    except (ValueError, RecursionError, RecordError) as error:
        raise _refusal(store, f"a line is none of a list of cases ({error}); {AGAIN}") from error


def _case(store: Store, text: bytes, dataset: str, description: RunDescription) -> Case:
    line: _Line = _checked(store, _LINE, text)
    names = tuple(role.name for role in description.roles)
    stored = () if description.virtual else names
    if (tuple(line.sources), tuple(line.outputs)) != (names, stored) or not all(map(_is_place, line.outputs.values())):
        raise _refusal(store, f"the case {line.name!r} is not of this folder's kind; {AGAIN}")
    if address_in(dataset) is not None and not line.objects.keys() >= set(chain.from_iterable(line.sources.values())):
        raise _refusal(store, f"the case {line.name!r} does not tell which objects its files are; {AGAIN}")
    costs, root = (line.memory_bytes, line.output_voxels, line.is_upper_bound), Path(dataset)
    origins = {
        f"{root}/{name}": Origin(f"{dataset}/{name}", of.etag, of.size, of.modified_ns)
        for name, of in line.objects.items()
    }
    return Case(line.name, ListedFiles(root, line.sources), line.outputs, *costs, origins)


def _is_place(output: str) -> bool:
    folder, _, name = output.partition("/")
    return folder in ROLE_OF_FOLDER and is_output(name)


def _refusal(store: Store, problem: str) -> RecordError:
    return RecordError(f"{store.root.path / CASES}: {problem}")
