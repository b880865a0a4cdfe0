"""The index of a deflated array: blocks of whole rows, each of which inflates alone, and a checksum of each.

The rows are those of ``array.reshape(C * D * H, W)``. The stream begins with the header of the array, the lead; then
come the blocks. Each ends with a full flush, so none looks back at the one before it.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from isal import isal_zlib

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monai_mriprep.formats.npy import NpyHeader

__all__ = ["KEY", "Blocks", "rows_of_a_block"]

WHOLE = 1 << 21
"""Bytes of an array, before it is deflated, that is not cut: it inflates in a few milliseconds."""
BLOCK = 3 << 16
"""Bytes of a block times those of a voxel, at most: float32 is in blocks of 48 KiB. Class numbers compress so well that
such small ones would cost more than they save. So files get smaller, by 0.1 to 0.7 % (measured)."""
LARGEST_BLOCK = 1 << 31
"""In bytes, before it is deflated: the index holds lengths of 32 bits."""
KEY = "blocks"
"""Of the index in the archive's comment."""


@dataclass(frozen=True)
class Blocks:
    """Where the blocks of an array are.

    Parameters
    ----------
    rows
        Of a block; the last one may have fewer.
    lengths
        Of each block, in bytes of the stream.
    crcs
        The CRC-32 of each block, inflated.
    """

    rows: int
    lengths: tuple[int, ...]
    crcs: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """As it stands in the comment: the numbers in turn, 32 bits each, little-endian, in base64."""
        numbers = np.array([self.lengths, self.crcs], dtype="<u4").T
        return {"rows": self.rows, "index": base64.b64encode(numbers.tobytes()).decode()}

    @classmethod
    def from_json(cls, found: object) -> Blocks:
        """As a comment has it, which may be wrong.

        Raises
        ------
        ValueError, TypeError
            If it is no index.
        """
        rows, text = (found.get("rows"), found.get("index")) if isinstance(found, dict) else (None, None)
        if not isinstance(rows, int) or rows < 1 or not isinstance(text, str):
            msg = "the index in the comment is none"
            raise ValueError(msg)
        lengths, crcs = np.frombuffer(base64.b64decode(text), "<u4").reshape(-1, 2).T.tolist()
        return cls(rows, tuple(lengths), tuple(crcs))

    def fit(self, header: NpyHeader, lead: bytes, crc: int) -> bool:
        """Whether they are as many as the array of this header has, and have, after the lead, its CRC-32."""
        *rows, _ = header.shape
        count = -(-math.prod(rows) // self.rows)
        return 0 < len(self.crcs) == count and self._crc(header, lead) == crc

    def _crc(self, header: NpyHeader, lead: bytes) -> int:
        *rows, width = header.shape
        row, n_last = width * header.dtype.itemsize, (math.prod(rows) - 1) % self.rows + 1
        crc = isal_zlib.crc32(lead)
        for block in self.crcs[:-1]:
            crc = isal_zlib.crc32_combine(crc, block, self.rows * row)
        return isal_zlib.crc32_combine(crc, self.crcs[-1], n_last * row)


def rows_of_a_block(array: NDArray[Any], room: int) -> int | None:
    """How many rows a block has.

    Parameters
    ----------
    array
        ``(C, D, H, W)``.
    room
        Bytes of the comment that the index may take, with its key. Where it would be larger, blocks are.

    Returns
    -------
    int or None
        None where a single block is left, which needs no index; and where one would be larger than `LARGEST_BLOCK`.
    """
    if array.nbytes < WHOLE:
        return None
    row: int = array.shape[3] * array.itemsize
    rows = max(1, BLOCK // (row * array.itemsize))
    while (count := -(-array.nbytes // (rows * row))) > 1 and rows * row <= LARGEST_BLOCK:
        if _n_bytes(Blocks(rows, (0,) * count, (0,) * count)) <= room:
            return rows
        rows *= 2
    return None


def _n_bytes(blocks: Blocks) -> int:
    """What the key takes in a JSON object that has others."""
    return len(json.dumps({KEY: blocks.to_json()}))
