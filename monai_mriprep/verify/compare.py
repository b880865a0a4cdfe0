"""What tells two output folders apart, by their records alone: no voxel is read, and nothing is written."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.names import natural_key
from monai_mriprep.recipe.differences import changed_keys
from monai_mriprep.store.attempts import has_records
from monai_mriprep.store.description import RunDescription, read_description
from monai_mriprep.store.layout import MANIFEST, RUN
from monai_mriprep.store.lock import shared
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.types import IMAGE, LABEL, OUTSIDE, Spacing
from monai_mriprep.verify.comparison import Both, CaseDifference, ClassVolume, Comparison, Volume
from monai_mriprep.volume.geometry import Grid, same_grid_problem

__all__ = ["compare_outputs"]


@np.errstate(all="ignore")  # records may hold any numbers
def compare_outputs(a: str | Path, b: str | Path) -> Comparison:
    """Compare two output folders by their records.

    Parameters
    ----------
    a, b
        From runs, of any version.

    Raises
    ------
    RecordError
        If one has no records, or a newer version has written them.
    LockedError
        If a run is alive in one of them.
    OutputError
        If one cannot be read.
    """
    with ExitStack() as stack:
        return _compare(_opened(stack, Path(a)), _opened(stack, Path(b)))


@dataclass(frozen=True)
class _Side:
    """One of the folders: its records, what ``run.json`` says, and what cannot be read of both."""

    root: Path
    index: Index
    description: RunDescription | None
    unreadable: tuple[str, ...]

    @cached_property
    def cases(self) -> set[str]:
        """All that have a record; those that were retired are left out."""
        return self.index.cases()

    @property
    def is_virtual(self) -> bool:
        """Whether it has no volumes."""
        return self.description is not None and self.description.virtual

    @property
    def target(self) -> Spacing | None:
        """The target spacing, if it is known."""
        return None if self.description is None else self.description.target_spacing

    @property
    def versions(self) -> dict[str, str]:
        """Those that its last run had, as far as it says them."""
        run, opened = self.description, self.index.opened
        of_folder = {} if run is None else {"algorithm": str(run.algorithm_version), **run.versions}
        return of_folder | ({} if opened is None else opened.versions)

    def result(self, case: str) -> _Result:
        """How a case stands."""
        event = self.index.event(case)
        if event == "done":
            return _Result("done", self.index.done(case))
        return _Result("failed" if event == "failed" else "interrupted")


class _Result(NamedTuple):
    """How a case stands, and its record if it is done."""

    status: str
    record: Done | None = None


def _opened(stack: ExitStack, root: Path) -> _Side:
    store = stack.enter_context(open_store(root))
    stack.enter_context(shared(store.root))
    if not has_records(store.root):
        msg = f"{root}: no {MANIFEST} there, so nothing to compare; give the output folders of two runs"
        raise RecordError(msg)
    index = read_index(store.root)
    description, problem = _described(store)
    damaged = (f"{case}: {index.damaged[case]}" for case in _sorted(index.damaged))
    lines = (f"{root}: {text}" for text in (*damaged, *index.nameless))
    return _Side(root, index, description, (*problem, *lines))


def _described(store: Store) -> tuple[RunDescription | None, tuple[str, ...]]:
    """What ``run.json`` says, or why that is not known."""
    try:
        found = read_description(store)
    except RecordError as error:
        return None, (f"{error}; recipe and target cannot be compared",)
    missing = f"{store.root.path / RUN}: is missing; recipe and target cannot be compared"
    return found, () if found is not None else (missing,)


def _compare(a: _Side, b: _Side) -> Comparison:
    damaged = {*a.index.damaged, *b.index.damaged}
    in_both = _sorted((a.cases & b.cases) - damaged)
    compared = [_compare_case(case, a.result(case), b.result(case)) for case in in_both]
    known = [] if a.description is None or b.description is None else [(a.description.recipe, b.description.recipe)]
    return Comparison(
        roots=(a.root, b.root),
        cases=(len(a.cases), len(b.cases)),
        recipe=tuple(key for recipes in known for key in changed_keys(*recipes)),
        target_spacing=(a.target, b.target),
        versions=dict(_other_versions(a.versions, b.versions)),
        lost=_sorted(a.cases - b.cases - damaged),
        added=_sorted(b.cases - a.cases - damaged),
        changed=tuple(found for found, _ in compared if found.differs),
        same=tuple(found.case for found, _ in compared if not found.differs),
        classes=_in_all(classes for _, classes in compared),
        unreadable=(*a.unreadable, *b.unreadable),
        virtual=(a.is_virtual, b.is_virtual),
    )


def _sorted(cases: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(cases, key=natural_key))


def _other_versions(a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[tuple[str, Both[str | None]]]:
    for name in dict.fromkeys((*a, *b)):
        if a.get(name) != b.get(name):
            yield name, (a.get(name), b.get(name))


def _compare_case(case: str, a: _Result, b: _Result) -> tuple[CaseDifference, tuple[ClassVolume, ...]]:
    """What tells its results apart, and what all of its classes take."""
    status = a.status, b.status
    if a.record is None or b.record is None:
        return CaseDifference(case, status), ()
    grids, classes = (a.record.target_grid, b.record.target_grid), _classes(a.record, b.record)
    difference = CaseDifference(
        case,
        status,
        arrays=tuple(_other_arrays(a.record, b.record)),
        sources=tuple(_other_sources(a.record, b.record)),
        grid=same_grid_problem(*grids),
        target_grids=grids,
        classes=tuple(one for one in classes if one.differs),
    )
    return difference, classes


def _other_arrays(a: Done, b: Done) -> Iterator[str]:
    """Two files of one array have other bytes where their comments say something else; the CRC-32 is of the array.

    Where one has no volumes, what was done to the image, and found in it, tells whether it would be another one.
    """
    if not (a.outputs and b.outputs):
        yield from () if a.recorded_trace == b.recorded_trace else (IMAGE.name,)
        return
    for role in dict.fromkeys((*a.outputs, *b.outputs)):
        one, other = a.outputs.get(role), b.outputs.get(role)
        if one is None or other is None or (one.sha256 != other.sha256 and one.crc32 != other.crc32):
            yield role


def _other_sources(a: Done, b: Done) -> Iterator[str]:
    """A record that was rebuilt does not tell the bytes of its sources."""
    for role in () if a.repaired or b.repaired else dict.fromkeys((*a.sources, *b.sources)):
        if _digests(a, role) != _digests(b, role):
            yield role


def _digests(record: Done, role: str) -> list[str]:
    """SHA-256 of the files of a role, and of what holds their voxels."""
    return [file.sha256 for source in record.sources.get(role, ()) for file in (source, *source.data)]


def _classes(a: Done, b: Done) -> tuple[ClassVolume, ...]:
    """What each class takes; nothing where one of the two has no label, as in a test set."""
    if any(LABEL.name not in record.sources for record in (a, b)):
        return ()
    values = {value for one in (a, b) for histogram in (one.labels.before, one.labels.after) for value in histogram}
    in_a, in_b = _volumes(a), _volumes(b)
    return tuple(ClassVolume(value, (in_a(value), in_b(value))) for value in sorted(values - {0, OUTSIDE}))


def _volumes(record: Done) -> Callable[[int], Volume]:
    """What a class takes, by its value."""
    before, after = record.labels.before, record.labels.after
    mm3_before, mm3_after = _mm3_of_a_voxel(record.source_grid), _mm3_of_a_voxel(record.target_grid)
    is_on_grid = sum(before.values()) == math.prod(record.source_grid.shape)

    def volume(value: int) -> Volume:
        n_before, n_after = before.get(value, 0) if before else None, after.get(value, 0)
        in_mm3 = n_before * mm3_before if is_on_grid and n_before is not None else None
        return Volume(n_before, in_mm3, n_after, n_after * mm3_after)

    return volume


def _mm3_of_a_voxel(grid: Grid) -> float:
    return abs(float(np.linalg.det(grid.affine[:3, :3])))


def _in_all(cases: Iterable[tuple[ClassVolume, ...]]) -> tuple[ClassVolume, ...]:
    """The sum of each class, in the order of their values."""
    sums: dict[int, Both[Volume]] = defaultdict(lambda: (Volume(), Volume()))
    for classes in cases:
        for one in classes:
            first, second = sums[one.value]
            sums[one.value] = first + one.volumes[0], second + one.volumes[1]
    return tuple(ClassVolume(value, sums[value]) for value in sorted(sums))
