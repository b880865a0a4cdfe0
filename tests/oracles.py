"""The recipe once more, in float64, by other means: SimpleITK and nibabel read, scipy resamples, numpy computes.

Nothing here imports the package, so an error there cannot hide here.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from scipy import ndimage

# --- Real scans -------------------------------------------------------------------------------------------------------

SCANS = (
    "mixed/ImagesTr/20001_0001_t2w.mha",
    "mixed/ImagesTr/20001_0002_t2w.mha",
    "mixed/ImagesTr/20002_0001_t1w.mha",
    "mixed/ImagesTr/20003_0001_t2w.mha",
    "mixed/ImagesTr/20004_0001_t2star.mha",
    "mixed/ImagesTr/20005_0001_t1w.mha",
    "mixed/ImagesTr/20006_0001_dce.mha",
    "mixed/ImagesTr/20007_0001_mr.mha",
    "mixed/ImagesTr/20008_0001_t2star.mha",
    "traps/axis_codes/AIL.nii.gz",
    "traps/axis_codes/LAS.nii.gz",
    "traps/axis_codes/PIR.nii.gz",
    "traps/axis_codes/RAS.nii.gz",
    "traps/axis_codes/RSP.nii.gz",
    "traps/permuted_axes/ProstateX-0000_sag.mha",
    "traps/reversed_label/ProstateX-0000_t2w.mha",
    "traps/stale_label/ProstateX-0000_0000.nii.gz",
)
"""Every different 3-D image of the shared data (``anisotropic`` holds copies of three of them)."""


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels in z y x, and the affine from a z y x index to RAS+ mm."""
    if path.name.endswith((".nii", ".nii.gz")):
        image = nibabel.load(path)
        return np.asarray(image.dataobj).T, image.affine[:, [2, 1, 0, 3]]
    image = SimpleITK.ReadImage(str(path))
    return SimpleITK.GetArrayFromImage(image), affine_of_itk(image)


def affine_of_itk(image: SimpleITK.Image) -> np.ndarray:
    """From a z y x index to RAS+ mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return (np.diag([-1.0, -1, 1, 1]) @ affine)[:, [2, 1, 0, 3]]


def itk_image(array: np.ndarray, affine: np.ndarray) -> SimpleITK.Image:
    """The reverse of `read`."""
    lps = np.diag([-1.0, -1, 1, 1]) @ affine[:, [2, 1, 0, 3]]
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


# --- Grid and resampling ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """Output ``i`` lies at ``start + i * step`` input voxels."""

    n_in: int
    n_out: int
    step: float
    start: float

    @property
    def positions(self) -> np.ndarray:
        return self.start + self.step * np.arange(self.n_out)


def way_back(axes: list[Axis]) -> list[Axis]:
    """Where the input's voxels lie among the output's."""
    return [Axis(axis.n_out, axis.n_in, 1 / axis.step, -axis.start / axis.step) for axis in axes]


def half_to_even(size: float) -> int:
    """Sizes within 1e-4 of a half count as the half."""
    below = math.floor(size)
    if abs(size - below - 0.5) < 1e-4:
        return below + below % 2
    return math.floor(size + 0.5)


def plan_axis(n: int, spacing: float, target: float, grid: str) -> Axis:
    if grid == "itk":
        return Axis(n, max(1, round(round(n * spacing / target, 9))), target / spacing, 0.0)  # 7.49999999999 is 7.5
    if abs(spacing - target) < min(1e-3, 1e-3 * spacing):
        return Axis(n, n, 1.0, 0.0)
    if grid == "nnunet":
        size = max(1, half_to_even(n * spacing / target))
        return Axis(n, size, n / size, 0.5 * n / size - 0.5)
    return Axis(n, max(1, half_to_even((n - 1) * spacing / target + 1)), target / spacing, 0.0)


def plan(shape: tuple[int, ...], affine: np.ndarray, target: tuple[float, ...], grid: str = "monai") -> list[Axis]:
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return [plan_axis(n, s, t, grid) for n, s, t in zip(shape, spacing, target, strict=True)]


def new_affine(affine: np.ndarray, axes: list[Axis]) -> np.ndarray:
    index = np.eye(4)
    index[:3, :3] = np.diag([axis.step for axis in axes])
    index[:3, 3] = [axis.start for axis in axes]
    return affine @ index


def spline(volume: np.ndarray, axes: list[Axis], order: int | tuple[int, ...], boundary: str = "nearest") -> np.ndarray:
    """Scipy's own three-dimensional spline, or for a triple of orders its one-dimensional splines in turn."""
    volume = volume.astype(np.float64)
    if isinstance(order, int):
        return _affine_transform(volume, axes, order, boundary)
    for dim, (axis, axis_order) in enumerate(zip(axes, order, strict=True)):
        if axis_order == 0:
            volume = np.take(volume, nearest_index(axis, boundary), axis=dim)
            continue
        matrix = spline_matrix(axis, axis_order, boundary)
        volume = np.moveaxis(np.tensordot(matrix, np.moveaxis(volume, dim, 0), 1), 0, dim)
    return volume


def spline_matrix(axis: Axis, order: int, boundary: str = "nearest") -> np.ndarray:
    """What scipy does to the identity, shape (n_out, n_in)."""
    lines = Axis(axis.n_in, axis.n_in, 1.0, 0.0)
    return _affine_transform(np.eye(axis.n_in), [axis, lines], order, boundary)


def _affine_transform(volume: np.ndarray, axes: list[Axis], order: int, boundary: str) -> np.ndarray:
    steps, starts, shape = ([getattr(axis, name) for axis in axes] for name in ("step", "start", "n_out"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The behavior of affine_transform with a 1-D array")
        return ndimage.affine_transform(volume, steps, starts, tuple(shape), order=order, mode=boundary)


def nearest_index(axis: Axis, boundary: str = "nearest") -> np.ndarray:
    """Ties, and what is within 1e-4 voxels of one, round up."""
    index = np.floor(axis.positions + 0.5001).astype(int)
    if boundary == "mirror" and axis.n_in > 1:
        index = np.abs(index)
        index = np.where(index > axis.n_in - 1, 2 * (axis.n_in - 1) - index, index)
    return np.clip(index, 0, axis.n_in - 1)


def nearest(volume: np.ndarray, axes: list[Axis], boundary: str = "nearest") -> np.ndarray:
    return volume[np.ix_(*(nearest_index(axis, boundary) for axis in axes))]


def itk_resample(image: SimpleITK.Image, target: tuple[float, ...], interpolator: int) -> SimpleITK.Image:
    """As scripts around SimpleITK do: round(N s / t) voxels of the target, z y x, from the first centre; 0 outside."""
    spacing = [float(t) for t in reversed(target)]
    size = [round(n * s / t) for n, s, t in zip(image.GetSize(), image.GetSpacing(), spacing, strict=True)]
    direction, identity = image.GetDirection(), SimpleITK.Transform()
    return SimpleITK.Resample(image, size, identity, interpolator, image.GetOrigin(), spacing, direction, 0.0)


# --- The whole recipe -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    """What a case must become: ``(D, H, W)`` arrays."""

    image: np.ndarray
    label: np.ndarray
    foreground: np.ndarray
    affine: np.ndarray


def reference(
    image_path: Path,
    label_path: Path,
    target: tuple[float, ...],
    *,
    grid: str = "monai",
    boundary: str = "nearest",
    order: int | tuple[int, ...] = 3,
    clip: bool = False,
    foreground: str = "carried",
) -> Expected:
    """Carry out the recipe on one pair."""
    image, affine = read(image_path)
    label, label_affine = read(label_path)
    np.testing.assert_allclose(label_affine, affine, atol=1e-2)
    axes = plan(image.shape, affine, target, grid)
    native = image.astype(np.float64)
    carried = nearest(image != 0, axes, boundary)
    if foreground == "native":
        native = z_score(native, image != 0)
    result = spline(native, axes, order, boundary)
    if clip:
        result = np.clip(result, native.min(), native.max())
    if foreground != "native":
        result = z_score(result, carried if foreground == "carried" else result != 0)
    moved = np.maximum(nearest(label, axes, boundary), 0)
    moved = moved.astype(np.int8 if moved.max() <= 127 else np.int16)
    return Expected(result, moved, carried, new_affine(affine, axes))


def z_score(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return (image - image[mask].mean()) / image[mask].std()


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference as a share of the range."""
    return float(np.abs(found - expected).max() / np.ptp(expected))


# --- Small volumes ----------------------------------------------------------------------------------------------------


def rotation(degrees: float) -> np.ndarray:
    """About an oblique axis."""
    axis = np.array([1.0, 2.0, 3.0]) / math.sqrt(14)
    cross = np.cross(np.eye(3), axis)
    angle = math.radians(degrees)
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def affine_of(spacing: tuple[float, ...], degrees: float = 0.0, origin: tuple[float, ...] = (0, 0, 0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) * spacing
    affine[:3, 3] = origin
    return affine


def phantom(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A body with texture in air of exact zeros, uint16, and a label with values 0 to 3 and one of -1, int16."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    radius = np.sqrt((place**2).sum(axis=0))
    texture = ndimage.gaussian_filter(rng.normal(size=shape), 1.0)
    image = np.where(radius < 0.95, 400 + 800 * texture, 0).clip(0).astype(np.uint16)
    label = np.digitize(radius, [0.2, 0.45, 0.7])
    label = np.where(radius < 0.7, 3 - label, 0).astype(np.int16)
    label[0, 0, 0] = -1
    return image, label


SYNTHETIC = {
    "10001_0001": ((14, 20, 24), (2.0, 1.1, 1.1), 0.0),
    "10001_0002": ((7, 31, 27), (6.0, 0.9, 0.8), 0.0),
    "10002_0001": ((11, 22, 30), (3.0, 1.0, 1.0), 14.0),
}
"""Shape, spacing (z y x) and obliqueness of the synthetic cases."""

SYNTHETIC_TARGET = (2.0, 1.0, 0.9)


def write_dataset(root: Path) -> Path:
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir()
    for seed, (case, (shape, spacing, degrees)) in enumerate(SYNTHETIC.items()):
        affine = affine_of(spacing, degrees, (11.0, -7.0, 3.0))
        image, label = phantom(shape, seed)
        SimpleITK.WriteImage(itk_image(image, affine), str(root / "ImagesTr" / f"{case}_t2w.mha"), True)
        SimpleITK.WriteImage(itk_image(label, affine), str(root / "LabelsTr" / f"{case}_seg.mha"), True)
    SimpleITK.WriteImage(itk_image(*(phantom((5, 6, 7))[0], np.eye(4))), str(root / "ImagesTr" / "10003_0001_t2w.mha"))
    (root / "mri_statistics.csv").write_text(
        "median_spacing,10th_percentile_spacing\n[2.0 1.0 0.9],[2.0 0.9 0.8]\n", encoding="utf-8"
    )
    return root


def dictionary(root: Path, case: str) -> dict[str, str]:
    """What the transforms are given for a case of a dataset."""
    (image,) = (root / "ImagesTr").glob(f"{case}_*")
    (label,) = (root / "LabelsTr").glob(f"{case}_*")
    return {"image": str(image), "label": str(label)}
