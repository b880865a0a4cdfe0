"""Products of matrices: what their sizes and the switches of precision must not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.products import exact_products
from monai_mriprep.volume.resample import apply_plan, plan_resampling
from tests.oracles import affine_of


def volume_on(shape: tuple[int, int, int], affine: np.ndarray) -> tuple[torch.Tensor, Grid]:
    values = np.random.default_rng(0).normal(100, 30, (1, *shape)).astype(np.float32)
    return torch.from_numpy(values), Grid(shape, affine)


@pytest.mark.parametrize("tile", [1, 1 << 11, 1 << 14, 1 << 17])
@pytest.mark.parametrize("columns", [40, 97, 98, 145])  # in blocks of 48, the last of which may be one column
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 31, 70])
def test_the_tiles_at_once_do_not_change_a_bit(rows, columns, tile, threads, monkeypatch):
    """Else the caches of a machine, by which they are chosen, would show in a file."""
    volume, source = volume_on((50, rows, columns), affine_of((1.1, 1.0, 1.0), 21))
    plan = plan_resampling(source, Grid((55, rows, columns), source.affine @ np.diag([0.9, 0.97, 1.003, 1])))
    monkeypatch.setattr("monai_mriprep.volume.products.TILE_VOXELS", tile)
    results = []
    for count, at_once in ((1, 1), (1, 2), (2, 3), (1, 4), (2, 4), (1, 1000)):
        threads(count)
        monkeypatch.setattr("monai_mriprep.volume.products.TILES_AT_ONCE", at_once)
        results.append(apply_plan(volume, plan))
    for result in results[1:]:
        assert torch.equal(result, results[0])


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("columns", [40, 98, 101, 149, 155, 160])  # the last block of 48: 40, 2, 5, 5, 11 and 16
@pytest.mark.parametrize(("slices", "rows"), [(40, 60), (60, 40), (51, 3), (99, 53), (5, 70)])
def test_smaller_parts_of_a_matrix_do_not_change_a_bit(slices, rows, columns, order, threads, monkeypatch):
    """Nor does the number of slices in a call: the products are those of whole blocks, slice by slice."""
    volume, source = volume_on((slices, rows, columns), affine_of((1.0, 1.0, 1.0), 21))
    volume *= volume > 100  # sums of zeros have a sign
    for size in (
        (slices + 11, rows + 5, columns + 1),
        (slices - 1, rows + 9, columns - 3),
        (slices + 2, rows, columns),
    ):
        steps = [n / m for n, m in zip(volume.shape[1:], size, strict=True)]
        plan = plan_resampling(source, Grid(size, source.affine @ np.diag([*steps, 1])), order)
        results = []
        for count, wide in ((1, 1 << 30), (1, 50), (3, 50), (16, 50)):
            threads(count)
            monkeypatch.setattr("monai_mriprep.volume.products.WIDE", wide)
            results.append(apply_plan(volume, plan).numpy().tobytes())
        assert results[1:] == results[:1] * 3


def test_autocast_and_low_precision_do_not_change_a_bit():
    volume, source = volume_on((12, 60, 50), affine_of((3, 1, 1)))
    plan = plan_resampling(source, target_grid(source, (1.0, 0.7, 1.3)))
    expected = apply_plan(volume, plan)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = apply_plan(volume, plan)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_the_newer_switch_of_precision_does_not_change_a_bit():
    volume, source = volume_on((12, 60, 50), affine_of((3, 1, 1)))
    plan = plan_resampling(source, target_grid(source, (1.0, 0.7, 1.3)))
    expected = apply_plan(volume, plan)
    switch = torch.backends.mkldnn.matmul
    before = switch.fp32_precision
    switch.fp32_precision = "bf16"
    try:
        found = apply_plan(volume, plan)
        assert switch.fp32_precision == "bf16"
    finally:
        switch.fp32_precision = before
    assert torch.equal(found, expected)


def test_within_products_precision_is_full_whatever_the_processor_could_save():
    before, switch = torch.get_float32_matmul_precision(), torch.backends.mkldnn.matmul
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), exact_products(torch.device("cpu")):
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.is_autocast_enabled("cpu")
    finally:
        torch.set_float32_matmul_precision(before)
    newer, switch.fp32_precision = switch.fp32_precision, "bf16"
    try:
        with exact_products(torch.device("cpu")):
            assert switch.fp32_precision == "ieee"
    finally:
        switch.fp32_precision = newer


def test_a_thin_slab_changes_nothing_but_memory(monkeypatch):
    """The slices between the products are cut to fit small outputs."""
    volume = torch.from_numpy(np.random.default_rng(5).normal(size=(1, 60, 40, 44)).astype(np.float32))
    source = Grid((60, 40, 44), np.eye(4))
    plan = plan_resampling(source, target_grid(source, (1.2, 2.0, 2.0)))
    whole = apply_plan(volume, plan)
    monkeypatch.setattr("monai_mriprep.volume.products.SLAB_VOXELS", 1)
    np.testing.assert_allclose(apply_plan(volume, plan), whole, atol=2e-6)
