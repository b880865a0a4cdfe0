"""What ITK decodes for this package: as SimpleITK reads it, or refused by name; and when ITK is imported."""

import subprocess
import sys

import nibabel
import numpy as np
import pytest

from monai_mriprep.errors import VoxelError
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from tests.formats.volumes import TEXT, assert_same_as_itk, nrrd


def test_what_itk_refuses_is_a_voxel_error(tmp_path):
    path = nrrd(tmp_path / "volume.nrrd", TEXT.replace(b"5", b"x"), encoding="ascii")

    with pytest.raises(VoxelError, match=r"volume\.nrrd: ITK cannot read it: .*parse element"):
        read_voxels(read_header(path))


def test_what_itk_reads_otherwise_than_the_header_states_is_an_error(tmp_path):
    path = nrrd(tmp_path / "volume.nrrd", TEXT, encoding="ascii")
    header = read_header(path)
    nrrd(path, TEXT, encoding="ascii", **{"space origin": "(7,8,10)"})

    with pytest.raises(VoxelError, match="ITK reads another origin"):
        read_voxels(header)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"40000 " * 24, "40000 is written, ITK reads -25536"),
        (TEXT + b" 7 \n", "25 numbers"),
        (TEXT + b" end\n", "no number"),
        (b"0x10 " + b"7 " * 23, "no number"),
    ],
)
def test_text_that_itk_would_wrap_or_cut_off_is_an_error(tmp_path, write_mha, suffix, text, problem):
    path = tmp_path / f"volume{suffix}"
    if suffix == ".mha":
        write_mha(path, BinaryData="False", body=text)
    else:
        nrrd(path, text, encoding="ascii")

    with pytest.raises(VoxelError, match=problem):
        read_voxels(read_header(path))


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("kind", [nibabel.AnalyzeImage, nibabel.Spm99AnalyzeImage])
def test_analyze_is_what_itk_says(tmp_path, endianness, kind):
    array = np.arange(60, dtype="i2").reshape(3, 4, 5)
    image = kind(array, None, kind.header_class(endianness=endianness))
    image.header.set_data_dtype("i2")
    image.header.set_zooms((0.7, 0.8, 3.3))
    path = tmp_path / "volume.hdr"
    nibabel.save(image, path)

    header = read_header(path)

    assert header.reader == "itk"
    assert header.files == (path, tmp_path / "volume.img")
    assert_same_as_itk(path, 1e-6)


def test_itk_is_loaded_for_no_file_that_we_read_ourselves(tmp_path, write_mha):
    own, foreign = write_mha(), write_mha(tmp_path / "t.mha", BinaryData="False", body=TEXT + b"\n")
    code = (
        "import sys; from monai_mriprep.formats.read import read_header as h;"
        "from monai_mriprep.formats.voxels import read_voxels as v;"
        f"v(h({str(own)!r})); h({str(foreign)!r}); assert 'itk' not in sys.modules;"
        f"v(h({str(foreign)!r})); assert 'itk' in sys.modules; print('quiet')"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("quiet\n", "")
