"""What a lock says of an array, and the array that was made again beside it."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import zlib
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from monai_mriprep.errors import RecordError
from monai_mriprep.models import Count, Finite, Model, Sha256
from monai_mriprep.types import IMAGE, Role
from monai_mriprep.verify.volumes import DTYPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TOLERANCE", "ArrayFacts", "Verdict", "array_facts", "judged", "require_same"]

TOLERANCE = 2e-6
"""What an image may differ by on other packages or another processor: the share of its range."""
SAMPLE = 256
"""The most values of an array that a lock holds."""
GOLDEN = 0x9E37_79B9_7F4A_7C15
"""The golden ratio in 64 bits: its multiples fall evenly into any range, and into no grid."""


class ArrayFacts(Model):
    """What a lock says of an array.

    Parameters
    ----------
    dtype, shape
        Its type, as numpy calls it, and ``(C, D, H, W)``.
    sha256
        Of its bytes, little-endian and in C order.
    crc32
        That which an archive's directory states: of the same bytes after numpy's header.
    low, high
        Its smallest and its largest value.
    sample
        Some of its values, at `places`: their bytes, little-endian, in base64.
    """

    dtype: str
    shape: Annotated[tuple[Count, Count, Count, Count], Field(strict=False)]
    sha256: Sha256
    crc32: Count
    low: Finite
    high: Finite
    sample: str

    @model_validator(mode="after")
    def _check_sample(self) -> ArrayFacts:
        """Refuse what is no array of ours, before memory is allocated for it."""
        if self.dtype not in {name for names in DTYPES.values() for name in names}:
            msg = f"{self.dtype!r} is no type of a preprocessed array"
            raise ValueError(msg)
        if not 0 < math.prod(self.shape) < 2**63 or self.low > self.high:
            msg = f"no array has the shape {self.shape} and values from {self.low} to {self.high}"
            raise ValueError(msg)
        if len(self.values()) != len(places(math.prod(self.shape))):
            msg = "its sample is not of that many values"
            raise ValueError(msg)
        return self

    def values(self) -> NDArray[Any]:
        """The sample.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            return np.frombuffer(base64.b64decode(self.sample, validate=True), np.dtype(self.dtype).newbyteorder("<"))
        except ValueError as error:
            msg = f"its sample is no base64 of {self.dtype} ({error})"
            raise ValueError(msg) from error


def places(count: int) -> NDArray[np.int64]:
    """The flat indices of the sample of an array of so many values: all, or `SAMPLE` of them.

    The i-th is the integer part of ``count * frac(i * g)``, where g is the golden ratio: `GOLDEN` in 64 bits.
    """
    if count <= SAMPLE:
        return np.arange(count)
    return np.array([((i * GOLDEN % 2**64) * count) >> 64 for i in range(SAMPLE)], dtype=np.int64)


def array_facts(array: NDArray[Any]) -> ArrayFacts:
    """What a lock says of an array."""
    return ArrayFacts(**_facts(array))


def _facts(array: NDArray[Any]) -> dict[str, Any]:
    """The fields of `ArrayFacts`, also of an array that no lock may have."""
    stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    values, head = stored.reshape(-1), io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(stored))
    return {
        "dtype": array.dtype.name,
        "shape": array.shape,
        "sha256": hashlib.sha256(values.view(np.uint8).data).hexdigest(),
        "crc32": zlib.crc32(values.view(np.uint8).data, zlib.crc32(head.getvalue())),
        "low": float(values.min()),
        "high": float(values.max()),
        "sample": base64.b64encode(values[places(values.size)].tobytes()).decode(),
    }


class Verdict(NamedTuple):
    """How an array that was made again stands to the one of the lock.

    Parameters
    ----------
    deviation
        The largest difference that is known, as a share of the range; 0 where every bit is the same.
    is_exact
        Whether every bit is the same.
    problem
        What is not as it must be, in words; None if nothing is.
    """

    deviation: float
    is_exact: bool
    problem: str | None = None


def judged(
    locked: ArrayFacts, found: NDArray[Any], role: Role, to_the_bit: bool, whole: NDArray[Any] | None = None
) -> Verdict:
    """Compare an array that was made again with the one of a lock.

    Parameters
    ----------
    locked
        What the lock says.
    found
        The array.
    role
        What it is: only an image may differ in its last digits.
    to_the_bit
        Whether that may not either, for packages and processor are those of the lock.
    whole
        The array that was locked, where it is there; else the sample stands for it.
    """
    facts = _facts(found)
    other = [key for key in facts if facts[key] != getattr(locked, key)]
    if not other:
        return Verdict(0.0, True)
    if not {"dtype", "shape"}.isdisjoint(other):
        problem = f"is {found.dtype.name} of the shape {found.shape}; the lock has {locked.dtype}, {locked.shape}"
        return Verdict(math.inf, False, problem)
    if "sha256" not in other:
        problem = f"is the array with the SHA-256 of the lock, which says another {', '.join(other)} of it"
        return Verdict(0.0, True, problem)
    may_differ = role.kind == IMAGE.kind and not to_the_bit
    return _compared(locked, found, (facts["low"], facts["high"]), TOLERANCE if may_differ else 0.0, whole)


def _compared(
    locked: ArrayFacts, found: NDArray[Any], ends: tuple[float, float], tolerance: float, whole: NDArray[Any] | None
) -> Verdict:
    """Compare the voxels and the range of two arrays that are not the same."""
    low, high = ends
    tiny = float(np.finfo(np.float32).tiny)
    scale = high - low if tiny < high - low < math.inf else tiny  # also where a voxel is no number
    at = places(found.size) if whole is None else np.arange(found.size)
    before = locked.values() if whole is None else whole.reshape(-1)
    now = found.reshape(-1)[at]
    off = np.abs(now.astype(np.float64) - before.astype(np.float64))
    beyond = np.flatnonzero(~(off <= tolerance * scale))
    deviation = float(np.max([off.max(), abs(low - locked.low), abs(high - locked.high)])) / scale
    problem = None
    if beyond.size:
        first = int(beyond[0])
        where = tuple(map(int, np.unravel_index(int(at[first]), found.shape)))
        seen = f"{beyond.size} of {at.size} voxels{' of the sample' * (whole is None)} differ"
        problem = f"{seen}: {where}, c z y x, is {now[first]!s}; the lock has {before[first]!s}"
    elif not tolerance:
        problem = "its SHA-256 is not that of the lock, where all values that the lock holds are equal"
    elif not deviation <= tolerance:  # nor is what is no number
        problem = f"its values go from {low!s} to {high!s}, those of the lock from {locked.low!s} to {locked.high!s}"
    return Verdict(deviation, False, problem)


def require_same(locked: ArrayFacts, whole: NDArray[Any]) -> None:
    """Refuse an array that is not the one that was locked.

    Raises
    ------
    RecordError
        If it is another one.
    """
    verdict = judged(locked, whole, IMAGE, to_the_bit=True)
    if verdict.problem is not None:
        raise RecordError(verdict.problem)
