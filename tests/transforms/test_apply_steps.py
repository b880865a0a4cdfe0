"""The shell around a list of steps: exactly the original grid, and labels that survive."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import decollate_batch
from monai.transforms.post.dictionary import Invertd

from monai_mriprep import AnisotropyAwareSpacingd, LoadVolumed
from monai_mriprep.transforms.tensors import grid_of, on_grid
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling
from tests.oracles import SCANS, nearest, plan, rotation, spline, way_back

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

GRID = Grid((9, 16, 18), np.diag([3.1, 1.2, 1.2, 1.0]))
TARGET = (2.0, 1.0, 0.9)


def blob(grid: Grid) -> MetaTensor:
    """A smooth label: an ellipsoid of half the extent, int16, that is no voxel's size."""
    axes = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in grid.shape]
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    return on_grid(torch.from_numpy((radius < 0.71).astype(np.int16))[None], grid)


def dice(found: torch.Tensor, expected: torch.Tensor) -> float:
    found, expected = torch.as_tensor(found).bool(), torch.as_tensor(expected).bool()
    return 2 * int((found & expected).sum()) / max(1, int(found.sum() + expected.sum()))


def there_and_back(label: MetaTensor, target: tuple[float, ...], rule: str = "monai") -> MetaTensor:
    spacing = AnisotropyAwareSpacingd(["label"], target=target, order=0, grid=rule)
    return spacing.inverse(spacing({"label": label}))["label"]


@pytest.mark.parametrize("factor", [0.8, 2.3], ids="factor {}".format)
@pytest.mark.parametrize("rule", ["monai", "nnunet", "itk"])
@pytest.mark.parametrize("scan", SCANS)
def test_every_scan_comes_back(scans, scan, rule, factor):
    grid = grid_of(LoadVolumed(["image"])({"image": str(scans / scan)})["image"])
    label = blob(grid)
    back = there_and_back(label, tuple(factor * s for s in grid.spacing), rule)
    assert grid_of(back) == grid
    assert back.dtype == label.dtype
    assert back.applied_operations == []
    assert factor > 1 or dice(back, label) >= 0.97


@st.composite
def grids(draw) -> Grid:
    """Rotated, mirrored, permuted and shifted, with noise in the last digits."""
    shape = draw(st.tuples(*[st.integers(1, 24)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.3, 5.0)] * 3))
    flips = np.diag(draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)))
    axes = np.eye(3)[:, draw(st.permutations(range(3)))]
    affine = np.eye(4)
    affine[:3, :3] = rotation(draw(st.floats(-180, 180))).astype(np.float32) @ flips @ axes * spacing
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return Grid(shape, affine)


@settings(max_examples=200)
@given(grid=grids(), factors=st.tuples(*[st.floats(0.3, 3.0)] * 3), rule=st.sampled_from(["monai", "nnunet", "itk"]))
def test_random_grids_come_back(grid, factors, rule):
    label = blob(grid)
    back = there_and_back(label, tuple(f * s for f, s in zip(factors, grid.spacing, strict=True)), rule)
    assert grid_of(back) == grid


@settings(max_examples=200)
@given(grid=grids(), factors=st.tuples(*[st.floats(0.3, 1.0)] * 3), rule=st.sampled_from(["monai", "nnunet", "itk"]))
def test_where_the_target_is_not_coarser_labels_survive(grid, factors, rule):
    label = blob(grid)
    back = there_and_back(label, tuple(f * s for f, s in zip(factors, grid.spacing, strict=True)), rule)
    assert torch.equal(back.as_tensor(), label.as_tensor())


@pytest.mark.parametrize("order", [1, 3])
def test_probabilities_come_back(order):
    """A smooth probability, thresholded after the way back, is the original's thresholded."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (30, 40, 44)), indexing="ij")
    smooth = torch.from_numpy(1 / (1 + np.exp(8 * (np.sqrt(sum(a**2 for a in axes)) - 0.6)))).float()
    image = on_grid(smooth[None], Grid((30, 40, 44), np.diag([2.0, 1.0, 1.0, 1.0])))
    spacing = AnisotropyAwareSpacingd(["image"], target=(1.3, 0.9, 0.8), order=order)
    back = spacing.inverse(spacing({"image": image}))["image"]
    assert grid_of(back) == grid_of(image)
    assert dice(back > 0.5, image > 0.5) >= 0.99
    assert torch.allclose(back.as_tensor(), image.as_tensor(), atol=0.05)


class Predict:
    """A network that gives three channels of floats on the target grid; a copy of itself in each worker."""

    def __init__(self, spacing: AnisotropyAwareSpacingd) -> None:
        self.spacing = spacing

    def __call__(self, data: dict) -> dict:
        result = self.spacing(data)
        image = result["image"].as_tensor()
        return {**result, "pred": MetaTensor(torch.cat([image.sin(), image.cos(), 0.5 * image]))}


@pytest.fixture
def case() -> dict[str, MetaTensor]:
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *GRID.shape)).astype(np.float32))
    return {"image": on_grid(values, GRID), "label": blob(GRID)}


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_invertd_after_workers(case, method):
    """Both interpolations from one batch, against scipy's."""
    spacing = AnisotropyAwareSpacingd(["image", "label"], target=TARGET)
    loader = DataLoader(
        Dataset([case, case], Predict(spacing)), batch_size=2, num_workers=1, multiprocessing_context=method
    )
    (batch,) = loader
    assert batch["pred"].shape[:2] == (2, 3)
    expected = Predict(spacing)(case)
    axes = way_back(plan(GRID.shape, GRID.affine, TARGET))
    for item in decollate_batch(batch):
        hard, soft = (
            Invertd("pred", spacing, orig_keys="image", nearest_interp=asked)(item)["pred"] for asked in (True, False)
        )
        assert grid_of(hard) == grid_of(soft) == GRID
        for channel, values in enumerate(expected["pred"].numpy()):
            assert np.array_equal(hard[channel], nearest(values, axes))
            np.testing.assert_allclose(soft[channel], spline(values, axes, 1), atol=1e-6)


def test_invertd_of_class_numbers_in_floats(case):
    """`AsDiscrete` gives floats: asked for nearest, no value may be made up in between."""
    spacing = AnisotropyAwareSpacingd(["image", "label"], target=TARGET)
    data = spacing(case)
    data["pred"] = data["label"].float() * 3
    back = Invertd("pred", spacing, orig_keys="image", nearest_interp=True)(data)["pred"]
    assert back.unique().tolist() == [0.0, 3.0]
    assert dice(back, case["label"]) >= 0.97
    assert grid_of(back) == GRID


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
@pytest.mark.parametrize("way", ["inverse", "Invertd"])
def test_integers_go_back_by_nearest_neighbour_whatever_way_the_image_came(case, dtype, way):
    """An argmax has the image's history, which says cubic; between its classes 0 and 7 there is nothing."""
    spacing = AnisotropyAwareSpacingd(["image"], target=TARGET)
    image = spacing({"image": case["image"]})["image"]
    classes = 7 * (image.as_tensor() > 0.3).to(dtype)
    plan = plan_resampling(grid_of(image), GRID, 0)
    if way == "inverse":
        prediction = MetaTensor(classes, meta=image.meta, applied_operations=image.applied_operations)
        back = spacing.inverse({"image": prediction})["image"]
    else:
        inverter = Invertd("pred", spacing, orig_keys="image", nearest_interp=False, to_tensor=False)
        back = inverter({"image": image, "pred": MetaTensor(classes)})["pred"]
    assert back.unique().tolist() == [0, 7]
    assert torch.equal(back.as_tensor().to(dtype), apply_plan(classes, plan))


def test_each_volume_goes_back_to_its_own_affine(case):
    """A label's header may differ from its image's in the last digits; what was there comes back, not a copy."""
    own = GRID.affine + np.array([[0, 0, 0, 2e-6], [0, 1e-7, 0, 0], [0, 0, 0, -1e-6], [0, 0, 0, 0]])
    label = on_grid(case["label"].as_tensor(), Grid(GRID.shape, own))
    spacing = AnisotropyAwareSpacingd(["image", "label"], target=TARGET)
    back = spacing.inverse(spacing({"image": case["image"], "label": label}))
    assert np.array_equal(back["image"].affine.numpy(), GRID.affine)
    assert np.array_equal(back["label"].affine.numpy(), own)


def test_of_two_resamplings_the_last_is_undone_first():
    first, second = (AnisotropyAwareSpacingd(["label"], target=t, order=0) for t in (TARGET, (1.0, 0.7, 0.6)))
    label = blob(GRID)
    once = first({"label": label})
    back = second.inverse(second(once))
    assert grid_of(back["label"]) == grid_of(once["label"])
    assert len(back["label"].applied_operations) == 1
    home = first.inverse(back)["label"]
    assert grid_of(home) == GRID
    assert torch.equal(home.as_tensor(), label.as_tensor())
