"""Is an output folder what its records say? Every byte of every output is read; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from monai_mriprep.dataset.voxel_summary import count_values
from monai_mriprep.errors import NpzError, RecordError
from monai_mriprep.formats.digest import sha256_of
from monai_mriprep.formats.names import natural_key
from monai_mriprep.formats.npz import PARTIAL, NpzVolume, read_npz
from monai_mriprep.run.commit import pending_outputs
from monai_mriprep.run.memory import default_workers
from monai_mriprep.store.lock import shared
from monai_mriprep.store.manifest import Manifest, Records
from monai_mriprep.store.records import Done, Failed, RecordedFile, read_description
from monai_mriprep.types import IMAGE, LABEL, ROLES, Role

__all__ = ["Finding", "VerifyReport", "verify_output"]

DTYPES = {IMAGE.kind: ("float32",), LABEL.kind: ("int8", "int16")}
"""What the voxels of a role may be stored as, by what they are."""


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
        Size of their files.
    findings
        None if all is well.
    """

    root: Path
    cases: int
    intact: tuple[str, ...]
    bytes_read: int
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What is there and should not be so, or should be there and is not."""
        return tuple(finding for finding in self.findings if not finding.is_unfinished)

    @property
    def unfinished(self) -> tuple[Finding, ...]:
        """What the next run has to do."""
        return tuple(finding for finding in self.findings if finding.is_unfinished)


def verify_output(output_root: str | Path, workers: int | None = None) -> VerifyReport:
    """Read every output and compare it with its record; look for files that no record knows.

    Parameters
    ----------
    output_root
        From a run.
    workers
        Threads; by default one for each core.

    Raises
    ------
    RecordError
        If there are no records: the folder is not the output of a run.
    LockedError
        If a run is alive in the folder, which would change what is being read.
    """
    root = Path(output_root)
    manifest = Manifest(root / "manifest.jsonl")
    if not manifest.path.is_file():
        msg = f"{root}: no {manifest.path.name} there, so nothing to compare with; is it the output folder of a run?"
        raise RecordError(msg)
    with shared(root / ".lock"):
        records = manifest.read()
        cases = sorted(records.latest.keys() | records.unreadable, key=natural_key)
        pending = pending_outputs(root / PARTIAL)
        check = partial(_check_case, records, partial(_check_outputs, root, pending))
        with ThreadPoolExecutor(max(1, default_workers() if workers is None else workers)) as executor:
            checked = dict(zip(cases, executor.map(check, cases), strict=True))
        recorded = {file.path for record in records.done.values() for file in record.outputs.values()}
        findings = [finding for found in checked.values() for finding in found]
        findings += [*_compare_with_last_run(root, records), *_unrecorded_files(root, recorded | pending)]
    intact = tuple(name for name, found in checked.items() if not found)
    read = sum(file.size for name in intact for file in records.done[name].outputs.values())
    return VerifyReport(root, len(cases), intact, read, tuple(findings))


def _check_case(records: Records, check: Callable[[Done], Iterable[Finding]], case: str) -> list[Finding]:
    """Compare a case's files with the record of its last success, and say so where more was tried since."""
    done, latest = records.done.get(case), records.latest.get(case)
    findings = [] if done is None else list(check(done))
    if case in records.unreadable:
        return [Finding(case, f"{records.unreadable[case]}; `run` does the case again"), *findings]
    if isinstance(latest, Done):
        return findings
    what = f"failed in its last run: {latest.error}" if isinstance(latest, Failed) else "was interrupted"
    if done is not None:
        what += "; the files that are there are of a run before"
    return [Finding(case, what, is_unfinished=True), *findings]


def _check_outputs(root: Path, pending: Collection[str], record: Done) -> Iterator[Finding]:
    """Compare a finished case's files with its record; those that are just being replaced are left out."""
    yield from (Finding(record.case, problem) for problem in _trace_problems(record))
    for role in ROLES:
        path = record.outputs[role.name].path
        if path not in pending:
            yield from (Finding(path, problem) for problem in _check_file(root, role, record))


def _trace_problems(record: Done) -> Iterator[str]:
    """Whether predictions find the way back."""
    try:
        _ = record.trace, record.frame
    except RecordError as error:
        yield str(error)


def _check_file(root: Path, role: Role, record: Done) -> Iterator[str]:
    output = record.outputs[role.name]
    path = root / output.path
    try:
        _require_recorded_bytes(path, output)
        yield from _differences(read_npz(path), role, record)
    except NpzError as error:
        yield error.problem
    except RecordError as error:
        yield str(error)
    except (OSError, MemoryError) as error:
        yield f"cannot be read: {error!r}"


def _require_recorded_bytes(path: Path, expected: RecordedFile) -> None:
    """Refuse a file that is not, byte for byte, the one that was written; so what is decoded afterwards is ours."""
    if not path.is_file():
        msg = "is missing; `run` makes it again"
        raise RecordError(msg)
    if (size := path.stat().st_size) != expected.size:
        msg = f"has {size} bytes, {expected.size} were written; {_REMEDY}"
        raise RecordError(msg)
    if sha256_of(path) != expected.sha256:
        msg = f"is damaged or was changed: its SHA-256 is not the recorded one; {_REMEDY}"
        raise RecordError(msg)


_REMEDY = "remove it, and `run` makes it again"


def _differences(volume: NpzVolume, role: Role, record: Done) -> Iterator[str]:
    """Compare what a file holds with what its record says; equal bytes make this a check of the writer."""
    array, grid = volume.array, record.target_grid
    shape, spacing = (1, *grid.shape), tuple(volume.spacing.tolist())
    if array.shape != shape:
        yield f"has the shape {array.shape}; {shape} is recorded"
    if array.dtype.name not in DTYPES[role.kind]:
        yield f"holds {array.dtype.name}; {' or '.join(DTYPES[role.kind])} is expected"
    if spacing != record.spacing:
        yield f"has the spacing {spacing}; {record.spacing} is recorded"
    if volume.affine is None or not np.array_equal(volume.affine, grid.affine):
        yield "has an affine that is not the recorded one"
    if role.kind == IMAGE.kind and not np.isfinite(array).all():
        yield "holds values that are not finite"
    if role.kind == LABEL.kind and (found := count_values(array[0])) != record.labels.after:
        yield f"holds the labels {found} (value: voxels); {record.labels.after} are recorded"


def _compare_with_last_run(root: Path, records: Records) -> Iterator[Finding]:
    """Compare the recorded cases with what the last run wanted."""
    try:
        run = read_description((root / "run.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecordError) as error:
        yield Finding("run.json", f"cannot be read ({error}); `run` writes it again")
        return
    recorded = len(records.latest.keys() | records.unreadable)
    if recorded < run.cases:
        yield Finding(
            "run.json", f"the last run had {run.cases} cases, {recorded} of them were started", is_unfinished=True
        )
    others = [name for name, record in records.done.items() if record.fingerprint != run.fingerprint]
    if others:
        yield Finding(
            "run.json",
            f"cases have another recipe, target spacing or version than the last run: {_first_three(others)}; "
            "`run` does them again, unless their sources have left the dataset",
        )


def _unrecorded_files(root: Path, recorded: Collection[str]) -> Iterator[Finding]:
    """Name everything that no finished case's record names."""
    for folder in (role.folder for role in ROLES):
        for path in sorted((root / folder).glob("*")):
            name = f"{folder}/{path.name}"
            if path.suffix != ".npz" or not path.is_file():
                yield Finding(name, "is no .npz file; who lists the folder takes it for a case: remove it")
            elif name not in recorded:
                yield Finding(name, "belongs to no case that is recorded as finished; remove it")
    leftovers = sorted(path.name for path in (root / PARTIAL).glob("*"))
    if leftovers:
        yield Finding(PARTIAL, f"holds what an interrupted run left: {_first_three(leftovers)}", is_unfinished=True)


def _first_three(names: Sequence[str]) -> str:
    """Up to three names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
