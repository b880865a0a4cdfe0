"""Every error that this package raises on purpose, and how it warns and logs.

::

    MriprepError
    ├── RecipeError              a recipe or one of its keys is wrong
    ├── DatasetError             the dataset as a whole cannot be processed
    │   ├── PairingError         two files claim one partner
    │   ├── UnpairedError        an image has no label
    │   └── StatisticsError      the spacing table is missing, malformed or contradicts the scans
    ├── VolumeError              one file on disk cannot be used
    │   ├── HeaderError          its header is malformed, lies, or describes something unsupported
    │   ├── VoxelError           its voxels are truncated, undecodable or not finite
    │   ├── LabelError           its label values cannot be kept without loss
    │   └── NpzError             a preprocessed file is damaged or is not ours
    ├── GeometryError            image and label do not lie on the same grid
    ├── ResamplingError          grid, order, boundary or array do not fit together
    ├── NnunetError              nnU-Net, or what it needs, is missing
    ├── RemoteError              an object store does not give or take an object
    ├── ClusterError             a cluster or executor cannot work on the cases
    └── OutputError              the output folder cannot be used
        ├── LockedError          another run is alive in it
        ├── DiskFullError        no space is left
        └── RecordError          a record is missing or does not fit

A message says what was found (file and value), what is allowed, and what to do next.
"""

from __future__ import annotations

import errno
import sys
import warnings
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterable
    from pathlib import Path

__all__ = [
    "ClusterError",
    "DatasetError",
    "DiskFullError",
    "GeometryError",
    "HeaderError",
    "LabelError",
    "LockedError",
    "MriprepError",
    "MriprepWarning",
    "NnunetError",
    "NpzError",
    "OutputError",
    "PairingError",
    "RecipeError",
    "RecordError",
    "RemoteError",
    "ResamplingError",
    "StatisticsError",
    "UnpairedError",
    "VolumeError",
    "VoxelError",
    "counted",
    "first_names",
    "is_disk_full",
    "package_logger",
    "refuse_windows",
    "warn",
    "write_error",
]


class MriprepError(Exception):
    """Base of every error raised on purpose by this package."""


class RecipeError(MriprepError):
    """A recipe file, or a value given in its place, is not valid."""


class DatasetError(MriprepError):
    """The dataset as a whole cannot be processed."""


class PairingError(DatasetError):
    """Two files claim the same partner; no choice between them would be safe."""


class UnpairedError(DatasetError):
    """An image was asked for its label, and there is none."""


class StatisticsError(DatasetError):
    """The spacing statistics are missing, malformed, or contradict the scans."""


class VolumeError(MriprepError):
    """One file cannot be used.

    Parameters
    ----------
    path
        The file.
    problem
        What was found, what is allowed, what to do next.
    """

    def __init__(self, path: str | Path, problem: str) -> None:
        super().__init__(path, problem)
        self.path = str(path)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class HeaderError(VolumeError):
    """The header is malformed, contradicts the file, or describes something unsupported."""


class VoxelError(VolumeError):
    """The voxel data are truncated, undecodable or not finite."""


class LabelError(VolumeError):
    """The label's values cannot be stored without loss."""


class NpzError(VolumeError):
    """A preprocessed file is damaged, or was not written by this package."""


class GeometryError(MriprepError):
    """Image and label do not lie on the same grid."""


class ResamplingError(MriprepError):
    """Grid, order, boundary or array do not fit together."""


class NnunetError(MriprepError):
    """nnU-Net is not installed, or lacks what it needs to start."""


class RemoteError(MriprepError):
    """An object store does not give or take an object, or an address is none that can be used."""


class ClusterError(MriprepError):
    """A cluster or an executor cannot work on the cases: it is not there, or a worker of it does not fit."""


class OutputError(MriprepError):
    """The output folder cannot be used."""


class LockedError(OutputError):
    """Another run is alive in the output folder."""


class DiskFullError(OutputError):
    """The file system of the output folder has no space left."""


class RecordError(OutputError):
    """A record is missing, or a file does not fit it."""


class MriprepWarning(UserWarning):
    """Something that needs review; the result is still what the recipe says."""


@cache
def package_logger() -> logging.Logger:
    """The package's logger, ``monai_mriprep``, to which runs and datasets report.

    It only has a `logging.NullHandler`. To see the messages, attach a handler or call `logging.basicConfig`. A handler
    that raises an error loses the message, and does no other harm.
    """
    import logging  # 2 ms, which the command's help does not need

    logger = logging.getLogger("monai_mriprep")
    logger.addHandler(logging.NullHandler())
    hand_over = logger.callHandlers

    def hand_over_or_drop(record: logging.LogRecord) -> None:
        with suppress(Exception):
            hand_over(record)

    logger.callHandlers = hand_over_or_drop  # type: ignore[method-assign]
    return logger


def refuse_windows() -> None:
    """Say what to do where the system's locks, limits and descriptors of folders are missing.

    Raises
    ------
    ImportError
        On Windows, so that an import that would fail there for want of them says so in words.
    """
    if sys.platform == "win32":
        msg = "monai-mriprep needs Linux or macOS; on Windows install and run it in WSL (https://aka.ms/wsl)"
        raise ImportError(msg)


def counted(n: int, noun: str) -> str:
    """A number of things in words: ``1 voxel``, ``2 voxels``."""
    return f"{n} {noun}{'s' * (n != 1)}"


def first_names(names: Collection[str], count: int = 5) -> str:
    """Up to so many names, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(list(names)[:count]) + more


def warn(messages: Iterable[str], stacklevel: int = 1) -> None:
    """Log each message and issue it as a `MriprepWarning`. A `stacklevel` of 1 is the line of the caller."""
    for message in messages:
        package_logger().warning("%s", message)
        warnings.warn(message, MriprepWarning, stacklevel + 1)


def is_disk_full(error: OSError) -> bool:
    """Whether there is no space left, or the quota is used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_error(error: OSError, message: str) -> OutputError:
    """The error for a failed write: `DiskFullError` if the disk is full, else `OutputError`."""
    return DiskFullError(message) if is_disk_full(error) else OutputError(message)
