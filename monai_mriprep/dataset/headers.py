"""Read a volume's header, without itk, without torch, and without touching a voxel."""

from __future__ import annotations

from pathlib import Path

from monai_mriprep.dataset import metaimage, nifti, nrrd
from monai_mriprep.dataset.claims import Body, Header, regular_file_size
from monai_mriprep.dataset.volumes import SUFFIXES
from monai_mriprep.errors import HeaderError

__all__ = ["Body", "Header", "read_header"]

_READERS = {
    ".nii.gz": nifti.read,
    ".nii": nifti.read,
    ".mha": metaimage.read,
    ".mhd": metaimage.read,
    ".nrrd": nrrd.read,
}


def read_header(path: str | Path) -> Header:
    """Read and check the header of a MetaImage, NIfTI or NRRD volume.

    Geometry is that of ITK for MetaImage and NRRD, that of nibabel (hence MONAI) for NIfTI: the sform if it
    is set, else the qform, else a centred grid; units of metres and micrometres become millimetres.

    Raises
    ------
    HeaderError
        If the file is missing, empty, not a regular file, malformed, not one 3-D volume with one number a
        voxel, or too short for what it claims.
    """
    path = Path(path)
    name = path.name.lower()
    reader = next((_READERS[suffix] for suffix in SUFFIXES if name.endswith(suffix)), None)
    if reader is None:
        raise HeaderError(path, f"not a volume; the name must end in one of {', '.join(SUFFIXES)}")
    size = regular_file_size(path)
    try:
        return reader(path, size)
    except OSError as error:
        raise HeaderError(path, f"the file cannot be read: {error.strerror or error}") from error
