"""The decoded volumes of many cases in one file, which processes share by mapping it into their memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_mriprep.errors import OutputError, write_error

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

    Its maker removes the file when it is collected, or at the end of its process. A copy in another process, which a
    fork or pickle has made, maps the same file and leaves it alone.

    Parameters
    ----------
    folder
        Where the file is made; the system's folder for temporary files by default.

    Raises
    ------
    OutputError
        If the file cannot be made.
    """

    def __init__(self, folder: Path | None = None) -> None:
        try:
            handle, name = tempfile.mkstemp(".natives", "monai-mriprep-", folder)
        except OSError as error:
            msg = f"{folder or tempfile.gettempdir()}: no file for decoded scans can be made there ({error.strerror})"
            raise write_error(error, f"{msg}; choose another folder (cache=)") from error
        os.close(handle)
        self.path = Path(name)
        self._mapped: NDArray[np.uint8] | None = None
        self._finalizer = weakref.finalize(self, _remove, name, os.getpid())

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self._mapped = state["path"], None

    def append(self, array: NDArray[Any]) -> NativePlace:
        """Write a volume at the end of the file.

        Raises
        ------
        DiskFullError, OutputError
            If it cannot be written.
        """
        begin = -(-self.path.stat().st_size // ALIGNED) * ALIGNED
        try:
            with self.path.open("r+b") as file:
                file.seek(begin)
                file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        except OSError as error:
            msg = f"{self.path}: a decoded scan of {array.nbytes / 2**20:.0f} MiB cannot be written ({error.strerror})"
            raise write_error(error, f"{msg}; choose a folder with more room (cache=)") from error
        self._mapped = None  # it ends where the file did
        return NativePlace(begin, array.shape, array.dtype.str)

    def volume(self, place: NativePlace) -> torch.Tensor:
        """A volume, ``(C, D, H, W)``, as a view of the file: nothing is read before it is looked at. Never write to it.

        Raises
        ------
        OutputError
            If the file is gone.
        """
        dtype = np.dtype(place.dtype)
        size = int(np.prod(place.shape)) * dtype.itemsize
        raw = self._map()[place.begin : place.begin + size]
        return torch.from_numpy(raw.view(dtype).reshape(place.shape))

    def _map(self) -> NDArray[np.uint8]:
        if self._mapped is None:
            try:
                self._mapped = np.memmap(self.path, np.uint8, "r+")  # torch warns of arrays that are read-only
            except FileNotFoundError as error:
                msg = f"{self.path}: the decoded scans are gone; keep the dataset that made them as long as its copies"
                raise OutputError(msg) from error
        return self._mapped


def _remove(name: str, maker: int) -> None:
    if os.getpid() == maker:  # a forked child has the same object
        with suppress(OSError):
            Path(name).unlink()
