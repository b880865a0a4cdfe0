"""Every form in which people store a prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from monai.transforms.io.dictionary import SaveImaged

from monai_mriprep import LoadNpzd, restore
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
