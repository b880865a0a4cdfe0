"""Every form in which people store a prediction."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from itertools import permutations, product
from pathlib import Path
from sys import modules

import nibabel
import numpy as np
import pytest
import SimpleITK
from monai.transforms.io.dictionary import SaveImaged

from monai_mriprep import LoadNpzd, restore
from monai_mriprep.errors import RecordError
from monai_mriprep.restore.predictions import list_predictions, read_prediction
from monai_mriprep.volume.geometry import Grid
from tests.oracles import affine_of
from tests.restore.files import assert_geometry, label_of, one_hot, target_image, voxels


def save_by_monai(out: Path, folder: Path, suffix: str) -> None:
    data = LoadNpzd(["label"])({"label": str(out / "labelsTr/10_mha_Lab.npz")})
    saver = SaveImaged(
        "label",
        output_dir=folder,
        output_postfix="",
        output_ext=suffix,
        separate_folder=False,
        resample=False,
        print_log=False,
    )
    saver(data)


WRITERS = {
    "npz": lambda out, folder, label: np.savez_compressed(folder / "10_mha_Lab.npz", label),
    "nnunet npz": lambda out, folder, label: np.savez(folder / "10_mha_Ima.npz", probabilities=one_hot(label)),
    "npy": lambda out, folder, label: np.save(folder / "10_mha_Ima.npy", label.astype(np.int64)),
    "big-endian npy with channel": lambda out, folder, label: np.save(
        folder / "10_mha_Lab.npy", label[None].astype(">i4")
    ),
    "bool npy": lambda out, folder, label: np.save(folder / "10_mha_Lab.npy", label == 1),
    "float npy": lambda out, folder, label: np.save(folder / "10_mha_Lab.npy", label.astype(np.float16)),
    "one-hot npy": lambda out, folder, label: np.save(folder / "10_mha_Lab.npy", one_hot(label)),
    **{
        f"SimpleITK {suffix}": lambda out, folder, label, suffix=suffix: SimpleITK.WriteImage(
            target_image(out, label), str(folder / f"10_mha_Lab{suffix}")
        )
        for suffix in (".mha", ".mhd", ".nrrd", ".nii.gz")
    },
    "SimpleITK vector .mha": lambda out, folder, label: SimpleITK.WriteImage(
        target_image(out, np.moveaxis(one_hot(label), 0, -1)), str(folder / "10_mha_Lab.mha")
    ),
    "SimpleITK flipped": lambda out, folder, label: SimpleITK.WriteImage(
        SimpleITK.Flip(target_image(out, label), [True, False, True]), str(folder / "10_mha_Lab.mha")
    ),
    "SimpleITK permuted": lambda out, folder, label: SimpleITK.WriteImage(
        SimpleITK.PermuteAxes(target_image(out, label), [2, 0, 1]), str(folder / "10_mha_Lab.mha")
    ),
    "SimpleITK reoriented": lambda out, folder, label: SimpleITK.WriteImage(
        SimpleITK.DICOMOrient(target_image(out, label), "SLA"), str(folder / "10_mha_Lab.nii")
    ),
    "MONAI .nii.gz": lambda out, folder, label: save_by_monai(out, folder, ".nii.gz"),
    "MONAI .mha": lambda out, folder, label: save_by_monai(out, folder, ".mha"),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_every_form_of_a_prediction_gives_the_same_label(made, predictions, tmp_path, write):
    out, facts = made
    write(out, predictions, label_of(out, "10_mha")[0])
    summary = restore(out, predictions, tmp_path / "back")
    assert_geometry(summary.restored[0], facts["10_mha"], 0)
    assert summary.restored[0].suffix == ".mha"
    np.testing.assert_array_equal(voxels(summary.restored[0]), voxels(out.parent / "elsewhere/LabelsTr/10_mha_Lab.mha"))


TARGET = Grid((2, 3, 4), affine_of((3.0, 1.1, 0.9), 12.0, (40.0, -50.0, 60.0)))
AXES = [np.transpose(axes) for axes in product(permutations(range(3)), product((1, -1), repeat=3))]
"""All orders and senses, as nibabel describes them: for each axis, its new place and whether it is kept or reversed."""


def nifti(array: np.ndarray, grid: Grid) -> nibabel.Nifti1Image:
    """Of an array z y x, with channels before it."""
    return nibabel.Nifti1Image(array.T, grid.affine[:, [2, 1, 0, 3]], dtype=array.dtype)


@pytest.mark.parametrize("axes", AXES, ids=lambda axes: " ".join(map(str, axes.ravel())))
@pytest.mark.parametrize("channels", [(), (2,)], ids=["one channel", "two channels"])
def test_axes_in_every_order_and_sense(tmp_path, axes, channels):
    array = np.random.default_rng(0).random((*channels, *TARGET.shape), np.float32)
    nibabel.save(nifti(array, TARGET).as_reoriented(axes), tmp_path / "p.nii")
    found = read_prediction(tmp_path / "p.nii", TARGET)
    np.testing.assert_array_equal(found, array.reshape(-1, *TARGET.shape))
    assert found.flags.c_contiguous


@pytest.mark.parametrize("moved", [(1, 0, 0), (0, 0.02, 0), (0, 0, -5)], ids=str)
def test_a_volume_that_lies_elsewhere_is_refused_with_both_geometries(tmp_path, moved):
    affine = TARGET.affine.copy()
    affine[:3, 3] += moved
    nibabel.save(nifti(np.zeros(TARGET.shape, np.uint8), Grid(TARGET.shape, affine)), tmp_path / "p.nii.gz")
    with pytest.raises(
        RecordError,
        match=r"its origin is not the recorded one:\n  prediction size.*\n  target     size.*\n.* or store an array",
    ):
        read_prediction(tmp_path / "p.nii.gz", TARGET)


@pytest.mark.parametrize("degrees", [1, 45])
def test_a_volume_of_other_axes_is_refused(tmp_path, degrees):
    turned = Grid(TARGET.shape, affine_of((3.0, 1.1, 0.9), 12.0 + degrees, (40.0, -50.0, 60.0)))
    nibabel.save(nifti(np.zeros(TARGET.shape, np.uint8), turned), tmp_path / "p.nii")
    with pytest.raises(RecordError, match="its direction is not the recorded one"):
        read_prediction(tmp_path / "p.nii", TARGET)


def test_a_vector_of_nifti_holds_channels(tmp_path):
    array = np.random.default_rng(0).random((3, *TARGET.shape), np.float32)
    nibabel.save(nifti(array[:, None], TARGET), tmp_path / "p.nii")
    np.testing.assert_array_equal(read_prediction(tmp_path / "p.nii", TARGET), array)


def test_a_series_of_vectors_is_refused(tmp_path):
    nibabel.save(nifti(np.zeros((3, 2, *TARGET.shape), np.float32), TARGET), tmp_path / "p.nii")
    with pytest.raises(RecordError, match="not a readable NIfTI volume: 5 dimensions; three are expected"):
        read_prediction(tmp_path / "p.nii", TARGET)


@pytest.mark.parametrize("names", [{"classes": 1}, {"arr_0": 1, "other": 0}, {"classes": 1, "spacing": 0}], ids=list)
def test_an_array_of_an_archive_is_the_only_one_or_has_a_name_that_is_known(tmp_path, names):
    np.savez(tmp_path / "p.npz", **{name: np.full(TARGET.shape, value) for name, value in names.items()})
    assert read_prediction(tmp_path / "p.npz", TARGET).all()


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((0, *TARGET.shape)), r"its shape is \(0, 2, 3, 4\); the record says \(2, 3, 4\), z y x"),
        (np.zeros(TARGET.shape, complex), "holds complex128; integers, booleans or real numbers"),
    ],
    ids=["no channel", "complex"],
)
def test_what_is_no_prediction_is_refused(tmp_path, array, reason):
    np.save(tmp_path / "p.npy", array)
    with pytest.raises(RecordError, match=reason):
        read_prediction(tmp_path / "p.npy", TARGET)


# --- What a header claims ---------------------------------------------------------------------------------------------

MIB = 1 << 20


def npy_header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def write_npy(path: Path, shape: tuple[int, ...]) -> None:
    path.write_bytes(npy_header(shape))


def write_npz(path: Path, header: bytes, zeros: int, size: int = MIB) -> None:
    """An archive of a header and `zeros` MiB of zeros, a thousandth of that on the disk."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("arr_0.npy", "w") as entry:
        entry.write(header)
        for _ in range(zeros):
            entry.write(bytes(size))


def write_nifti_header(path: Path, sizes: tuple[int, ...], offset: int = 352) -> None:
    header = nifti(np.zeros(TARGET.shape, np.uint8), TARGET).header.copy()
    header.set_data_shape(sizes)
    header["vox_offset"], header["magic"] = offset, b"n+1"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(8 + 16 * MIB)))


CLAIMS = {
    "npy, 200 GB": ("p.npy", lambda p: write_npy(p, (2 * 10**9, *TARGET.shape)), "it claims 178.8 GiB"),
    "npy, another size": ("p.npy", lambda p: write_npy(p, (10**6, 10**6, 10**6)), "the record says"),
    "npy, cut short": (
        "p.npy",
        lambda p: write_npy(p, (5, *TARGET.shape)),
        r"claims 608 bytes .* has 128; it is trunc",
    ),
    "npy, negative": ("p.npy", lambda p: write_npy(p, (-5, *TARGET.shape)), "its shape is"),
    "npz, a bomb of channels": (
        "p.npz",
        lambda p: write_npz(p, npy_header((10**9, *TARGET.shape)), 64),
        "it claims 89.4 GiB",
    ),
    "npz, another size": ("p.npz", lambda p: write_npz(p, npy_header((64 * MIB,), "|u1"), 64), "the record says"),
    "npz, more than it has": (
        "p.npz",
        lambda p: write_npz(p, npy_header((10**7, *TARGET.shape)), 1),
        "its header claims 960000128 bytes",
    ),
    "npz, a bomb of a header": (
        "p.npz",
        lambda p: write_npz(p, b"\x93NUMPY\x02\x00" + (128 * MIB).to_bytes(4, "little"), 128),
        "not a readable array: EOF",
    ),
    "nii.gz, another size": ("p.nii.gz", lambda p: write_nifti_header(p, (3000, 3000, 3000)), "its size is not"),
    "nii.gz, a bomb of extensions": (
        "p.nii.gz",
        lambda p: write_nifti_header(p, TARGET.shape[::-1], 2**31),
        "vox_offset = 2147483648: its header claims more than 16777216 bytes",
    ),
}


@pytest.mark.parametrize(("name", "write", "reason"), CLAIMS.values(), ids=CLAIMS)
def test_what_its_header_claims_is_refused_before_it_is_read(tmp_path, monkeypatch, name, write, reason):
    monkeypatch.setattr(modules["monai_mriprep.restore.predictions"], "available_memory", lambda: 8 << 30)
    write(tmp_path / name)
    np.save(tmp_path / "good.npy", np.zeros(TARGET.shape))
    read_prediction(tmp_path / "good.npy", TARGET)  # loads what is loaded once
    tracemalloc.start()
    try:
        with pytest.raises(RecordError, match=reason):
            read_prediction(tmp_path / name, TARGET)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_a_metaimage_of_another_size_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(modules["monai_mriprep.restore.predictions"], "read_voxels", None)
    SimpleITK.WriteImage(SimpleITK.Image([5, 5, 5], SimpleITK.sitkUInt8), str(tmp_path / "p.mha"))
    with pytest.raises(RecordError, match="its size is not the recorded one"):
        read_prediction(tmp_path / "p.mha", TARGET)


def test_hidden_files_folders_and_files_of_other_kinds_are_no_predictions(tmp_path):
    for name in ("b_10.npy", "b_2.NII.GZ", "._b_2.npy", ".b.npz", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.npz").mkdir()
    assert [path.name for path in list_predictions(tmp_path)] == ["b_2.NII.GZ", "b_10.npy"]
