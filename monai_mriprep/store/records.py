"""The records of a run: what one line of ``manifest.jsonl`` says, checked once, where it is read.

A line is an event of one case: `Started`, `Failed` or `Done`. What does not fit these models, because somebody has
edited it or a crash has torn it, is no record. Lines of 0.1.0 and 0.2.0 fit: they have no trace, those of 0.1.0 name
no reader and hold at most one data file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from monai_mriprep.errors import GeometryError, MriprepError, RecordError
from monai_mriprep.formats.digest import sha256_of
from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.sealed import unseal
from monai_mriprep.recipe.values import SpacingTriple
from monai_mriprep.steps import AppliedStep, Trace
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.store.layout import LONGEST_NAME, ROLE_FOLDERS, is_output
from monai_mriprep.types import ROLES, GridRule
from monai_mriprep.volume.geometry import Grid, same_grid_problem, target_grid

__all__ = [
    "Done",
    "Failed",
    "ForegroundRecord",
    "HeaderRecord",
    "LabelRecord",
    "Opened",
    "OutputRecord",
    "Record",
    "RecordedFile",
    "Retired",
    "SourceRecord",
    "Started",
    "check_record",
    "checked",
    "read_record",
]

PREPROCESS_AGAIN = "preprocess the case again (run --redo)"

YEAR_10000 = 253_402_300_800
"""In seconds since 1970: no calendar goes further."""

LONGEST_REASON = 300
"""Characters of what is wrong with a record; it quotes the record, which may hold anything."""

Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A number that 64 bits can hold; a line of JSON can hold one of thousands of digits."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
Class = Annotated[int, Field(strict=False, ge=-(2**63), lt=2**63)]
"""The number of a label; as a key, JSON holds it as text."""


def _grid(facts: object) -> Grid:
    try:
        grid = Grid.from_json(facts)  # type: ignore[arg-type]
    except (MriprepError, KeyError, TypeError, OverflowError) as error:
        msg = f"is no grid: {error}"
        raise ValueError(msg) from error
    if math.prod(grid.shape) >= 2**63:
        msg = "is no grid: it has more voxels than a number can say"
        raise ValueError(msg)
    return grid


def _path(text: str) -> str:
    try:
        is_path = "\0" not in os.fsdecode(os.fsencode(text))
    except UnicodeError:  # JSON can hold text that no name can be
        is_path = False
    if not is_path:
        msg = "is not the path of a file"
        raise ValueError(msg)
    return text


def _case(name: str) -> str:
    if len(name) > LONGEST_NAME:  # a limit of pydantic's own would refuse names that are not text
        msg = f"has {len(name)} characters, which no name of a file has"
        raise ValueError(msg)
    return name


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict) else value


RecordedGrid = Annotated[InstanceOf[Grid], BeforeValidator(_grid)]
Triple = Annotated[tuple[float, float, float], Field(strict=False)]
"""Along z, y, x; JSON holds it as a list."""
RecordedPath = Annotated[str, AfterValidator(_path)]
CaseName = Annotated[str, AfterValidator(_case)]
"""Of a case: the name of its image, without the suffix."""


class _Model(BaseModel):
    """Frozen, no conversions; keys that a later version may add are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)


class RecordedFile(_Model):
    """Enough of a file to see that it has changed.

    Parameters
    ----------
    path
        As it was found; outputs relative to the output folder.
    size
        In bytes.
    mtime_ns
        Time of the last change, in nanoseconds since 1970.
    sha256
        Hexadecimal.
    """

    path: RecordedPath
    size: Count
    mtime_ns: Whole
    sha256: str

    @staticmethod
    def of(path: Path, status: os.stat_result) -> RecordedFile:
        """What is to be recorded of a file.

        Parameters
        ----------
        path
            The file, or a folder of slices.
        status
            Taken before its content was used, because it may have changed since.
        """
        size, mtime_ns = status.st_size, status.st_mtime_ns
        return RecordedFile(path=str(path.absolute()), size=size, mtime_ns=mtime_ns, sha256=sha256_of(path))


class SourceRecord(RecordedFile):
    """A file that a case was read from.

    In a record that was rebuilt, the path is the bare name, size and time are 0, and the SHA-256 is empty: the volumes
    do not tell them.

    Parameters
    ----------
    reader
        Who read it; empty where 0.1.0 did.
    data
        The other files that hold its voxels.
    """

    reader: str = ""
    data: Annotated[tuple[RecordedFile, ...], Field(strict=False), BeforeValidator(_as_list)] = ()


class OutputRecord(RecordedFile):
    """A file that was written for a case; `crc32` is the checksum of its voxels that the archive states."""

    crc32: Count


class ForegroundRecord(_Model):
    """Mean and population standard deviation of the image's foreground, and its number of voxels on the new grid."""

    mean: float
    std: float
    voxels: Count


class HeaderRecord(_Model):
    """A `Frame` as it is recorded: spacing, origin and direction as a file states them, every digit."""

    spacing: Triple
    origin: Triple
    direction: Annotated[tuple[Triple, Triple, Triple], Field(strict=False)]

    @property
    def frame(self) -> Frame:
        """The same, for writing a file with it."""
        return Frame(self.spacing, self.origin, self.direction)


class LabelRecord(_Model):
    """How many voxels each label had before preprocessing, and after it."""

    before: dict[Class, Count]
    after: dict[Class, Count]


class _Event(_Model):
    """What all events have.

    Parameters
    ----------
    case
        Its name.
    time
        When the line was written, in seconds since 1970.
    error
        The message, where the case failed.
    warnings
        What needs review.
    """

    case: CaseName
    time: Annotated[float, Field(ge=0, lt=YEAR_10000)]
    error: str | None = None
    warnings: Annotated[tuple[str, ...], Field(strict=False)] = ()


class Started(_Event):
    """A process has begun to work on a case."""

    event: Literal["started"] = "started"
    pid: Whole | None = None


class Failed(_Event):
    """A case could not be preprocessed."""

    event: Literal["failed"] = "failed"
    error: str


REQUIRED = {role.name for role in ROLES if role.required}


def _are_in_their_folders(files: dict[str, OutputRecord]) -> dict[str, OutputRecord]:
    for role, file in files.items():
        folder, _, name = file.path.partition("/")
        if folder != ROLE_FOLDERS.get(role) or not is_output(name):
            msg = f"{file.path!r} is not in the folder of its role {role!r}"
            raise ValueError(msg)
    return files


class Done(_Event):
    """A case whose files were written.

    Parameters
    ----------
    fingerprint
        Of the recipe, target spacing and version of the algorithm.
    redo
        How often the output folder had been started anew.
    repaired
        Whether the record was rebuilt from the volumes. Seconds and memory are not known then, and neither are the
        labels before, where the volumes do not tell them.
    sources, outputs
        Its files, by the name of their role; both have the same roles.
    source_grid, target_grid
        Of the image as stored, and of all outputs.
    source_header
        Spacing, origin and direction as the image's file states them.
    spacing
        As the outputs state it, in mm, z y x: the target, unless a step after the resampling has made another.
    foreground, labels
        What was found in the voxels.
    seconds
        Wall time by stage.
    peak_mib
        The highest memory that its process had had by then.
    recorded_trace
        ``trace`` in the file: what was done, as `Trace.to_json` writes it; None in records of 0.1.0 and 0.2.0.
    """

    event: Literal["done"] = "done"
    fingerprint: str
    redo: Count = 0
    repaired: bool = False
    sources: dict[str, SourceRecord]
    outputs: Annotated[dict[str, OutputRecord], AfterValidator(_are_in_their_folders)]
    source_grid: RecordedGrid
    target_grid: RecordedGrid
    source_header: HeaderRecord | None = None
    spacing: SpacingTriple
    foreground: ForegroundRecord
    labels: LabelRecord
    seconds: dict[str, float]
    peak_mib: float
    recorded_trace: Annotated[dict[str, Any] | None, Field(alias="trace")] = None

    @model_validator(mode="after")
    def _check_roles(self) -> Done:
        if not self.sources.keys() == self.outputs.keys() >= REQUIRED:
            sources, outputs = ", ".join(self.sources), ", ".join(self.outputs)
            msg = f"sources ({sources}) and outputs ({outputs}) are not of the same roles, or lack one"
            raise ValueError(msg)
        return self

    @cached_property
    def frame(self) -> Frame:
        """Spacing, origin and direction of the source; of its affine where the file's own are not recorded.

        Raises
        ------
        RecordError
            If they contradict the source's grid.
        """
        if self.source_header is None:
            return Frame.of_grid(self.source_grid)
        frame = self.source_header.frame
        if problem := _frame_problem(frame, self.source_grid):
            msg = f"{problem} is not that of the source_grid; {PREPROCESS_AGAIN}"
            raise RecordError(msg)
        return frame

    @cached_property
    def trace(self) -> Trace:
        """What was done to the case. Where no trace is recorded, it was resampled from one grid to the other.

        Raises
        ------
        RecordError
            If the trace is not whole, names a step that is not registered here, or contradicts the grids.
        """
        if self.recorded_trace is not None:
            trace = _trace(self.recorded_trace)
            if (trace.source, trace.target) == (self.source_grid, self.target_grid):
                return trace
            msg = (
                f"its trace does not lead from the recorded source grid to the recorded target grid; {PREPROCESS_AGAIN}"
            )
            raise RecordError(msg)
        if not any(map(self._was_resampled_by, get_args(GridRule))):
            msg = f"no resampling of the recorded source grid gives the recorded target grid; {PREPROCESS_AGAIN}"
            raise RecordError(msg)
        step, params = Resampling(target=self.spacing), {"grid": self.target_grid.to_json()}
        return Trace(self.source_grid, (AppliedStep(step, params, self.source_grid),))

    def _was_resampled_by(self, rule: GridRule) -> bool:
        try:
            return same_grid_problem(self.target_grid, target_grid(self.source_grid, self.spacing, rule)) is None
        except OverflowError:  # more voxels than a number can say
            return False


def _trace(facts: dict[str, Any]) -> Trace:
    try:
        return Trace.from_json(facts)
    except RecordError as error:
        raise RecordError(_shortened(str(error))) from error


def _frame_problem(frame: Frame, grid: Grid) -> str | None:
    """What of a recorded header contradicts a grid, in words."""
    affine = grid.affine.copy()
    affine[:3, :3], affine[:3, 3] = np.multiply(frame.direction, frame.spacing), frame.origin
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            problem = same_grid_problem(grid, Grid(grid.shape, affine))
    except GeometryError:
        problem = "direction"
    return problem and f"the {problem} of the recorded source_header"


class Retired(_Event):
    """A case has left the dataset, or its files got other names; what it had was moved to ``retired/``.

    Parameters
    ----------
    files
        Where they are now, relative to the output folder.
    """

    event: Literal["retired"] = "retired"
    files: Annotated[tuple[str, ...], Field(strict=False)] = ()


class Opened(_Model):
    """A run has begun.

    Parameters
    ----------
    time
        When, in seconds since 1970.
    dataset_root
        What it read.
    cases
        How many it had.
    pattern
        Of its recipe, by which it paired the files.
    warnings
        What needed review in the dataset as a whole.
    versions
        Of the packages that compute.
    """

    event: Literal["opened"] = "opened"
    time: Annotated[float, Field(ge=0, lt=YEAR_10000)]
    dataset_root: str
    pattern: str | None = None
    cases: Count
    warnings: Annotated[tuple[str, ...], Field(strict=False)] = ()
    versions: dict[str, str] = {}


Record = Started | Failed | Done | Retired
"""What is recorded of a case."""

_RECORD: TypeAdapter[Record | Opened] = TypeAdapter(Annotated[Record | Opened, Field(discriminator="event")])


def check_record(facts: Mapping[str, Any]) -> Record | Opened:
    """The record that plain values make.

    Raises
    ------
    RecordError
        If they make none.
    """
    return checked(_RECORD, facts)


def read_record(line: str) -> Record | Opened:
    """Read one line of ``manifest.jsonl``.

    Raises
    ------
    NewerVersionError
        If a newer version has written it.
    RecordError
        If it is no record, or was changed since it was written.
    """
    _, facts = unseal(line)
    return check_record(facts)


Checked = TypeVar("Checked")


def checked(adapter: TypeAdapter[Checked], facts: Mapping[str, Any]) -> Checked:
    """Plain values as what an adapter makes of them.

    Raises
    ------
    RecordError
        If they do not fit.
    """
    try:
        return adapter.validate_python(facts)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        msg = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
        raise RecordError(_shortened(msg)) from error


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."
