"""The records of a run: what one line of ``manifest.jsonl`` says, checked once, where it is read.

A line is an event: of one case `Started`, `Failed`, `Done` or `Retired`, of the run `Opened`. What does not fit these
models, because somebody has edited it or a crash has torn it, is no record. Lines of 0.1.0 and 0.2.0 fit: they have no
trace, those of 0.1.0 name no reader and hold at most one data file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from monai_mriprep.errors import GeometryError, RecordError
from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.sealed import unseal
from monai_mriprep.measures.model import CaseMeasures
from monai_mriprep.models import Count, Model, Whole, checked, shortened
from monai_mriprep.recipe.values import SpacingTriple
from monai_mriprep.steps import AppliedStep, Trace
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.store.layout import LONGEST_NAME, is_output
from monai_mriprep.store.record_parts import (
    Channels,
    ForegroundRecord,
    HeaderRecord,
    LabelRecord,
    OutputRecord,
    RecordedGrid,
    SourceRecord,
)
from monai_mriprep.types import ROLE_OF_FOLDER, ROLES, TEST_ROLES, GridRule
from monai_mriprep.volume.class_index import ClassIndex
from monai_mriprep.volume.geometry import Grid, same_grid_problem, target_grid

__all__ = ["CaseName", "Done", "Failed", "Opened", "Record", "Retired", "Started", "check_record", "read_record"]

PREPROCESS_AGAIN = "preprocess the case again (run --redo)"

YEAR_10000 = 253_402_300_800
"""In seconds since 1970: no calendar goes further."""

Time = Annotated[float, Field(ge=0, lt=YEAR_10000)]
"""In seconds since 1970."""


def _case(name: str) -> str:
    if len(name) > LONGEST_NAME:  # a limit of pydantic's own would refuse names that are not text
        msg = f"has {len(name)} characters, which no name of a file has"
        raise ValueError(msg)
    return name


CaseName = Annotated[str, AfterValidator(_case)]
"""Of a case: the name of its image, without the suffix."""


class _Event(Model):
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
    time: Time
    error: str | None = None
    warnings: Annotated[tuple[str, ...], Field(strict=False)] = ()


class Started(_Event):
    """A process has begun to work on a case."""

    event: Literal["started"] = "started"
    pid: Whole | None = None


class Failed(_Event):
    """A case could not be preprocessed. What could be read of it is told nevertheless, since it belongs to a cohort.

    Parameters
    ----------
    source_grid, labels, measures
        As in `Done`; None where they are not known.
    """

    event: Literal["failed"] = "failed"
    error: str
    source_grid: RecordedGrid | None = None
    labels: LabelRecord | None = None
    measures: CaseMeasures | None = None


def _are_of_a_case(files: dict[str, OutputRecord]) -> dict[str, OutputRecord]:
    for role, file in files.items():
        folder, _, name = file.path.partition("/")
        if folder not in ROLE_OF_FOLDER or ROLE_OF_FOLDER[folder].name != role or not is_output(name):
            msg = f"{file.path!r} is not in the folder of its role {role!r}"
            raise ValueError(msg)
    folders = {file.path.partition("/")[0] for file in files.values()}
    if files and not any(folders == {role.folder for role in roles} for roles in (ROLES, TEST_ROLES)):
        msg = f"files in {' and '.join(sorted(folders))} are not those of one case"
        raise ValueError(msg)
    return files


class Done(_Event):
    """A case that was preprocessed: its files were written, or, of a virtual folder, nothing but this record.

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
        Its files, by the name of their role, both of the same roles; of sources one a channel. No outputs where the
        folder is virtual.
    source_grid, target_grid
        Of the image as stored, and of all outputs.
    source_header
        Spacing, origin and direction as the image's file states them.
    spacing
        As the outputs state it, in mm, z y x: the target, unless a step after the resampling has made another.
    foreground, labels
        What was found in the voxels.
    recorded_classes
        ``classes`` in the file: some voxels of each class of the output, as `ClassIndex.to_json` writes them; None in
        records before 0.9.0, and of a test set.
    measures
        What was measured in those of the sources, to judge the case beside others; None in records before 0.6.0.
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
    sources: dict[str, Channels[SourceRecord]]
    outputs: Annotated[dict[str, OutputRecord], AfterValidator(_are_of_a_case)]
    source_grid: RecordedGrid
    target_grid: RecordedGrid
    source_header: HeaderRecord | None = None
    spacing: SpacingTriple
    foreground: ForegroundRecord
    labels: LabelRecord
    recorded_classes: Annotated[dict[str, Any] | None, Field(alias="classes")] = None
    measures: CaseMeasures | None = None
    seconds: dict[str, float]
    peak_mib: float
    recorded_trace: Annotated[dict[str, Any] | None, Field(alias="trace")] = None

    @model_validator(mode="after")
    def _check_roles(self) -> Done:
        kinds = [{role.name for role in roles} for roles in (ROLES, TEST_ROLES)]
        if self.sources.keys() not in ([self.outputs.keys()] if self.outputs else kinds):
            sources, outputs = ", ".join(self.sources), ", ".join(self.outputs)
            msg = f"sources ({sources}) and outputs ({outputs}) are not of the same roles"
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
    def classes(self) -> ClassIndex | None:
        """Some voxels of each class of the output; None where they are not recorded.

        Raises
        ------
        RecordError
            If no label of the target grid has them.
        """
        if self.recorded_classes is None:
            return None
        try:
            return ClassIndex.from_json(self.recorded_classes, self.target_grid.shape)
        except RecordError as error:
            msg = f"{shortened(str(error))}; {PREPROCESS_AGAIN}"
            raise RecordError(msg) from error

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
        raise RecordError(shortened(str(error))) from error


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
    excluded
        Why somebody has excluded the case, which may be empty; None where nobody has.
    """

    event: Literal["retired"] = "retired"
    files: Annotated[tuple[str, ...], Field(strict=False)] = ()
    excluded: str | None = None


class Opened(Model):
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
    processor
        The type of that of the process that has begun it; None up to 0.8.0.
    orphans
        Files that were skipped, for they have no partner; None up to 0.5.0.
    declared_labels
        The values that labels may have, where the dataset says so.
    shard
        Which part of the run it is, such as ``3-of-8``; None for the whole.
    plan
        Hash of the list of cases by which the parts were split.
    writer
        Who has begun it.
    """

    event: Literal["opened"] = "opened"
    time: Time
    dataset_root: str
    pattern: str | None = None
    cases: Count
    warnings: Annotated[tuple[str, ...], Field(strict=False)] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    processor: str | None = None
    orphans: Count | None = None
    declared_labels: Annotated[tuple[Whole, ...] | None, Field(strict=False)] = None
    shard: str | None = None
    plan: str | None = None
    writer: str | None = None


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
