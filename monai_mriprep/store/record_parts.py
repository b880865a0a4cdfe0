"""The parts of a record: what it says of files, grids and voxels."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, PlainSerializer, model_validator

from monai_mriprep.errors import MriprepError
from monai_mriprep.formats.digest import sha256_of
from monai_mriprep.formats.header import Frame
from monai_mriprep.models import Count, Model, Whole
from monai_mriprep.volume.geometry import Grid

__all__ = [
    "Channels",
    "ForegroundRecord",
    "HeaderRecord",
    "Histogram",
    "LabelRecord",
    "Origin",
    "OutputRecord",
    "RecordedFile",
    "RecordedGrid",
    "SourceRecord",
    "json_histogram",
    "one_or_several",
]


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


def _as_list(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


RecordedGrid = Annotated[InstanceOf[Grid], BeforeValidator(_grid)]
Triple = Annotated[tuple[float, float, float], Field(strict=False)]
"""Along z, y, x; JSON holds it as a list."""
RecordedPath = Annotated[str, AfterValidator(_path)]
Histogram = dict[Annotated[Whole, Field(strict=False)], Count]
"""Voxels of each label; JSON holds its number as text."""


class Origin(NamedTuple):
    """The object that a file is a copy of.

    Parameters
    ----------
    address
        Such as ``s3://bucket/scans/a.mha``.
    etag
        What the store calls its content.
    size
        In bytes.
    modified_ns
        When it was written, in nanoseconds since 1970.
    """

    address: str
    etag: str
    size: int
    modified_ns: int


class RecordedFile(Model):
    """Enough of a file to see that it has changed.

    Parameters
    ----------
    path
        As it was found, or the address of its object; outputs relative to the output folder.
    size
        In bytes.
    mtime_ns
        Time of the last change, in nanoseconds since 1970.
    sha256
        Hexadecimal.
    etag
        What an object store calls the content; None of a file.
    """

    path: RecordedPath
    size: Count
    mtime_ns: Whole
    sha256: str
    etag: str | None = None

    @staticmethod
    def of(path: Path, status: os.stat_result, origin: Origin | None = None) -> RecordedFile:
        """What is to be recorded of a file.

        Parameters
        ----------
        path
            The file, or a folder of slices.
        status
            Taken before its content was used, because it may have changed since.
        origin
            The object that it is a copy of, which is recorded in its place.
        """
        sha256 = sha256_of(path)
        if origin is not None:
            address, etag, size, mtime_ns = origin
            return RecordedFile(path=address, size=size, mtime_ns=mtime_ns, sha256=sha256, etag=etag)
        size, mtime_ns = status.st_size, status.st_mtime_ns
        return RecordedFile(path=str(path.absolute()), size=size, mtime_ns=mtime_ns, sha256=sha256)

    def fits(self, status: os.stat_result) -> bool:
        """Whether a file has the recorded size and time of modification."""
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)

    def is_of(self, origin: Origin) -> bool:
        """Whether an object has the recorded content."""
        return (origin.etag, origin.size) == (self.etag, self.size)


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


Item = TypeVar("Item")


def one_or_several(items: Sequence[Item]) -> Item | Sequence[Item]:
    """What JSON holds of the channels of a case: of several a list, the only one as it is."""
    return items[0] if len(items) == 1 else items


Channels = Annotated[
    tuple[Item, ...], Field(strict=False, min_length=1), BeforeValidator(_as_list), PlainSerializer(one_or_several)
]
"""One a channel, by `one_or_several` in JSON."""


class OutputRecord(RecordedFile):
    """A file that was written for a case; `crc32` is the checksum of its voxels that the archive states."""

    crc32: Count


class ForegroundRecord(Model):
    """Mean and population standard deviation of the image's foreground, and its number of voxels; one a channel."""

    mean: Channels[float]
    std: Channels[float]
    voxels: Channels[Count]

    @model_validator(mode="after")
    def _check_channels(self) -> ForegroundRecord:
        if not len(self.mean) == len(self.std) == len(self.voxels):
            msg = f"{len(self.mean)} means, {len(self.std)} deviations, {len(self.voxels)} counts: not one a channel"
            raise ValueError(msg)
        return self


class HeaderRecord(Model):
    """A `Frame` as it is recorded: spacing, origin and direction as a file states them, every digit."""

    spacing: Triple
    origin: Triple
    direction: Annotated[tuple[Triple, Triple, Triple], Field(strict=False)]

    @property
    def frame(self) -> Frame:
        """The same, for writing a file with it."""
        return Frame(self.spacing, self.origin, self.direction)


class LabelRecord(Model):
    """How many voxels each label had before preprocessing, and after it; a case that failed has none after it."""

    before: Histogram
    after: Histogram = Field(default_factory=dict)


def json_histogram(histogram: Mapping[int, int]) -> dict[str, int]:
    """Voxels of each label as JSON holds them, which knows only text as keys."""
    return {str(value): count for value, count in histogram.items()}
