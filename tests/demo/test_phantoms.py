"""The synthetic dataset: its files, and what the demo promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import itk
import numpy as np
import pytest
from scipy import ndimage

from monai_mriprep.demo import phantoms
from monai_mriprep.demo.phantoms import (
    DEMO_CASES,
    LESION,
    NEGATIVE_CASE,
    OBLIQUE_CASE,
    PANCREAS,
    UNPAIRED_CASE,
    make_demo_dataset,
    make_phantom,
)
from monai_mriprep.volume.geometry import LPS_TO_RAS, Grid, reverse_axes

PAIRS = [case.name for case in DEMO_CASES]


def read(path: Path) -> tuple[np.ndarray, Grid]:
    """Read with ITK: the array in z y x, and the grid by the rule of the geometry room."""
    image = itk.imread(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(image.GetDirection()) * np.asarray(image.GetSpacing())
    affine[:3, 3] = np.asarray(image.GetOrigin())
    array = itk.array_from_image(image)
    return array, Grid(array.shape, reverse_axes(LPS_TO_RAS @ affine))


# --- One phantom ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=range(4))
def phantom(request):
    return make_phantom(np.random.default_rng(request.param), (18, 88, 118), (8.0, 2.4, 2.4))


def test_types_and_values(phantom):
    image, label = phantom
    assert image.dtype == label.dtype == np.int16
    assert image.shape == label.shape == (18, 88, 118)
    assert set(np.unique(label)) == {0, PANCREAS, LESION}
    assert image.min() == 0
    assert 600 < image.max() < 1500


def test_air_is_exactly_zero_and_the_body_nowhere(phantom):
    image, label = phantom
    body = image > 0
    assert 0.3 < 1 - body.mean() < 0.6
    assert ndimage.label(body)[1] == 1
    np.testing.assert_array_equal(ndimage.binary_fill_holes(body), body)
    assert body[label > 0].all()
    assert not body[:, [0, -1]].any()
    assert not body[:, :, [0, -1]].any()


def test_organs_have_distinct_intensities(phantom):
    image, label = phantom
    pancreas, lesion = image[label == PANCREAS], image[label == LESION]
    rest = image[(label == 0) & (image > 0)]
    assert np.median(pancreas) > np.percentile(rest, 99)
    assert np.median(pancreas) - np.median(lesion) > 4 * np.std(lesion[lesion < np.median(lesion)])


def test_labels_are_compact_and_of_plausible_size(phantom):
    _, label = phantom
    voxel_ml = 8.0 * 2.4 * 2.4 / 1000
    assert 40 < (label > 0).sum() * voxel_ml < 220
    assert 3 < (label == LESION).sum() * voxel_ml < 25
    assert ndimage.label(label > 0, np.ones((3, 3, 3)))[1] == 1
    assert ndimage.label(label == LESION)[1] == 1
    touching = ndimage.binary_dilation(label == LESION) & (label == PANCREAS)
    assert touching.any()


def test_noise_is_in_the_tissue(phantom):
    image, _ = phantom
    tissue = ndimage.binary_erosion(image > 0, iterations=2)
    residual = image - ndimage.median_filter(image.astype(float), size=(1, 3, 3))
    assert 5 < residual[tissue].std() < 40


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((1, 1, 1), (1, 1, 1)), ((3, 4, 5), (8, 2, 2)), ((16, 32, 32), (1, 1, 1)), ((40, 48, 48), (8, 8, 8))],
)
def test_any_grid(shape, spacing):
    image, label = make_phantom(np.random.default_rng(0), shape, spacing)
    assert image.shape == label.shape == shape
    assert image.any()


@pytest.mark.parametrize("shape", [(16, 32, 32), (24, 48, 64)])
def test_anatomy_shrinks_to_fit_a_small_field_of_view(shape):
    image, label = make_phantom(np.random.default_rng(0), shape, (1.0, 1.0, 1.0))
    assert set(np.unique(label)) == {0, PANCREAS, LESION}
    assert not image[:, [0, -1]].any()


def test_even_the_darkest_tissue_is_not_air():
    points = phantoms._positions((20, 40, 40), (1, 1, 1))
    body = np.indices(points[0].shape)[2] > 9
    image = phantoms._acquire(np.random.default_rng(0), np.zeros(body.shape, np.float32), points, body)
    np.testing.assert_array_equal(image > 0, body)


@pytest.mark.parametrize("organ", [*phantoms.BACK, *phantoms.ORGANS, *phantoms.VESSELS])
def test_nothing_of_an_organ_lies_outside_its_box(organ):
    points = phantoms._bend(np.random.default_rng(0), phantoms._positions((18, 88, 118), (8.0, 2.4, 2.4)))
    box = phantoms._box(phantoms._extents(points), organ)
    drawn = np.zeros_like(points[0])
    drawn[box] = phantoms._inside(points, organ, box)
    np.testing.assert_array_equal(drawn, phantoms._inside(points, organ))


def test_generator_decides_the_patient():
    args = (12, 44, 60), (12.0, 4.8, 4.8)
    first, again, other = (make_phantom(np.random.default_rng(seed), *args) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first[1] != other[1]).any()


# --- The demo dataset -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    make_demo_dataset(folder / "dataset")
    return folder / "dataset"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_layout(demo):
    images = [f"ImagesTr/{name}_0000.mha" for name in [*PAIRS, UNPAIRED_CASE.name]]
    labels = [f"LabelsTr/{name}.mha" for name in PAIRS]
    assert list(contents(demo)) == [*images, *labels, "mri_statistics.csv"]
    assert len(PAIRS) == 6


def test_seed_decides_every_byte(demo, tmp_path):
    make_demo_dataset(tmp_path / "again", seed=0)
    make_demo_dataset(tmp_path / "other", seed=1)
    assert contents(tmp_path / "again") == contents(demo)
    same = {name for name, data in contents(tmp_path / "other").items() if data == contents(demo)[name]}
    assert same == {"mri_statistics.csv"}


@pytest.mark.parametrize("case", DEMO_CASES, ids=PAIRS)
def test_pair(demo, case):
    image, image_grid = read(demo / f"ImagesTr/{case.name}_0000.mha")
    label, label_grid = read(demo / f"LabelsTr/{case.name}.mha")
    assert image.dtype == label.dtype == np.int16
    assert image_grid == label_grid
    np.testing.assert_allclose(image_grid.spacing, case.spacing, rtol=1e-12)
    assert (image == 0).mean() > 0.3
    assert set(np.unique(label)) == {0, PANCREAS, LESION} | ({-1} if case is NEGATIVE_CASE else set())


def test_one_negative_voxel_in_all(demo):
    assert sum(int((read(path)[0] < 0).sum()) for path in (demo / "LabelsTr").iterdir()) == 1


def test_one_oblique_scan(demo):
    grids = {name: read(demo / f"LabelsTr/{name}.mha")[1] for name in PAIRS}
    off_axis = {name: np.sort(np.abs(grid.direction), axis=0)[:2].max() for name, grid in grids.items()}
    assert [name for name, cosine in off_axis.items() if cosine > 1e-12] == [OBLIQUE_CASE.name]
    assert off_axis[OBLIQUE_CASE.name] > np.sin(np.deg2rad(10))
    for grid in grids.values():
        np.testing.assert_allclose(grid.affine @ [*(np.subtract(grid.shape, 1) / 2), 1], [0, 0, 0, 1], atol=1e-9)
        assert np.linalg.det(grid.direction[:, ::-1]) == pytest.approx(1)


def test_statistics_are_those_of_the_pairs_and_anisotropic(demo):
    names, row = (demo / "mri_statistics.csv").read_text().splitlines()
    assert names == "median_spacing,10th_percentile_spacing"
    median, tenth = (np.array(text.strip("[]").split(), float) for text in row.split(","))
    spacings = [read(demo / f"ImagesTr/{name}_0000.mha")[1].spacing for name in PAIRS]
    np.testing.assert_allclose(median, np.median(spacings, axis=0), rtol=1e-9)
    np.testing.assert_allclose(tenth, np.percentile(spacings, 10, axis=0), rtol=1e-9)
    assert median[0] / median[2] >= 3
    assert tenth[0] < median[0]
    assert len(set(spacings)) >= 4


def test_import_is_light():
    code = "import sys, monai_mriprep.demo.phantoms; print({'torch', 'monai', 'itk'} & set(sys.modules) or 'light')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "light"
