"""Scans, predictions, and what SimpleITK says of the files that `restore` makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK

from monai_mriprep import load_recipe
from tests.oracles import itk_image
from tests.runs import done_records

FORMATS = {"10_mha": ".mha", "11_nifti": ".nii.gz", "12_nii": ".nii", "13_nrrd": ".nrrd", "14_mhd": ".mhd"}
SHAPE, SPACING = (9, 17, 15), (3.3333333333333335, 1.1, 0.7)


def geometry(image: SimpleITK.Image) -> tuple:
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


def assert_geometry(found: Path, expected: tuple, tolerance: float) -> None:
    size, *numbers = geometry(SimpleITK.ReadImage(str(found)))
    assert size == expected[0]
    for values, wanted in zip(numbers, expected[1:], strict=True):
        np.testing.assert_allclose(values, wanted, rtol=0, atol=tolerance)


def dice(found: SimpleITK.Image, label: SimpleITK.Image) -> float:
    """Of the foregrounds, in the world: the label's grid, whatever its axes, asks the other at its own points."""
    moved = SimpleITK.Resample(found, label, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    a, b = (SimpleITK.GetArrayFromImage(image) > 0 for image in (moved, label))
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def lesion(image: SimpleITK.Image) -> SimpleITK.Image:
    """A label on an image's grid: an ellipsoid away from the centre."""
    axes = [np.linspace(-1, 1, n) for n in image.GetSize()[::-1]]
    radius = sum((a - 0.2) ** 2 for a in np.meshgrid(*axes, indexing="ij"))
    label = SimpleITK.GetImageFromArray((radius < 0.3).astype(np.int16))
    label.CopyInformation(image)
    return label


def write_pair(root: Path, name: str, suffix: str, image: SimpleITK.Image, label: SimpleITK.Image) -> None:
    for folder, volume in (("ImagesTr", image), ("LabelsTr", label)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(volume, str(root / folder / f"{name}_{folder[:3]}{suffix}"))


def recipe_of(target: tuple[float, ...], order: int = 0, **more: object):
    settings = {"target_spacing": list(target), "order": order, **more}
    return load_recipe(None, [f"{key}={json.dumps(value)}" for key, value in settings.items()])


def label_of(out: Path, name: str) -> np.ndarray:
    with np.load(out / "labelsTr" / f"{name}_Lab.npz") as content:
        return content["arr_0"]


def voxels(path: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def target_image(out: Path, array: np.ndarray) -> SimpleITK.Image:
    """An array of the first case's target grid, as SimpleITK holds it; channels last."""
    record = done_records(out)["10_mha_Ima"]
    image = itk_image(np.zeros(array.shape[:3], np.uint8), record.target_grid.affine)
    result = SimpleITK.GetImageFromArray(array, isVector=array.ndim == 4)
    result.CopyInformation(image)
    return result


def one_hot(label: np.ndarray) -> np.ndarray:
    return np.stack([label != 1, label == 1]).astype(np.float32)
