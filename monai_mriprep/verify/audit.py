"""Is an output folder what its records say? Every byte of every output is read; nothing is written."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from monai_mriprep.dataset.voxel_summary import count_values
from monai_mriprep.errors import MriprepError, NpzError, RecordError
from monai_mriprep.formats.names import natural_key
from monai_mriprep.formats.npz import PARTIAL, NpzVolume, read_npz
from monai_mriprep.run.cases import sha256_of
from monai_mriprep.run.commit import decided
from monai_mriprep.run.lock import shared
from monai_mriprep.run.manifest import Manifest
from monai_mriprep.run.memory import default_workers
from monai_mriprep.types import IMAGE, LABEL
from monai_mriprep.volume.geometry import Grid

__all__ = ["Finding", "VerifyReport", "verify_output"]

Role = Literal["image", "label"]
Record = Mapping[str, Any]

FOLDERS: Mapping[Role, str] = {"image": IMAGE.folder, "label": LABEL.folder}
DTYPES: Mapping[Role, tuple[str, ...]] = {"image": ("float32",), "label": ("int8", "int16")}


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
        latest, done = manifest.latest_and_done()
        latest = dict(sorted(latest.items(), key=lambda item: natural_key(item[0])))
        pending = decided(root / PARTIAL)
        check = partial(_check_case, root, done, pending)
        with ThreadPoolExecutor(max(1, default_workers() if workers is None else workers)) as executor:
            checked = dict(zip(latest, executor.map(check, latest.values()), strict=True))
        recorded = {path for record in done.values() for path in _paths(record)}
        findings = [finding for found in checked.values() for finding in found]
        findings += [*_of_the_run(root, len(latest), done), *_strangers(root, recorded | pending)]
    intact = tuple(name for name, found in checked.items() if not found)
    read = sum(facts["size"] for name in intact for facts in done[name]["outputs"].values())
    return VerifyReport(root, len(latest), intact, read, tuple(findings))


@dataclass(frozen=True)
class _Expected:
    """What a record says of one output."""

    role: Role
    path: str
    size: int
    sha256: str
    grid: Grid
    spacing: tuple[float, ...]
    labels: dict[int, int]

    @classmethod
    def of(cls, record: Record, role: Role) -> _Expected:
        output = record["outputs"][role]
        name = Path(output["path"]).name
        return cls(
            role,
            f"{FOLDERS[role]}/{name}",
            output["size"],
            output["sha256"],
            Grid.from_json(record["target_grid"]),
            tuple(record["spacing"]),
            {int(value): count for value, count in record["labels"]["after"].items()},
        )


def _paths(record: Record) -> Iterator[str]:
    """Where a finished case's outputs are, as far as the record can be read."""
    for role in FOLDERS:
        try:
            yield _Expected.of(record, role).path
        except _UNREADABLE:
            continue


_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, MriprepError)
"""What a record raises that is valid JSON, but not ours."""


def _check_case(root: Path, done: Mapping[str, Record], pending: Collection[str], latest: Record) -> list[Finding]:
    """Compare a case's files with the record of its last success, and say so where more was tried since."""
    case, event = str(latest["case"]), latest.get("event")
    findings = [] if case not in done else list(_check_outputs(root, done[case], pending))
    if event == "done":
        return findings
    what = f"failed in its last run: {latest.get('error')}" if event == "failed" else "was interrupted"
    if case in done:
        what += "; the files that are there are of a run before"
    return [Finding(case, what, is_unfinished=True), *findings]


def _check_outputs(root: Path, record: Record, pending: Collection[str]) -> Iterator[Finding]:
    """Compare a finished case's files with its record; a pair that is just being replaced is left out."""
    try:
        expected = [_Expected.of(record, role) for role in FOLDERS]
    except _UNREADABLE as error:
        problem = f"its record lacks or garbles {error}; `run --overwrite` makes a new one"
        yield Finding(str(record["case"]), problem)
        return
    for one in expected:
        if one.path not in pending:
            yield from (Finding(one.path, problem) for problem in _check_file(root, one))


def _check_file(root: Path, expected: _Expected) -> Iterator[str]:
    path = root / expected.path
    try:
        _require_recorded_bytes(path, expected)
        yield from _differences(read_npz(path), expected)
    except NpzError as error:
        yield error.problem
    except RecordError as error:
        yield str(error)
    except (OSError, MemoryError) as error:
        yield f"cannot be read: {error!r}"


def _require_recorded_bytes(path: Path, expected: _Expected) -> None:
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


def _differences(volume: NpzVolume, expected: _Expected) -> Iterator[str]:
    """Compare what a file holds with what its record says; equal bytes make this a check of the writer."""
    array, role = volume.array, expected.role
    shape, spacing = (1, *expected.grid.shape), tuple(volume.spacing.tolist())
    if array.shape != shape:
        yield f"has the shape {array.shape}; {shape} is recorded"
    if array.dtype.name not in DTYPES[role]:
        yield f"holds {array.dtype.name}; {' or '.join(DTYPES[role])} is expected"
    if spacing != expected.spacing:
        yield f"has the spacing {spacing}; {expected.spacing} is recorded"
    if volume.affine is None or not np.array_equal(volume.affine, expected.grid.affine):
        yield "has an affine that is not the recorded one"
    if role == "image" and not np.isfinite(array).all():
        yield "holds values that are not finite"
    if role == "label" and (found := count_values(array[0])) != expected.labels:
        yield f"holds the labels {found} (value: voxels); {expected.labels} are recorded"


def _of_the_run(root: Path, recorded: int, done: Mapping[str, Record]) -> Iterator[Finding]:
    """Compare the recorded cases with what the last run wanted."""
    try:
        run = json.loads((root / "run.json").read_text(encoding="utf-8"))
        planned, fingerprint = int(run["cases"]), run["fingerprint"]
    except (OSError, *_UNREADABLE) as error:
        yield Finding("run.json", f"cannot be read ({error!r}); `run` writes it again")
        return
    if recorded < planned:
        yield Finding(
            "run.json", f"the last run had {planned} cases, {recorded} of them were started", is_unfinished=True
        )
    others = [name for name, record in done.items() if record.get("fingerprint", fingerprint) != fingerprint]
    if others:
        yield Finding(
            "run.json",
            f"cases have another recipe, target spacing or version than the last run: {_some(others)}; "
            "`run` does them again, unless their sources have left the dataset",
        )


def _strangers(root: Path, recorded: Collection[str]) -> Iterator[Finding]:
    """Name everything that no finished case's record names."""
    for folder in FOLDERS.values():
        for path in sorted((root / folder).glob("*")):
            name = f"{folder}/{path.name}"
            if path.suffix != ".npz" or not path.is_file():
                yield Finding(name, "is no .npz file; who lists the folder takes it for a case: remove it")
            elif name not in recorded:
                yield Finding(name, "belongs to no case that was ever finished; remove it")
    leftovers = sorted(path.name for path in (root / PARTIAL).glob("*"))
    if leftovers:
        yield Finding(PARTIAL, f"holds what an interrupted run left: {_some(leftovers)}", is_unfinished=True)


def _some(names: Sequence[str]) -> str:
    """Up to three names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
