"""Small volume files for the tests of their readers, and ITK's reading of them to compare with."""

import numpy as np
import SimpleITK

from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.volume.geometry import LPS_TO_RAS, reverse_axes

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
DTYPES = [*INTEGERS, "float32", "float64"]
SHAPE = (5, 4, 3)
ROTATION = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
VALUES = np.arange(-3, 21).astype("<i2")
BODY = np.arange(24, dtype="<i2").tobytes()
TEXT = " ".join(map(str, VALUES.tolist())).encode()


def itk_affine(image):
    """Voxel index z, y, x to RAS+ mm, from what ITK says."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return reverse_axes(LPS_TO_RAS @ affine)


def assert_same_as_itk(path, tolerance):
    header, image = read_header(path), SimpleITK.ReadImage(str(path))
    values, expected = read_voxels(header), SimpleITK.GetArrayFromImage(image)
    assert header.grid.shape == expected.shape
    np.testing.assert_allclose(header.grid.affine, itk_affine(image), rtol=0, atol=tolerance)
    assert values.dtype == header.value_dtype == expected.dtype
    np.testing.assert_array_equal(values, expected)
    assert values.flags.c_contiguous
    assert values.flags.writeable


def slices(folder, array, name="slice%02d.raw"):
    """One raw file for each slice."""
    for number, plane in enumerate(array):
        (folder / (name % number)).write_bytes(plane.tobytes())
    return [name % number for number in range(len(array))]


def nrrd(path, body, **changes):
    fields = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "4 3 2",
        "space directions": "(0,0.5,0) (0,0,-2) (-3,0,0)",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(7,8,9)",
    }
    fields = {key: value for key, value in (fields | changes).items() if value is not None}
    text = "".join(["NRRD0004\n", *(f"{key}: {value}\n" for key, value in fields.items())])
    path.write_bytes(text.encode() + (b"" if "LIST" in fields.get("data file", "") else b"\n" + body))
    return path
