"""Write a volume as MetaImage, without ITK, whose import costs seconds."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import VolumeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["write_metaimage"]

_ELEMENT_TYPES = {
    "int8": "MET_CHAR",
    "uint8": "MET_UCHAR",
    "int16": "MET_SHORT",
    "uint16": "MET_USHORT",
    "int32": "MET_INT",
    "uint32": "MET_UINT",
    "float32": "MET_FLOAT",
    "float64": "MET_DOUBLE",
}


def write_metaimage(
    path: str | Path,
    array: NDArray[Any],
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    origin: ArrayLike = (0.0, 0.0, 0.0),
    direction: ArrayLike | None = None,
    *,
    compressed: bool = True,
) -> None:
    """Write a volume as one MetaImage file, without ITK.

    The geometry is `monai_mriprep.volume.geometry.Grid`'s: ``write_metaimage(path, array, grid.spacing, grid.origin,
    grid.direction)``. Numbers are written with all their digits, so ITK reads back exactly these; the file's world is
    ITK's LPS.

    Parameters
    ----------
    path
        The file, ``.mha``.
    array
        z, y, x; 8 to 32 bit integers or floats.
    spacing
        Mm, z y x.
    origin
        Centre of voxel (0, 0, 0), mm, in RAS+.
    direction
        3 x 3; column ``a`` is the unit vector of array axis ``a`` (z, y, x) in RAS+. None: x to the left, y to the
        back, z to the head, ITK's identity.
    compressed
        Store the voxels as a zlib stream.

    Raises
    ------
    VolumeError
        If the array is not three-dimensional, or of another type.

    Notes
    -----
    Format: MetaIO, https://itk.org/Wiki/ITK/MetaIO/Documentation. ``TransformMatrix`` lists one unit vector after
    the other (x, y, z), so it is the transpose of ITK's direction matrix, row by row.
    """
    path = Path(path)
    if array.ndim != 3 or array.dtype.name not in _ELEMENT_TYPES:
        problem = f"cannot write {array.ndim} axes of {array.dtype}; three of {', '.join(_ELEMENT_TYPES)} are needed"
        raise VolumeError(path, problem)
    voxels = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    voxels = zlib.compress(voxels, 6) if compressed else voxels
    header = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "CompressedData": compressed,
        **({"CompressedDataSize": len(voxels)} if compressed else {}),
        **_geometry_fields(spacing, origin, direction),
        "DimSize": " ".join(str(n) for n in array.shape[::-1]),
        "ElementType": _ELEMENT_TYPES[array.dtype.name],
        "ElementDataFile": "LOCAL",
    }
    text = "".join(f"{key} = {value}\n" for key, value in header.items())
    path.write_bytes(text.encode("ascii") + voxels)


_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])


def _geometry_fields(spacing: Sequence[float], origin: ArrayLike, direction: ArrayLike | None) -> dict[str, str]:
    """Express a grid in MetaIO's terms: axes x y z, world LPS."""
    columns = np.fliplr(np.eye(3)) if direction is None else _RAS_TO_LPS @ np.asarray(direction, np.float64)
    return {
        "TransformMatrix": _numbers(columns.T[::-1]),
        "Offset": _numbers(_RAS_TO_LPS @ np.asarray(origin, np.float64)),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": _numbers(spacing[::-1]),
    }


def _numbers(values: ArrayLike) -> str:
    """Write with all digits; ``+ 0.0`` turns -0 into 0."""
    return " ".join(repr(value + 0.0) for value in np.asarray(values, np.float64).ravel().tolist())
