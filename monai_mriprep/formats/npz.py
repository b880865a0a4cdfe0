"""The output format: ``arr_0`` and ``spacing`` in a zip archive that any ``np.load`` reads.

The affine, and in a file of a run how it was made, are stored as JSON in the archive's comment, which other readers
ignore (`monai_mriprep.formats.comment`).
"""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from isal import isal_zlib

from monai_mriprep.errors import GeometryError, NpzError, RecordError, ResamplingError
from monai_mriprep.formats.blocks import KEY, Blocks, rows_of_a_block
from monai_mriprep.formats.comment import LARGEST, read_comment, write_comment
from monai_mriprep.formats.npz_volume import NpzHead, NpzPart, NpzVolume
from monai_mriprep.formats.sealed import NewerVersionError
from monai_mriprep.formats.stored_array import Box, StoredArray
from monai_mriprep.formats.zip_writing import Entry, archive, comment_field

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = [
    "NpzHead",
    "NpzPart",
    "NpzVolume",
    "Roi",
    "check_roi",
    "decode_npz",
    "encode_npz",
    "read_npz",
    "read_npz_head",
    "read_npz_part",
    "stored_crc",
]

Roi = tuple[slice, slice, slice]
"""Of the axes z, y, x, as numpy takes them; without a step."""


def encode_npz(volume: NpzVolume, threads: int = 1) -> list[bytes]:
    """The bytes of a file, in parts; the same with any number of threads."""
    comment = _comment(volume)
    rows = rows_of_a_block(volume.array, LARGEST - len(comment)) if comment else None
    array = Entry.deflate("arr_0.npy", volume.array, rows and rows * volume.array[0, 0, 0].nbytes, threads)
    spacing = Entry.deflate("spacing.npy", np.asarray(volume.spacing, dtype=np.float64))
    if rows:
        blocks = array.pieces[1:]
        lengths, crcs = [block.n_deflated for block in blocks], [block.crc for block in blocks]
        comment = _comment(volume, **{KEY: Blocks(rows, tuple(lengths), tuple(crcs)).to_json()})
    return list(archive([array, spacing], comment))


def _comment(volume: NpzVolume, **more: Any) -> bytes:
    return b"" if volume.affine is None else write_comment(volume.affine, {**volume.facts, **more})


def stored_crc(file: str | Path | IO[bytes]) -> int:
    """The checksum of ``arr_0`` as the archive's directory states it; the array is not read.

    Raises
    ------
    OSError, zipfile.BadZipFile, KeyError
        If there is none.
    """
    with zipfile.ZipFile(file) as content:
        return content.getinfo("arr_0.npy").CRC


def read_npz(path: str | Path) -> NpzVolume:
    """Read a preprocessed volume. Nothing is unpickled, and no more memory is allocated than the array declares.

    Parameters
    ----------
    path
        An ``.npz`` file with ``arr_0`` of shape ``(C, D, H, W)`` and ``spacing``.

    Raises
    ------
    NpzError
        If the file is damaged, or holds something else.
    """
    path = Path(path)
    with _named_errors(path), path.open("rb") as file:
        return _volume(file, path)


def decode_npz(raw: bytes, path: Path) -> NpzVolume:
    """The volume in the bytes of a file; `path` is named in errors, and not opened.

    Raises
    ------
    NpzError
        As `read_npz`.
    """
    with _named_errors(path):
        return _volume(io.BytesIO(raw), path)


def read_npz_head(path: str | Path) -> NpzHead:
    """What a file tells without its voxels.

    Raises
    ------
    NpzError
        As `read_npz`, but for damage among the voxels.
    """
    path = Path(path)
    with _named_errors(path), path.open("rb") as file:
        return _open(file, path)[0]


def read_npz_part(path: str | Path, roi: Roi) -> NpzPart:
    """Read a part of a volume, and no more of the file than it needs; one of a version before 0.9.0 is read whole.

    Parameters
    ----------
    path
        As in `read_npz`.
    roi
        A slice of each of the axes z, y and x, as of a numpy array; all channels are read.

    Raises
    ------
    NpzError
        As `read_npz`, but for damage elsewhere; or if the file has no voxel there.
    """
    path = Path(path)
    with _named_errors(path), path.open("rb") as file:
        head, voxels = _open(file, path)
        box = _box(roi, head, path)
        z, y, x = box
        start, whole = (z.start, y.start, x.start), head.grid
        affine = None if head.affine is None else whole.part(start, (z.stop, y.stop, x.stop)).affine
        return NpzPart(voxels.read_box(box), head.spacing, affine, head.facts, whole=whole, start=start)


def check_roi(roi: Roi) -> Roi:
    """Refuse what is not three slices of voxels side by side.

    Raises
    ------
    ResamplingError
        With what is expected.
    """
    try:
        steps = [axis.indices(1)[2] for axis in roi if isinstance(axis, slice)]
    except TypeError:  # it is no sequence, or a bound is no integer
        steps = []
    if steps != [1, 1, 1] or len(roi) != 3:
        msg = f"roi must be three slices, of z, y and x, of whole numbers and without a step, not {roi}"
        raise ResamplingError(msg)
    return roi


def _volume(file: IO[bytes], path: Path) -> NpzVolume:
    head, voxels = _open(file, path)
    return NpzVolume(voxels.read(), head.spacing, head.affine, head.facts)


def _open(file: IO[bytes], path: Path) -> tuple[NpzHead, StoredArray]:
    """What a file tells without its voxels, and where these are."""
    with zipfile.ZipFile(file) as content:
        _require_complete_comment(file, content.comment)
        affine, facts = read_comment(content.comment)
        index = facts.pop(KEY, None)
        voxels = StoredArray.find(
            file, content.getinfo("arr_0.npy"), None if index is None else Blocks.from_json(index)
        )
        spacing = StoredArray.find(file, content.getinfo("spacing.npy")).read()
    shape, dtype = voxels.header.shape, voxels.header.dtype
    if len(shape) != 4 or spacing.shape != (3,) or spacing.dtype != np.float64:
        found = f"arr_0 {shape} and spacing {spacing.shape} {spacing.dtype}"
        raise NpzError(path, f"holds {found}; expected arr_0 of shape (C, D, H, W) and three float64 spacings")
    if not (np.isfinite(spacing).all() and spacing.min() > 0):
        raise NpzError(path, f"its spacing is {spacing.tolist()}; three positive numbers of mm (z y x) are expected")
    return NpzHead(shape, dtype, spacing, affine, facts, voxels.blocks), voxels


def _require_complete_comment(file: IO[bytes], comment: bytes) -> None:
    """Refuse a truncated comment: zipfile would take it for a shorter one, and the affine would be lost silently."""
    end = comment_field(comment)
    file.seek(-len(end), io.SEEK_END)
    if file.read() != end:
        msg = "the end of the archive is truncated, or something follows it"
        raise ValueError(msg)


def _box(roi: Roi, head: NpzHead, path: Path) -> Box:
    """The box of a roi, as numpy takes slices."""
    shape = head.shape[1:]
    bounds = [axis.indices(size)[:2] for axis, size in zip(check_roi(roi), shape, strict=True)]
    if any(start >= stop for start, stop in bounds):
        raise NpzError(path, f"it has {shape} voxels (z y x), and none in the roi {roi}; give another one")
    z, y, x = (slice(*bound) for bound in bounds)
    return z, y, x


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """What damaged files raise, as an error that names the file."""
    try:
        yield
    except NewerVersionError as error:
        raise NpzError(path, f"its comment cannot be read: {error}") from error
    except _DAMAGED_FILE_ERRORS as error:
        reason = f"no entry {error}" if isinstance(error, KeyError) else str(error)
        raise NpzError(path, f"not a readable preprocessed volume ({reason}); preprocess the case again") from error
    except MemoryError as error:
        raise NpzError(path, "its arrays, as declared, do not fit into the memory; is it a file of a run?") from error


_DAMAGED_FILE_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    zipfile.BadZipFile,
    cast("type[Exception]", isal_zlib.error),
    struct.error,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    RecordError,
    GeometryError,
)
"""What zipfile, isal, numpy and the readers of comment and grid raise for a damaged file. RuntimeError includes
NotImplementedError and RecursionError."""
