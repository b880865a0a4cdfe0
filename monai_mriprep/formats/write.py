"""Write a volume as MetaImage, NIfTI or NRRD, without ITK, whose import takes seconds."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import VolumeError
from monai_mriprep.formats.names import stem
from monai_mriprep.volume.geometry import reverse_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from monai_mriprep.formats.header import Frame

__all__ = ["write_metaimage", "write_volume"]

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
    grid.direction)``. Numbers are written with all their digits, so ITK reads back exactly these. The file
    states its geometry in LPS, as ITK does.

    Parameters
    ----------
    path
        The file, ``.mha``.
    array
        z, y, x, or channel, z, y, x; 8 to 32 bit integers or floats.
    spacing
        Mm, z y x.
    origin
        Centre of voxel (0, 0, 0), mm, in RAS+.
    direction
        3 x 3; column ``a`` is the unit vector of array axis ``a`` (z, y, x) in RAS+. None means x to the left, y to
        the back and z to the head: the identity in LPS.
    compressed
        Store the voxels as a zlib stream.

    Raises
    ------
    VolumeError
        If the array has another number of axes, or is of another type.

    Notes
    -----
    Format: MetaIO, https://itk.org/Wiki/ITK/MetaIO/Documentation. ``TransformMatrix`` lists one unit vector after
    the other (x, y, z), so it is the transpose of ITK's direction matrix, row by row.
    """
    path = Path(path)
    _require_writable(path, array)
    voxels = _interleaved(array)
    voxels = zlib.compress(voxels, 6) if compressed else voxels
    header = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "CompressedData": compressed,
        **({"CompressedDataSize": len(voxels)} if compressed else {}),
        **_geometry_fields(spacing, origin, direction),
        "DimSize": " ".join(str(n) for n in array.shape[:-4:-1]),
        **({"ElementNumberOfChannels": len(array)} if array.ndim == 4 else {}),
        "ElementType": _ELEMENT_TYPES[array.dtype.name],
        "ElementDataFile": "LOCAL",
    }
    text = "".join(f"{key} = {value}\n" for key, value in header.items())
    path.write_bytes(text.encode("ascii") + voxels)


def _require_writable(path: Path, array: NDArray[Any]) -> None:
    if array.ndim not in (3, 4) or array.dtype.name not in _ELEMENT_TYPES:
        kinds = ", ".join(_ELEMENT_TYPES)
        raise VolumeError(path, f"cannot write {array.ndim} axes of {array.dtype}; 3, or 4 with channels, of {kinds}")


def _interleaved(array: NDArray[Any]) -> bytes:
    """Little-endian bytes, with the channels of each voxel next to each other."""
    voxels = np.moveaxis(array, 0, -1) if array.ndim == 4 else array
    return np.ascontiguousarray(voxels, array.dtype.newbyteorder("<")).tobytes()


_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])


def _geometry_fields(spacing: Sequence[float], origin: ArrayLike, direction: ArrayLike | None) -> dict[str, str]:
    """The geometry as MetaIO's fields: axes x y z, world LPS."""
    columns = np.fliplr(np.eye(3)) if direction is None else _RAS_TO_LPS @ np.asarray(direction, np.float64)
    return {
        "TransformMatrix": _numbers(columns.T[::-1]),
        "Offset": _numbers(_RAS_TO_LPS @ np.asarray(origin, np.float64)),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": _numbers(spacing[::-1]),
    }


def _numbers(values: ArrayLike) -> str:
    """Numbers as text, with all digits; ``+ 0.0`` turns -0 into 0."""
    return " ".join(repr(value + 0.0) for value in np.asarray(values, np.float64).ravel().tolist())


def write_volume(path: str | Path, array: NDArray[Any], frame: Frame) -> None:
    """Write a volume in the format of its suffix.

    Parameters
    ----------
    path
        ``.mha``, ``.nii``, ``.nii.gz`` or ``.nrrd``.
    array
        z, y, x, or channel, z, y, x; 8 to 32 bit integers or floats. Channels become the numbers of a voxel (MetaImage,
        NRRD) or the fourth dimension (NIfTI).
    frame
        Its spacing, origin and direction; a MetaImage keeps every digit.

    Raises
    ------
    VolumeError
        If the suffix is another one, or the array cannot be written.
    """
    path = Path(path)
    _require_writable(path, array)
    suffix = path.name[len(stem(path)) :].lower()
    if suffix == ".mha":
        write_metaimage(path, array, frame.spacing, frame.origin, frame.direction)
    elif suffix == ".nrrd":
        _write_nrrd(path, array, frame)
    elif suffix in (".nii", ".nii.gz"):
        _write_nifti(path, array, frame)
    else:
        raise VolumeError(path, "cannot be written; .mha, .nii, .nii.gz and .nrrd can")


def _write_nifti(path: Path, array: NDArray[Any], frame: Frame) -> None:
    """Write the affine as sform and as qform, both with code 1 (scanner), so that every reader finds it."""
    import nibabel

    affine = np.eye(4)
    affine[:3, :3] = np.asarray(frame.direction) * frame.spacing
    affine[:3, 3] = frame.origin
    image: Any = nibabel.Nifti1Image(array.T, None)
    image.set_sform(reverse_axes(affine), code=1)
    image.set_qform(reverse_axes(affine), code=1)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)


def _write_nrrd(path: Path, array: NDArray[Any], frame: Frame) -> None:
    """Gzip encoding, space LPS as ITK writes it (http://teem.sourceforge.net/nrrd/format.html)."""
    steps = (_RAS_TO_LPS @ np.asarray(frame.direction) * frame.spacing).T[::-1]
    channels = array.shape[:-3]
    fields = {
        "type": {"float32": "float", "float64": "double"}.get(array.dtype.name, array.dtype.name),
        "dimension": array.ndim,
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, (*channels, *array.shape[:-4:-1]))),
        "space directions": " ".join(["none"] * len(channels) + [_vector(step) for step in steps]),
        "kinds": " ".join(["vector"] * len(channels) + ["domain"] * 3),
        "endian": "little",
        "encoding": "gzip",
        "space origin": _vector(_RAS_TO_LPS @ np.asarray(frame.origin)),
    }
    text = "NRRD0004\n" + "".join(f"{key}: {value}\n" for key, value in fields.items()) + "\n"
    path.write_bytes(text.encode("ascii") + gzip.compress(_interleaved(array), 6, mtime=0))


def _vector(values: ArrayLike) -> str:
    return f"({_numbers(values).replace(' ', ',')})"
