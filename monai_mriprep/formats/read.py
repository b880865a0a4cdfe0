"""Read a volume's header without torch and without reading a voxel; ITK is imported only for formats that need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from monai_mriprep.errors import HeaderError, VolumeError
from monai_mriprep.formats import dicom, itk_reader, metaimage, mgh, nifti, nrrd
from monai_mriprep.formats.fields import regular_file_size, sibling_file
from monai_mriprep.formats.header import Header, Outline
from monai_mriprep.formats.names import SUFFIXES

__all__ = ["outline_or_problem", "read_channel_headers", "read_header"]


def _read_pair(path: Path, size: int, channels: int) -> Header:
    """Header of a NIfTI pair or an Analyze volume; the voxels are in the ``.img`` file of the same stem."""
    data = sibling_file(path, "its data file", path.stem + {".HDR": ".IMG"}.get(path.suffix, ".img"))
    return nifti.read_pair(path, data, channels) if nifti.is_pair(path) else itk_reader.read_analyze(path, data)


_READERS: dict[str, Callable[[Path, int, int], Header]] = {
    ".nii.gz": nifti.read,
    ".nii": nifti.read,
    ".mha": metaimage.read,
    ".mhd": metaimage.read,
    ".nrrd": nrrd.read,
    ".nhdr": nrrd.read,
    ".hdr": _read_pair,
    ".mgz": mgh.read,
    ".mgh": mgh.read,
}


def read_header(path: str | Path, channels: int = 1) -> Header:
    """Read and check the header of a volume.

    Geometry is that of ITK for MetaImage, NRRD, Analyze and DICOM; that of nibabel (hence MONAI) for NIfTI and
    FreeSurfer: the sform if it is set, else the qform, else a centred grid; units of metres and micrometres become
    millimetres.

    Parameters
    ----------
    path
        A MetaImage, NIfTI, NRRD, FreeSurfer or Analyze file; or a folder that holds one DICOM series.
    channels
        How many volumes the file holds along a fourth dimension, the slowest on disk. A single one needs no such
        dimension.

    Raises
    ------
    HeaderError
        If the file is missing, empty, not a regular file, malformed, not that many 3-D volumes with one number a
        voxel, or too short for what it claims.
    """
    path = Path(path)
    name = path.name.lower()
    reader = next((_READERS[suffix] for suffix in SUFFIXES if name.endswith(suffix)), None)
    try:
        if reader is not None:
            return _of_channels(reader(path, regular_file_size(path), channels), channels)
        if path.is_dir():
            return _of_channels(dicom.read_series(path), channels)
    except OSError as error:
        raise HeaderError(path, f"the file cannot be read: {error.strerror or error}") from error
    raise HeaderError(path, f"not a volume; a folder of DICOM slices, or a name in {', '.join(SUFFIXES)} is expected")


def _of_channels(header: Header, channels: int) -> Header:
    """Refuse one channel for several, in formats that hold no more."""
    if header.channels != channels:
        problem = f"a series or an Analyze file is 1 channel, and {channels} are expected; store them as one NIfTI file"
        raise HeaderError(header.path, problem)
    return header


def read_channel_headers(paths: Sequence[str | Path], channels: int = 1) -> list[Header]:
    """The headers of an image's files: one for each channel, or one of all.

    Parameters
    ----------
    paths
        The files, in the order of the channels.
    channels
        How many a single file holds. Of several files each holds one, and there are as many, unless it is 1.

    Raises
    ------
    HeaderError
        If one cannot be read, holds another number of channels, or the files are more or fewer.
    """
    if len(paths) == 1:
        return [read_header(paths[0], channels)]
    if not paths or channels not in (1, len(paths)):
        problem = (
            f"its image has {len(paths)} files, and {channels} channels are expected: a file for each, or one of all"
        )
        raise HeaderError(paths[0] if paths else "[]", problem)
    return [read_header(path) for path in paths]


def outline_or_problem(path: Path, channels: int = 1) -> Outline | VolumeError:
    """The outline of a header, or what is wrong with it, so that one bad file does not stop the others."""
    try:
        return read_header(path, channels).outline
    except VolumeError as error:
        return error
