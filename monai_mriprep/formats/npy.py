"""The header of an ``.npy``: shape and type of an array, before any of its values is read.

numpy evaluates it with `ast`, which Python 3.11 cannot do in two threads at once: where a garbage collection lets
another thread in, one of them gets a SystemError (cpython issue 106905). So the plain ones are read here.
"""

from __future__ import annotations

import io
import re
from typing import Any, NamedTuple

import numpy as np

__all__ = ["NpyHeader", "read_npy_header"]

_PLAIN = re.compile(
    rb"\x93NUMPY\x01\x00(?P<length>..)"
    rb"\{'descr': '(?P<descr>[<>|](?:[iu][1248]|f[248]|b1))', "
    rb"'fortran_order': (?P<fortran>False|True), "
    rb"'shape': \((?P<shape>|\d{1,18},|\d{1,18}(?:, \d{1,18})+)\), \} *\n",
    re.DOTALL,
)
"""As numpy writes it for numbers (numpy.lib.format, version 1.0)."""


class NpyHeader(NamedTuple):
    """What an ``.npy`` says of itself.

    Parameters
    ----------
    version
        Of numpy's format.
    shape, dtype
        Of the array.
    fortran
        Whether the first axis runs fastest.
    start
        The byte at which the values begin.
    """

    version: tuple[int, int]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int


def read_npy_header(head: bytes) -> NpyHeader:
    """Read the first bytes of an ``.npy``; what numpy does not write for numbers, numpy reads.

    Raises
    ------
    ValueError, SyntaxError, tokenize.TokenError, RecursionError
        What numpy raises for a header that it cannot read, or for a version after 2.0.
    """
    plain = _PLAIN.match(head)
    if plain is not None and plain.end() == 10 + int.from_bytes(plain["length"], "little"):
        shape = tuple(int(size) for size in plain["shape"].split(b",") if size)
        dtype = np.dtype(plain["descr"].decode())
        return NpyHeader((1, 0), shape, dtype, plain["fortran"] == b"True", plain.end())
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        msg = f"version {version} of numpy's format is not for plain numbers"
        raise ValueError(msg)
    shape, fortran, dtype = readers[version](stream)
    return NpyHeader(version, shape, dtype, fortran, stream.tell())
