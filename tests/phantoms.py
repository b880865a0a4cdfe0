"""Phantoms that stand in for the real scans where those are absent.

They have the scans' names, sizes, spacings, number types and axes: oblique, permuted and mirrored, thick slices (z/x
up to 15), directions with the rounding of float32, zeros in the air, labels with gaps, headers that lie. Only the
voxels are made up. Nothing here imports the package.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK

from tests.oracles import itk_image, rotation

TOWARDS = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
ORIGIN = (-61.37, -48.112, 23.04)


@dataclass(frozen=True)
class Phantom:
    """Where a scan lies and what it holds.

    ``axes`` says where z, y and x run; ``air`` is the radius beyond which voxels are zero, ``organ`` that of the
    label, both as a share of half the field of view.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    axes: str
    degrees: float = 0.0
    dtype: str = "int16"
    high: int = 1000
    air: float = 2.0
    organ: float = 0.25

    @property
    def affine(self) -> np.ndarray:
        """From an index z, y, x to RAS+ mm; an oblique one has the rounding of a scanner that computes in float32."""
        direction = np.transpose([TOWARDS[axis] for axis in self.axes]).astype(float)
        if self.degrees:
            direction = (rotation(self.degrees) @ direction).astype(np.float32).astype(float)
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = direction * self.spacing, ORIGIN
        return affine

    def radius(self, centre: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
        """Distance from a centre; the field of view runs from -1 to 1."""
        z, y, x = np.ix_(*(np.linspace(-1, 1, n) - c for n, c in zip(self.shape, centre, strict=True)))
        return np.sqrt(z * z + y * y + x * x)

    def image(self, seed: int) -> np.ndarray:
        """A body with coarse texture and noise, brighter in the middle."""
        rng = np.random.default_rng(seed)
        waves = [np.sin(rng.uniform(4, 12) * np.linspace(-1, 1, n) + rng.uniform(0, 6)) for n in self.shape]
        texture = waves[0][:, None, None] * waves[1][:, None] + waves[2]
        values = 0.45 + 0.12 * texture - 0.1 * self.radius() + rng.normal(0, 0.06, self.shape)
        body = self.high * np.clip(values, 0.01, 1)
        return np.where(self.radius() < self.air, body, 0).astype(self.dtype)

    def label(self) -> np.ndarray:
        """One organ away from the centre."""
        return (self.radius((0.2, -0.1, 0.15)) < self.organ).astype(np.int16)


MIXED = {
    "20001_0001_t2w": Phantom((22, 320, 320), (3.299999, 1.125, 1.125), "SAR", 10, "uint16", 872, 1.4),
    "20001_0002_t2w": Phantom((22, 320, 320), (3.3000004, 1.125, 1.125), "PRI", 19, "uint16", 1184, 1.3),
    "20002_0001_t1w": Phantom((77, 76, 42), (1.0, 1.0, 1.0), "SAR", high=949, air=1.6),
    "20003_0001_t2w": Phantom((52, 55, 60), (1.0, 1.0, 1.0), "RSP", high=1257, air=1.5),
    "20004_0001_t2star": Phantom((11, 320, 320), (7.5000024, 0.5, 0.5), "SAL", 4, "uint8", 255, 1.6),
    "20005_0001_t1w": Phantom((25, 256, 256), (6.5, 0.78125, 0.78125), "SAL", high=3057, air=1.5),
    "20006_0001_dce": Phantom((21, 120, 45), (2.1, 0.664062, 0.664062), "SPL", high=248),
    "20007_0001_mr": Phantom((20, 91, 117), (3.0, 3.0, 3.0), "SPL", high=833, air=1.5),
    "20008_0001_t2star": Phantom((9, 54, 49), (7.499999, 0.5, 0.5), "SAL", 1, "float32", 717),
}
"""Images of the dataset; the last has no label."""

ANISOTROPIC = ("20004_0001_t2star", "20005_0001_t1w", "20006_0001_dce")
STATISTICS = {
    "mixed": "[3.1499995 1 1],[1 0.6148434 0.6148434]",
    "anisotropic": "[6.5 0.664062 0.664062],[2.98 0.5328124 0.5328124]",
}
ORGANS = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 14, 18, 19, 20, 21, 25, 30, 31, 36, 37, 40, 49)

HEAD = Phantom((67, 79, 64), (2.3665, 2.3898, 2.3852), "SAR", dtype="float64", high=92, air=0.9)
SAGITTAL = Phantom((19, 320, 320), (3.6000002, 0.5625, 0.5625), "RIP", dtype="uint16", high=1115, air=1.5)
PROSTATE = Phantom((19, 384, 384), (2.9999999942, 0.5, 0.5), "SPL", 18.5, "uint16", 1118, 1.6)
CROP = Phantom((20, 160, 160), (3.0, 0.5, 0.5), "SPL", 18.5, "uint16", 905, 1.6)


def write_stand_ins(root: Path) -> Path:
    """Lay them out as the real scans are; four seconds."""
    _write_datasets(root)
    _write_heads(root / "traps" / "axis_codes")
    _write_liars(root / "traps")
    return root


def _write_datasets(root: Path) -> None:
    for seed, (name, phantom) in enumerate(MIXED.items()):
        image = phantom.image(seed)
        if name.startswith("20007"):
            image.flat[:50] = -47
        _write(root / "mixed" / "ImagesTr" / f"{name}.mha", image, phantom.affine)
        if not name.startswith("20008"):
            label = _organs(phantom) if name.startswith("20007") else phantom.label()
            noise = np.zeros((4, 4))
            noise[:3, 3] = 1e-6  # real headers of one scan differ by so much
            _write(root / "mixed" / "LabelsTr" / f"{_seg(name)}.mha", label, phantom.affine + noise)
    for folder in ("ImagesTr", "LabelsTr"):
        (root / "anisotropic" / folder).mkdir(parents=True)
    for name in ANISOTROPIC:
        for file in (f"ImagesTr/{name}.mha", f"LabelsTr/{_seg(name)}.mha"):
            shutil.copy(root / "mixed" / file, root / "anisotropic" / file)
    for dataset, row in STATISTICS.items():
        text = f"median_spacing,10th_percentile_spacing\n{row}\n"
        (root / dataset / "mri_statistics.csv").write_text(text, encoding="utf-8")


def _organs(phantom: Phantom) -> np.ndarray:
    """Many organs, numbered with gaps, each what lies nearest to its centre."""
    centres = np.random.default_rng(7).uniform(-0.7, 0.7, (len(ORGANS), 3))
    nearest = np.argmin([phantom.radius(tuple(centre)) for centre in centres], axis=0)
    return np.where(phantom.radius() < 0.7, np.array(ORGANS)[nearest], 0).astype(np.int16)


def _write_heads(folder: Path) -> None:
    """One head, stored in five axis orders."""
    folder.mkdir(parents=True)
    head = nibabel.Nifti1Image(HEAD.image(20).T, HEAD.affine[:, [2, 1, 0, 3]])
    for codes in ("RAS", "AIL", "LAS", "PIR", "RSP"):
        way = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(head.affine), nibabel.orientations.axcodes2ornt(codes)
        )
        nibabel.save(head.as_reoriented(way), folder / f"{codes}.nii.gz")


def _write_liars(traps: Path) -> None:
    """Pairs whose arrays fit, and whose headers do not; and a series in time."""
    _write(traps / "permuted_axes" / "ProstateX-0000_sag.mha", SAGITTAL.image(21), SAGITTAL.affine)
    scan = itk_image(PROSTATE.image(22), PROSTATE.affine)
    scan.SetMetaData("0008|103e", "t2_tse_tra")
    flip = np.eye(4)
    flip[1, 1], flip[1, 3] = -1, PROSTATE.shape[1] - 1
    (traps / "reversed_label").mkdir()
    SimpleITK.WriteImage(scan, str(traps / "reversed_label" / "ProstateX-0000_t2w.mha"), True)
    lesion = _lesion(PROSTATE, "uint16")
    _write(traps / "reversed_label" / "ProstateX-0000_annotation.nii.gz", lesion, PROSTATE.affine @ flip)
    _write(traps / "stale_label" / "ProstateX-0000_0000.nii.gz", CROP.image(23), CROP.affine)
    stale = CROP.affine @ np.diag([1.2, 1, 1, 1])
    stale[:3, 3] += 56 * CROP.affine[:3, 2] / CROP.spacing[2]
    _write(traps / "stale_label" / "ProstateX-0000.nii.gz", _lesion(CROP, "uint8"), stale)
    (traps / "four_d").mkdir()
    series = nibabel.Nifti1Image(np.ones((128, 96, 24, 2), np.int16), np.diag([2, 2, 2.2, 1]))
    nibabel.save(series, traps / "four_d" / "example4d.nii.gz")


def _lesion(phantom: Phantom, dtype: str) -> np.ndarray:
    """The 512 voxels nearest to a place off the centre."""
    places = np.ix_(*(s * np.arange(n) for n, s in zip(phantom.shape, phantom.spacing, strict=True)))
    centre = (0.45, 0.36, 0.52) * np.multiply(phantom.shape, phantom.spacing)
    squares = sum((place - middle) ** 2 for place, middle in zip(places, centre, strict=True))
    label = np.zeros(phantom.shape, dtype)
    label.flat[np.argsort(squares, axis=None)[:512]] = 1
    return label


def _seg(name: str) -> str:
    return f"{name.rpartition('_')[0]}_seg"


def _write(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(itk_image(array, affine), str(path), True)
