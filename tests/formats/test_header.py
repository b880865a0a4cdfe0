"""What every header must satisfy: regular files, in its own folder, and numbers that ITK reads alike."""

import os
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.errors import HeaderError
from monai_mriprep.formats.fields import compose_affine
from monai_mriprep.formats.header import Body, Frame, LibraryBody
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.volume.geometry import LPS_TO_RAS, Grid
from tests.formats.volumes import BODY, assert_same_as_itk

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("suffix", [".mha", ".nii", ".nii.gz", ".nrrd"])
def test_what_is_no_file_is_refused_without_opening_it(tmp_path, suffix):
    paths = {name: tmp_path / f"{name}{suffix}" for name in ("pipe", "device", "loop", "gone", "empty", "folder")}
    os.mkfifo(paths["pipe"])
    paths["device"].symlink_to("/dev/zero")
    paths["loop"].symlink_to(paths["loop"].name)
    paths["empty"].touch()
    paths["folder"].mkdir()
    problems = dict.fromkeys(("pipe", "device", "folder"), "not a regular file")
    problems |= {"loop": "cannot be found", "gone": "cannot be found", "empty": "empty"}

    for name, path in paths.items():
        with pytest.raises(HeaderError, match=problems[name]):
            read_header(path)


def test_an_outline_has_the_grid_the_sizes_and_the_types_of_its_header(write_mha):
    header = read_header(write_mha(ElementType="MET_FLOAT", body=bytes(96)))
    outline = pickle.loads(pickle.dumps(header.outline))
    assert outline.grid == header.grid
    assert (outline.voxels, outline.nbytes) == (header.voxels, header.nbytes) == (24, 96)
    assert (outline.value_dtype, outline.scaled, outline.reader) == (np.float32, False, "built-in")


def test_the_outline_of_a_label_on_the_grid_of_its_image_holds_no_other_grid(write_mha, tmp_path):
    image, same, other = (
        read_header(write_mha(tmp_path / name, Offset=offset)).outline
        for name, offset in (("a.mha", "1 2 3"), ("b.mha", "1 2 3"), ("c.mha", "1 2 4"))
    )
    assert same.sharing(image) == same
    assert same.sharing(image).affine is image.affine
    assert other.sharing(image) is other


ELSEWHERE = [
    "/dev/zero",
    "../secret.raw",
    "sub/secret.raw",
    "sub\\x.raw",
    "..",
    "LIST",
    "LIST\n../secret.raw\nsecret.raw",
    "s%02d.raw 1 9 1",
    "s%d.raw",
    "s%d.raw 1 2",
    "s%s.raw 1 2 1",
    "../s%d.raw 1 2 1",
    "s%d.raw 1 999999 1",
    ".//secret.raw",
    "./../secret.raw",
    ".",
    "./",
    "",
    "x\0y",
]


@pytest.mark.parametrize("name", ELSEWHERE, ids=repr)
def test_a_header_steers_no_read_elsewhere(tmp_path, write_mha, name):
    (tmp_path / "secret.raw").write_bytes(BODY)
    (tmp_path / "dataset").mkdir()

    with pytest.raises(HeaderError, match=r"ElementDataFile|data files for 2 slices"):
        read_header(write_mha(tmp_path / "dataset" / "a.mhd", data_file=name, body=b""))


def test_a_link_out_of_the_folder_is_refused(tmp_path, write_mha):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "secret.raw").write_bytes(BODY)
    (tmp_path / "dataset" / "a.raw").symlink_to(tmp_path / "secret.raw")

    with pytest.raises(HeaderError, match="link out of"):
        read_header(write_mha(tmp_path / "dataset" / "a.mhd", data_file="a.raw"))


def test_data_files_must_be_regular_and_exist(tmp_path, write_mha):
    os.mkfifo(tmp_path / "pipe.raw")
    (tmp_path / "loop.raw").symlink_to("loop.raw")

    with pytest.raises(HeaderError, match="not a regular file"):
        read_header(write_mha(data_file="pipe.raw"))
    with pytest.raises(HeaderError, match="cannot be f"):
        read_header(write_mha(data_file="loop.raw"))
    with pytest.raises(HeaderError, match=r"gone\.raw: the file cannot be found"):
        read_header(write_mha(data_file="gone.raw"))


def test_links_to_header_and_data_are_followed(tmp_path, write_mha):
    store, dataset = tmp_path / "store", tmp_path / "dataset"
    store.mkdir()
    dataset.mkdir()
    header = write_mha(store / "a.mhd", body=b"", data_file="a.raw")
    (store / "a.raw").write_bytes(np.arange(24, dtype="<i2").tobytes())
    (dataset / "b.mhd").symlink_to(header)

    np.testing.assert_array_equal(read_voxels(read_header(dataset / "b.mhd")).ravel(), np.arange(24))

    (dataset / "a.raw").symlink_to(store / "a.raw")

    np.testing.assert_array_equal(read_voxels(read_header(dataset / "b.mhd")).ravel(), np.arange(24))


@pytest.mark.parametrize("name", ["my scan.raw", "./volume.raw", "a 1 2 b.raw", "./my scan.raw"])
def test_data_files_with_blanks_and_a_leading_dot_are_found_as_itk_finds_them(tmp_path, write_mha, name):
    (tmp_path / name).write_bytes(np.arange(24, dtype="<i2").tobytes())

    assert_same_as_itk(write_mha(tmp_path / "volume.mhd", body=b"", data_file=name), 1e-9)


def test_a_header_travels_between_processes(write_mha):
    header = read_header(write_mha())

    copy = pickle.loads(pickle.dumps(header))

    assert copy == header
    assert (copy.voxels, copy.nbytes, copy.value_dtype) == (24, 48, np.dtype("int16"))


# --- Numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_frame_of_itks_numbers_is_that_of_the_affine_and_keeps_the_digits(seed):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0].T
    spacing, origin = rng.uniform(0.3, 5, 3).tolist(), rng.uniform(-100, 100, 3).tolist()
    frame = Frame.of_lps(axes.tolist(), spacing, origin)
    affine = LPS_TO_RAS @ compose_affine(Path("x"), axes.tolist(), spacing, origin)
    expected = Frame.of_grid(Grid((7, 6, 5), affine[:, [2, 1, 0, 3]]))
    assert frame.spacing == tuple(spacing[::-1])
    assert frame.origin == (-origin[0], -origin[1], origin[2])
    np.testing.assert_allclose(frame.spacing, expected.spacing, rtol=1e-12)
    np.testing.assert_allclose(frame.direction, expected.direction, rtol=0, atol=1e-12)
    np.testing.assert_allclose(frame.origin, expected.origin, rtol=1e-12)


def test_nothing_deflates_beyond_the_bound(tmp_path):
    """Zeros are what deflate stores in the fewest bytes."""
    for count in (1, 1000, 10**7):
        (tmp_path / "zeros").write_bytes(zlib.compress(bytes(count), 9))
        size = (tmp_path / "zeros").stat().st_size
        assert count <= Body(tmp_path / "zeros", 0, size, "zlib").capacity
        assert count <= LibraryBody.of_files("itk", [tmp_path / "zeros"]).capacity
    assert Body(tmp_path / "zeros", 0, 100, "raw", skip=40).capacity == 60
