"""The decoded volumes of many cases in one file, which processes share by mapping it into their memory."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch

from monai_mriprep.errors import write_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NativePlace", "NativeVolumes"]

ALIGNED = 64
"""Bytes between which volumes begin, as processors like it."""


@dataclass(frozen=True)
class NativePlace:
    """Where a volume is in the file: its first byte, its shape ``(C, D, H, W)`` and its number type."""

    begin: int
    shape: tuple[int, ...]
    dtype: str


class NativeVolumes:
    """A file of volumes, one after the other, each in the number type that it has.

    The file has no name, so it is gone with the last process that has it, however that ends. A copy in a child of the
    process, which a fork or pickle has made, maps the same file.

    Parameters
    ----------
    folder
        Where the file takes its room; the system's folder for temporary files by default.

    Raises
    ------
    OutputError
        If the file cannot be made.
    """

    _mapped: NDArray[np.uint8] | None

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or Path(tempfile.gettempdir())
        try:
            file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (open as long as this lives)
        except OSError as error:
            msg = f"{folder}: no file for decoded scans can be made there ({error.strerror})"
            raise write_error(error, f"{msg}; choose another folder (cache=)") from error
        self._hold(folder, file)

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self._folder, "file": DupFd(self._file.fileno())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._hold(state["folder"], os.fdopen(state["file"].detach(), "r+b"))

    def append(self, array: NDArray[Any]) -> NativePlace:
        """Write a volume at the end of the file.

        Raises
        ------
        DiskFullError, OutputError
            If it cannot be written.
        """
        try:
            begin = -(-self._file.seek(0, 2) // ALIGNED) * ALIGNED
            self._file.seek(begin)
            self._file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            self._file.flush()
        except OSError as error:
            msg = (
                f"{self._folder}: a decoded scan of {array.nbytes / 2**20:.0f} MiB cannot be written ({error.strerror})"
            )
            raise write_error(error, f"{msg}; choose a folder with more room (cache=)") from error
        self._mapped = None  # it ends where the file did
        return NativePlace(begin, array.shape, array.dtype.str)

    def volume(self, place: NativePlace) -> torch.Tensor:
        """A volume, ``(C, D, H, W)``, as a view of the file: never write to it. What is looked at is read."""
        if self._mapped is None:  # torch warns of arrays that are read-only
            self._mapped = np.frombuffer(mmap.mmap(self._file.fileno(), 0), np.uint8)
        dtype = np.dtype(place.dtype)
        size = int(np.prod(place.shape)) * dtype.itemsize
        return torch.from_numpy(self._mapped[place.begin : place.begin + size].view(dtype).reshape(place.shape))

    def _hold(self, folder: Path, file: IO[bytes]) -> None:
        self._folder, self._file, self._mapped = folder, file, None
        weakref.finalize(self, file.close)  # python warns of files that it closes itself
