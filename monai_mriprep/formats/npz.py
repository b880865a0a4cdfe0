"""The output format: ``arr_0`` and ``spacing`` in a zip archive that any ``np.load`` reads.

The affine, and in a file of a run how it was made, are stored as JSON in the archive's comment, which other readers
ignore (`monai_mriprep.formats.comment`).
"""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, cast

import numpy as np
from isal import isal_zlib

from monai_mriprep.errors import NpzError, RecordError
from monai_mriprep.formats.blocks import KEY, Blocks, planes_of_a_block
from monai_mriprep.formats.comment import LARGEST, fitting_facts, read_comment, write_comment
from monai_mriprep.formats.npy import read_npy_header
from monai_mriprep.formats.sealed import NewerVersionError
from monai_mriprep.formats.zip_writing import Entry, archive, comment_field
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


__all__ = [
    "NpzVolume",
    "decode_npz",
    "encode_npz",
    "read_npz",
    "stored_crc",
]


@dataclass(frozen=True)
class NpzVolume:
    """What an output file holds.

    Parameters
    ----------
    array
        ``(C, D, H, W)``; float32, int8 or int16.
    spacing
        The target spacing, z y x, mm, shape (3,), float64.
    affine
        4 x 4, voxel index z y x to RAS+ mm; None in a file that does not carry it.
    facts
        How it was made, as plain JSON: what stands beside the affine; empty in files up to 0.3.0 and outside of a run.
    """

    array: NDArray[Any]
    spacing: NDArray[np.float64]
    affine: NDArray[np.float64] | None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """Where it lies, z y x; without an affine along the axes of the world, at its origin."""
        z, y, x = self.array.shape[1:]
        return Grid((z, y, x), np.diag([*self.spacing, 1.0]) if self.affine is None else self.affine)

    @property
    def affine_source(self) -> Literal["file", "spacing"]:
        """Whether the file states its affine, or the spacing stands for it."""
        return "spacing" if self.affine is None else "file"

    def with_facts(self, facts: Mapping[str, Any]) -> NpzVolume:
        """The same volume with these facts, as far as they fit into a comment; none without an affine."""
        return replace(self, facts={} if self.affine is None else fitting_facts(self.affine, facts))


def encode_npz(volume: NpzVolume) -> list[bytes]:
    """The bytes of a file, in parts."""
    comment = _comment(volume)
    planes = planes_of_a_block(volume.array, LARGEST - len(comment)) if comment else None
    array = Entry.deflate("arr_0.npy", volume.array, planes and planes * volume.array[0, 0].nbytes)
    spacing = Entry.deflate("spacing.npy", np.asarray(volume.spacing, dtype=np.float64))
    if planes:
        blocks = array.pieces[1:]
        lengths, crcs = [block.n_deflated for block in blocks], [block.crc for block in blocks]
        comment = _comment(volume, **{KEY: Blocks(planes, tuple(lengths), tuple(crcs)).to_json()})
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
    try:
        raw = path.read_bytes()
    except (OSError, MemoryError) as error:
        raise NpzError(path, f"not a readable preprocessed volume ({error}); preprocess the case again") from error
    return decode_npz(raw, path)


def decode_npz(raw: bytes, path: Path) -> NpzVolume:
    """The volume in the bytes of a file; `path` is named in errors, and not opened.

    Raises
    ------
    NpzError
        As `read_npz`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as content:
            array = _read_entry(content, raw, "arr_0.npy")
            spacing = _read_entry(content, raw, "spacing.npy")
            _require_complete_comment(raw, content.comment)
            affine, facts = read_comment(content.comment)
            facts.pop(KEY, None)
    except NewerVersionError as error:
        raise NpzError(path, f"its comment cannot be read: {error}") from error
    except _DAMAGED_FILE_ERRORS as error:
        reason = f"no entry {error}" if isinstance(error, KeyError) else str(error)
        raise NpzError(path, f"not a readable preprocessed volume ({reason}); preprocess the case again") from error
    except MemoryError as error:
        raise NpzError(path, "its arrays, as declared, do not fit into the memory; is it a file of a run?") from error
    if array.ndim != 4 or spacing.shape != (3,) or spacing.dtype != np.float64:
        found = f"arr_0 {array.shape} and spacing {spacing.shape} {spacing.dtype}"
        raise NpzError(path, f"holds {found}; expected arr_0 of shape (C, D, H, W) and three float64 spacings")
    if not (np.isfinite(spacing).all() and spacing.min() > 0):
        raise NpzError(path, f"its spacing is {spacing.tolist()}; three positive numbers of mm (z y x) are expected")
    return NpzVolume(array, spacing, affine, facts)


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
)
"""What zipfile, isal, numpy and the reader of the comment raise for a damaged file. RuntimeError includes
NotImplementedError and RecursionError."""


def _require_complete_comment(raw: bytes, comment: bytes) -> None:
    """Refuse a truncated comment: zipfile would take it for a shorter one, and the affine would be lost silently."""
    if not raw.endswith(comment_field(comment)):
        msg = "the end of the archive is truncated, or something follows it"
        raise ValueError(msg)


def _read_entry(archive: zipfile.ZipFile, raw: bytes, name: str) -> NDArray[Any]:
    """Inflate one entry into exactly the bytes that its numpy header declares."""
    info = archive.getinfo(name)
    data = memoryview(raw)[info.header_offset :]
    n_name, n_extra = struct.unpack("<HH", data[26:30])
    deflated = data[30 + n_name + n_extra :][: info.compress_size]
    if info.compress_type == zipfile.ZIP_STORED:
        return _parse_npy(bytearray(deflated), info)
    if info.compress_type != zipfile.ZIP_DEFLATED or info.file_size > 1032 * (info.compress_size + 64):
        msg = f"{name} claims {info.file_size} bytes from {info.compress_size}, more than deflate can hold"
        raise ValueError(msg)
    inflater = isal_zlib.decompressobj(-15)
    return _parse_npy(inflater.decompress(deflated, info.file_size + 1), info)


def _parse_npy(content: bytes | bytearray, info: zipfile.ZipInfo) -> NDArray[Any]:
    if len(content) != info.file_size or isal_zlib.crc32(content) != info.CRC:
        msg = f"{info.filename} is truncated or fails its checksum"
        raise ValueError(msg)
    version, shape, dtype, fortran, start = read_npy_header(bytes(content[:4096]))
    if version != (1, 0):
        msg = f"{info.filename} is not in numpy's format 1.0"
        raise ValueError(msg)
    if fortran or dtype.kind not in "fiu" or dtype.itemsize > 8 or not dtype.isnative:
        msg = f"{info.filename} is not a plain array of numbers (native, up to 64 bits) in C order, but {dtype}"
        raise ValueError(msg)
    count = int(np.prod(shape, dtype=np.int64))
    if start + count * dtype.itemsize != len(content):
        msg = f"{info.filename} declares {shape} {dtype}, which is not what it holds"
        raise ValueError(msg)
    array = np.frombuffer(content, dtype, count, start).reshape(shape)
    return array if array.flags.writeable else array.copy()  # torch does not support read-only arrays
