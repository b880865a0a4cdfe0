"""What each peer makes of single scans, with where its voxels lie in the world.

JOBS is a JSON list of mappings with the keys case, image, label and target (z y x, mm). Of each case every tool writes
``OUT/TOOL/CASE.npz``: image and label ``(z, y, x)``, and the affine that takes an index z, y, x to RAS+ mm.

usage: python -m benchmarks.peers.arrays JOBS OUT
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

Result = tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]
REVERSED = np.eye(4)[[2, 1, 0, 3]]
"""An affine of x, y, z times this is one of z, y, x."""
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def monai(image: Path, label: Path, target: Sequence[float]) -> Result:
    """`Spacingd` with a cubic spline, `NormalizeIntensityd(nonzero=True)`."""
    from benchmarks.peers.stock_monai import transforms_to

    done = transforms_to(target)({"image": str(image), "label": str(label)})
    voxels, classes = (done[key][0].numpy().transpose(2, 1, 0) for key in ("image", "label"))
    return voxels, classes, done["image"].affine.numpy() @ REVERSED


def torchio(image: Path, label: Path, target: Sequence[float]) -> Result:
    """`Resample` by B-spline, `ZNormalization` over what is not zero."""
    import torchio as tio

    from benchmarks.peers.torchio_script import steps_to

    done = steps_to(target)(tio.Subject(image=tio.ScalarImage(image), label=tio.LabelMap(label)))
    voxels, classes = (part.data[0].numpy().transpose(2, 1, 0) for part in (done.image, done.label))
    return voxels, classes, np.asarray(done.image.affine) @ REVERSED


def simpleitk(image: Path, label: Path, target: Sequence[float]) -> Result:
    """`Resample` by B-spline, z-scores over what is not zero."""
    from benchmarks.peers.sitk_script import normalise, resample_pair

    voxels, classes = resample_pair(image, label, np.array(target))
    return normalise(sitk.GetArrayFromImage(voxels)), sitk.GetArrayFromImage(classes), affine_of(voxels)


def nnunet(image: Path, label: Path, target: Sequence[float]) -> Result:
    """nnU-Net's own preprocessor, as its plans for a scan with hardly a border of zeros have it."""
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    voxels, facts = SimpleITKIO().read_images([str(image)])
    classes, _ = SimpleITKIO().read_seg(str(label))
    names = {"background": 0} | {f"class {value}": int(value) for value in np.unique(classes) if value > 0}
    plans = PlansManager(plans_for(target))
    done = DefaultPreprocessor(verbose=False).run_case_npy(
        voxels, classes, facts, plans, plans.get_configuration("3d_fullres"), {"labels": names}
    )
    shape, start = np.array(done[0].shape[1:]), np.array([low for low, _ in facts["bbox_used_for_cropping"]])
    step = np.array(facts["shape_after_cropping_and_before_resampling"]) / shape
    half_pixel = np.eye(4)
    half_pixel[:3] = np.column_stack([np.diag(step), start + step / 2 - 0.5])
    return done[0][0], done[1][0], affine_of(sitk.ReadImage(str(image))) @ half_pixel


def plans_for(target: Sequence[float]) -> dict[str, Any]:
    """What nnU-Net 2.8.1 plans, as far as preprocessing and export read it."""
    resampling = "resample_data_or_seg_to_shape"
    settings = {"order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": [32, 32, 32],
        "spacing": list(target),
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": resampling,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **settings},
        "resampling_fn_seg": resampling,
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **settings},
        "resampling_fn_probabilities": resampling,
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **settings},
        "architecture": {},
    }
    return {
        "dataset_name": "Dataset001",
        "plans_name": "nnUNetPlans",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {}},
        "configurations": {"3d_fullres": configuration},
    }


def affine_of(volume: sitk.Image) -> NDArray[np.float64]:
    """Index z, y, x to RAS+ mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(volume.GetDirection(), (3, 3)) * volume.GetSpacing()
    affine[:3, 3] = volume.GetOrigin()
    return LPS_TO_RAS @ affine @ REVERSED


TOOLS: dict[str, Callable[[Path, Path, Sequence[float]], Result]] = {
    "nnunet": nnunet,
    "monai": monai,
    "torchio": torchio,
    "simpleitk": simpleitk,
}


def main() -> None:
    jobs, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    for name, tool in TOOLS.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        for job in jobs:
            voxels, classes, affine = tool(Path(job["image"]), Path(job["label"]), job["target"])
            np.savez(out / name / job["case"], image=voxels, label=classes, affine=affine)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:  # nnU-Net warns of folders that it does not know
        os.environ |= dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), folder)
        main()
