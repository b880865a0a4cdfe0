"""The index of a deflated array: blocks of whole planes, each of which inflates alone, and a checksum of each.

The planes are those of ``array.reshape(C * D, H, W)``. The stream begins with the header of the array, the lead; then
come the blocks. Each ends with a full flush, so none looks back at the one before it.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KEY", "Blocks", "planes_of_a_block"]

WHOLE = 1 << 22
"""Bytes of an array, before it is deflated, that is not cut: it inflates in a few milliseconds."""
BLOCK = 1 << 20
"""Bytes of a block times those of a voxel, at least: class numbers compress so well that smaller blocks cost more than
they save. So files are at most 0.1 % larger, most of them smaller (measured)."""
LARGEST_BLOCK = 1 << 31
"""In bytes, before it is deflated: the index holds lengths of 32 bits."""
KEY = "blocks"
"""Of the index in the archive's comment."""


@dataclass(frozen=True)
class Blocks:
    """Where the blocks of an array are.

    Parameters
    ----------
    planes
        Of a block; the last one may have fewer.
    lengths
        Of each block, in bytes of the stream.
    crcs
        The CRC-32 of each block, inflated.
    """

    planes: int
    lengths: tuple[int, ...]
    crcs: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """As it stands in the comment: the numbers in turn, 32 bits each, little-endian, in base64."""
        numbers = np.array([self.lengths, self.crcs], dtype="<u4").T
        return {"planes": self.planes, "index": base64.b64encode(numbers.tobytes()).decode()}


def planes_of_a_block(array: NDArray[Any], room: int) -> int | None:
    """How many planes a block has.

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
    channels, depth, height, width = array.shape
    plane: int = height * width * array.itemsize
    planes = -(-BLOCK // (plane * array.itemsize))
    while (count := -(-channels * depth // planes)) > 1 and planes * plane <= LARGEST_BLOCK:
        if _n_bytes(Blocks(planes, (0,) * count, (0,) * count)) <= room:
            return planes
        planes *= 2
    return None


def _n_bytes(blocks: Blocks) -> int:
    """What the key takes in a JSON object that has others."""
    return len(json.dumps({KEY: blocks.to_json()}))
