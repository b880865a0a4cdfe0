"""Cases of a lock, made again in a folder that is then removed, by the workers of a run, and compared with the lock."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from monai_mriprep.errors import DiskFullError, MriprepError, is_disk_full
from monai_mriprep.formats.npz import decode_npz, read_npz
from monai_mriprep.proof.arrays import TOLERANCE, judged, require_same
from monai_mriprep.proof.lock import facts_of
from monai_mriprep.proof.lock_file import case_of
from monai_mriprep.proof.locked import LockedCase, LockedOutput
from monai_mriprep.proof.reproduce import CaseDiffers, ClaimedCase, Order, ReproduceReport
from monai_mriprep.proof.sources import Difference, changed_files
from monai_mriprep.run.cases import Case, Job, Result
from monai_mriprep.run.engines import Engine
from monai_mriprep.run.preprocess import Observer, worked_on
from monai_mriprep.run.process import process_case
from monai_mriprep.store.records import Done, check_record
from monai_mriprep.store.store import make_store, named_errors, open_store
from monai_mriprep.types import ROLE_OF_FOLDER

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["reproduce"]

SHOWN = 3
"""The most facts of a record that are named of a case."""


def reproduce(
    order: Order,
    engine: Engine,
    scratch: str | Path | None = None,
    observe: Observer = lambda result, finished, total: None,
) -> ReproduceReport:
    """Make the cases of an order again, and compare them.

    Parameters
    ----------
    order
        From `monai_mriprep.proof.reproduce.order_of`.
    engine
        Where the cases are worked on.
    scratch
        The folder in which there is one for what is made meanwhile; by default that of temporary files.
    observe
        Called after each case.

    Raises
    ------
    DiskFullError, OutputError
        If nothing can be written there.
    """
    results: list[Result] = []
    with _folder(scratch) as folder:
        task = _Task(order.job, order.dataset, folder, not order.unlike, order.against)
        with closing(worked_on(partial(_make_again, task), order.cases, engine, _Nothing())) as worked:
            for result in worked:
                if result.stops_run:
                    msg = f"{result.error}; or give another folder by --scratch"
                    raise DiskFullError(msg)
                results.append(result)
                with suppress(Exception):
                    observe(result, len(results), len(order.cases))
    return _report(order, results)


@contextmanager
def _folder(scratch: str | Path | None) -> Iterator[Path]:
    place = Path(tempfile.gettempdir() if scratch is None else scratch)
    with named_errors(place, "no folder can be made there", "give another one by --scratch"):
        made = tempfile.TemporaryDirectory(prefix="mriprep-reproduce-", dir=place, ignore_cleanup_errors=True)
    with made as folder:
        yield Path(folder)


class _Nothing:
    """Keeps no record of who works on what."""

    def announce(self, case: str) -> None:
        """A case is handed out."""

    def finished(self, case: str) -> Result | None:
        """Nothing is kept of a case."""
        return None


@dataclass(frozen=True)
class _Task:
    """What all cases share; see `Order`."""

    job: Job
    dataset: Path
    scratch: Path
    to_the_bit: bool
    against: Path | None


def _make_again(task: _Task, case: Case) -> Result:
    """Make a case again and compare it; it fails if it is not as locked. Never raises an `Exception`."""
    claimed = cast("ClaimedCase", case)
    try:
        locked = case_of(claimed.line)
        changed = [
            one for role in locked.sources.values() for source in role for one in changed_files(task.dataset, source)
        ]
        return _told(case, changed) if changed else _made(task, claimed, locked)
    except Exception as problem:  # noqa: BLE001 - the border: one bad case must not stop the others
        text = str(problem) if isinstance(problem, MriprepError) else f"unexpected {type(problem).__name__}: {problem}"
        full = isinstance(problem, DiskFullError) or (isinstance(problem, OSError) and is_disk_full(problem))
        return Result(case.name, "failed", text, facts={"seconds": {}, "disk_full": full})


def _made(task: _Task, case: ClaimedCase, locked: LockedCase) -> Result:
    with tempfile.TemporaryDirectory(dir=task.scratch, ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        make_store(root)
        with open_store(root) as store:
            store.prepare(sorted({path.split("/")[0] for path in case.outputs.values()}))
        result = process_case(replace(task.job, output_root=root), case)
        if result.status == "failed":
            return _told(case, [Difference("failed", case.name, result.error or "")], result)
        comparison = _Comparison(task, root)
        differences = [*comparison.of_record(locked, result), *comparison.of_arrays(locked)]
    return _told(case, differences, result, comparison)


@dataclass
class _Comparison:
    """What was made again beside the lock, and how close it comes."""

    task: _Task
    root: Path
    deviation: float = 0.0
    is_exact: bool = True

    def of_record(self, locked: LockedCase, result: Result) -> Iterator[Difference]:
        """What a record says, and a lock: what was done to the case, by which settings, and what was found in it."""
        record = cast("Done", check_record({**json.loads(json.dumps(result.record())), "time": 0.0}))
        if _digests(record) != _locked_digests(locked):
            yield Difference("source", locked.case, "was changed, or other files of its voxels came, while it was read")
        before, now = locked.facts, facts_of(record)
        is_known = {key: before[key] is not None for key in before}  # 0.1.0 has recorded no trace
        is_known["classes"] &= self.task.to_the_bit  # another version may choose other voxels
        known, found = ({key: facts[key] for key in before if is_known[key]} for facts in (before, now))
        self.is_exact &= bool(locked.outputs) or known == found
        unequal = [*_unequal(known, found, 0.0 if self.task.to_the_bit else TOLERANCE)]
        for place, text in unequal[:SHOWN]:
            yield Difference("recipe" if _is_setting(place) else "record", ".".join(map(str, place)), text)
        if len(unequal) > SHOWN:
            yield Difference("record", locked.case, f"{len(unequal) - SHOWN} more facts of its record differ")

    def of_arrays(self, locked: LockedCase) -> Iterator[Difference]:
        """What tells each array apart from the one of the lock."""
        for output in locked.outputs.values():
            role = ROLE_OF_FOLDER[output.path.split("/")[0]]
            whole: NDArray[Any] | None = None
            try:
                whole = None if self.task.against is None else _whole(self.task.against, output)
            except MriprepError as error:
                yield Difference("against", output.path, str(error))
            verdict = judged(output, read_npz(self.root / output.path).array, role, self.task.to_the_bit, whole)
            self.is_exact &= verdict.is_exact
            self.deviation = max(self.deviation, verdict.deviation)
            if verdict.problem is not None:
                yield Difference(role.name, output.path, verdict.problem)


def _digests(record: Done) -> dict[str, list[str]]:
    return {
        role: [file.sha256 for source in of_role for file in (source, *source.data)]
        for role, of_role in record.sources.items()
    }


def _locked_digests(locked: LockedCase) -> dict[str, list[str]]:
    return {
        role: [sha256 for source in of_role for sha256 in (source.sha256, *(file.sha256 for file in source.data))]
        for role, of_role in locked.sources.items()
    }


Place = tuple[str | int, ...]
"""The keys and numbers that lead to a value."""


def _unequal(before: Any, now: Any, tolerance: float, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Where plain values differ, and how.

    With a tolerance, numbers with a fraction differ only beyond it, and what is known now alone does not count, which
    another version has recorded.
    """
    is_part = before.keys() <= now.keys() if isinstance(before, dict) and isinstance(now, dict) else False
    if is_part and (tolerance or before.keys() == now.keys()):
        for key in before:
            yield from _unequal(before[key], now[key], tolerance, (*place, key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, pair in enumerate(zip(before, now, strict=True)):
            yield from _unequal(*pair, tolerance, (*place, number))
    elif before != now and not (
        _are_numbers(before, now) and math.isclose(before, now, rel_tol=tolerance, abs_tol=tolerance)
    ):
        yield place, f"is {json.dumps(now)[:80]}; the lock has {json.dumps(before)[:80]}"


def _are_numbers(before: Any, now: Any) -> bool:
    """Whether one of them has a fraction, and the other is a number, too."""
    return {type(before), type(now)} in ({float}, {float, int})


def _is_setting(place: Place) -> bool:
    """Whether this is a step of a trace or a setting of one, which the recipe decides."""
    return place[:2] == ("trace", "steps") and "params" not in place


def _whole(root: Path, locked: LockedOutput) -> NDArray[Any]:
    """The array of the locked folder, if it is the locked one."""
    folder, name = locked.path.split("/")
    with open_store(root) as store, named_errors(root / locked.path, "cannot be read", "give the folder of the lock"):
        raw = store.folder(folder).read(name, store.folder(folder).require(name).st_size)
    array = decode_npz(raw, root / locked.path).array
    require_same(locked, array)
    return array


def _told(
    case: Case, differences: list[Difference], result: Result | None = None, comparison: _Comparison | None = None
) -> Result:
    """The result of a case: failed where it is not as locked."""
    error = "; ".join(f"{one.subject}: {one.problem}" for one in differences) or None
    facts: dict[str, Any] = {"seconds": {}, "differences": tuple(differences)}
    if result is not None:
        facts |= {key: result.facts[key] for key in ("seconds", "disk_full") if key in result.facts}
    if comparison is not None:
        facts |= {"is_exact": comparison.is_exact, "deviation": comparison.deviation}
    warnings = () if result is None else result.warnings
    return Result(case.name, "failed" if differences else "done", error, warnings, facts)


def _report(order: Order, results: list[Result]) -> ReproduceReport:
    by_name = sorted(results, key=lambda result: result.case)
    done = [result for result in by_name if result.status == "done"]
    close = [result for result in done if not result.facts["is_exact"]]
    return ReproduceReport(
        order.lock.path,
        order.dataset,
        order.lock.sha256,
        len(order.lock.head.cases),
        order.unlike,
        not order.unlike,
        tuple(result.case for result in done if result.facts["is_exact"]),
        tuple(result.case for result in close),
        max((result.facts["deviation"] for result in close), default=0.0),
        tuple(CaseDiffers(result.case, _differences(result)) for result in by_name if result.status == "failed"),
        order.differences,
        order.lock.head.virtual,
        len(order.lock.head.left_out) + order.lock.head.not_begun,
    )


def _differences(result: Result) -> tuple[Difference, ...]:
    """Those of a case; of one whose worker was lost, that."""
    found: tuple[Difference, ...] = result.facts.get("differences", ())
    return found or (Difference("failed", result.case, result.error or ""),)
