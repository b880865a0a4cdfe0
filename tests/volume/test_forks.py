"""Processes that a DataLoader forks after the kernel has run in threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.intensity import foreground_moments, standardize
from monai_mriprep.volume.resample import apply_plan, plan_resampling

SOURCE = Grid((24, 60, 64), np.eye(4))
PLAN = plan_resampling(SOURCE, target_grid(SOURCE, (0.7, 0.6, 0.8)))


class Resampled(Dataset):
    """Each item is resampled and normalized where it is asked for."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        volume = np.random.default_rng(index).normal(100, 30, (1, *SOURCE.shape)).astype(np.float32)
        image = apply_plan(torch.from_numpy(volume), PLAN)
        return standardize(image, foreground_moments(image))


def use_threads(count: int, worker: int) -> None:
    """In a worker, which has one otherwise."""
    torch.set_num_threads(count)


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=pytest.mark.stress)])
def test_workers_that_are_forked_after_threads_have_multiplied_do_not_hang(rounds, threads):
    """The threads of a parent do not exist in its child, and a lock that one of them held would stay locked there."""
    items = Resampled()
    expected = [items[index] for index in range(len(items))]
    for number in range(rounds):
        threads(2 + number % 4)
        with ThreadPoolExecutor(2) as ending:  # as a CacheDataset fills its cache
            cached = list(ending.map(items.__getitem__, range(len(items))))
        in_workers = partial(use_threads, 1 + number % 2)
        loader = DataLoader(
            items, None, num_workers=2, multiprocessing_context="fork", timeout=60, worker_init_fn=in_workers
        )
        for found in (cached, list(loader), [items[index] for index in range(len(items))]):
            assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
