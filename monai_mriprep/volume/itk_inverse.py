"""The inverse of a 3 x 3 matrix, bit for bit as ITK computes it.

ITK maps world to index by the inverse of an affine. It inverts by a singular value decomposition, LINPACK's DSVDC:
reflections make the matrix bidiagonal (Golub and Kahan), then shifted QR steps make it diagonal (Golub and Reinsch).
This module repeats the same operations in the same order, for invertible matrices.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["inverse_as_itk"]

Floats = NDArray[np.float64]


def inverse_as_itk(matrix: Floats) -> Floats:
    """``V diag(1 / s) U^T`` of an invertible 3 x 3 matrix."""
    s, e, left, right = _bidiagonal(np.array(matrix, dtype=np.float64))
    last = 2
    while last >= 0:
        begin = _first_of_block(s, e, last)
        if begin < last:
            _qr_step(s, e, left, right, begin, last)
        else:
            _store_singular_value(s, left, right, last)
            last -= 1
    scaled = right * (1.0 / s)
    return scaled[:, :1] * left[:, 0] + scaled[:, 1:2] * left[:, 1] + scaled[:, 2:] * left[:, 2]


def _bidiagonal(x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """The diagonal, the superdiagonal, and the left and right orthogonal matrices; overwrites `x`."""
    s, e, left, right = np.zeros(3), np.zeros(3), np.eye(3), np.eye(3)
    first, s[0] = _reflection(x[:, 0])
    _reflect(first, x[:, 1:])
    row, e[0] = _reflection(x[0, 1:])
    if e[0]:
        x[1:, 1:] += (x[1:, 1:2] * row[0] + x[1:, 2:] * row[1]) * (-row / row[0])
        _reflect(row, right[1:, 1:])
    second, s[1] = _reflection(x[1:, 1])
    _reflect(second, x[1:, 2:])
    s[2], e[1] = x[2, 2], x[1, 2]
    _reflect(second, left[1:, 2:])
    left[1:, 1] -= second
    _reflect(first, left[:, 1:])
    left[:, 0] -= first
    return s, e, left, right


def _reflection(vector: Floats) -> tuple[Floats, float]:
    """The normal of the reflection that zeroes all entries of a vector but the first, and that entry."""
    scale, squares = 0.0, 1.0
    for size in np.abs(vector[vector != 0]):
        if scale < size:
            scale, squares = size, 1.0 + squares * (scale / size) ** 2
        else:
            squares += (size / scale) ** 2
    length = math.copysign(scale * math.sqrt(squares), vector[0] or 1.0)
    normal = vector * (1.0 / length) if length else vector.copy()
    normal[0] += 1.0
    return normal, -length


def _reflect(normal: Floats, columns: Floats) -> None:
    along = normal[0] * columns[0]
    for entry, row in zip(normal[1:], columns[1:], strict=True):
        along = along + entry * row
    columns += normal[:, None] * (-along / normal[0])


def _first_of_block(s: Floats, e: Floats, last: int) -> int:
    """First index of the block that ends at `last`: after a superdiagonal entry that is negligible."""
    for k in range(last - 1, -1, -1):
        neighbours = abs(s[k]) + abs(s[k + 1])
        if neighbours + abs(e[k]) == neighbours:
            e[k] = 0.0
            return k + 1
    return 0


def _store_singular_value(s: Floats, left: Floats, right: Floats, k: int) -> None:
    """Make a singular value that was found positive, and sort it in."""
    if s[k] < 0:
        s[k] = -s[k]
        right[:, k] *= -1.0
    while k < 2 and s[k] < s[k + 1]:
        for values in (s, left, right):
            values[..., [k, k + 1]] = values[..., [k + 1, k]]
        k += 1


def _qr_step(s: Floats, e: Floats, left: Floats, right: Floats, begin: int, last: int) -> None:
    """One implicit QR step: rotations of columns and rows in turn move the bulge down and out of the matrix."""
    f, g = _first_rotation(s, e, begin, last)
    for k in range(begin, last):
        c, n, f = _rotation(f, g)
        if k != begin:
            e[k - 1] = f
        f, e[k] = c * s[k] + n * e[k], c * e[k] - n * s[k]
        g, s[k + 1] = n * s[k + 1], c * s[k + 1]
        _rotate(right, k, c, n)
        c, n, s[k] = _rotation(f, g)
        f, s[k + 1] = c * e[k] + n * s[k + 1], -n * e[k] + c * s[k + 1]
        g, e[k + 1] = n * e[k + 1], c * e[k + 1]
        _rotate(left, k, c, n)
    e[last - 1] = f


def _first_rotation(s: Floats, e: Floats, begin: int, last: int) -> tuple[float, float]:
    """The two entries of the first rotation; the shift is the nearer eigenvalue of the last two rows."""
    scale = max(abs(s[last]), abs(s[last - 1]), abs(e[last - 1]), abs(s[begin]), abs(e[begin]))
    end, before, above = s[last] / scale, s[last - 1] / scale, e[last - 1] / scale
    b, c = ((before + end) * (before - end) + above * above) / 2.0, (end * above) ** 2
    shift = c / (b + math.copysign(math.sqrt(b * b + c), b)) if b or c else 0.0
    top, beside = s[begin] / scale, e[begin] / scale
    return (top + end) * (top - end) + shift, top * beside


def _rotation(a: float, b: float) -> tuple[float, float, float]:
    """Cosine and sine of the rotation, and the length of ``(a, b)`` with the sign of the larger entry."""
    scale = abs(a) + abs(b)
    if not scale:
        return 1.0, 0.0, 0.0
    length = math.copysign(scale * math.sqrt((a / scale) ** 2 + (b / scale) ** 2), a if abs(a) > abs(b) else b)
    return a / length, b / length, length


def _rotate(matrix: Floats, k: int, c: float, n: float) -> None:
    one, other = matrix[:, k].copy(), matrix[:, k + 1].copy()
    matrix[:, k], matrix[:, k + 1] = c * one + n * other, c * other - n * one
