"""Three ways to get cases done; each hands every case to the same function and yields results as they come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset

from monai_mriprep.run.cases import Case, Result

__all__ = ["run_cases"]

Work = Callable[[Case], Result]

START_METHOD = "fork" if sys.platform == "linux" else "spawn"
"""Forked workers inherit the loaded libraries; importing MONAI again costs each 4 seconds."""


def run_cases(work: Work, cases: Sequence[Case], workers: int) -> Iterator[Result]:
    """Yield each case's result as soon as it is there.

    Parameters
    ----------
    work
        Picklable; must not raise.
    cases
        In the order in which they are started.
    workers
        Processes; 0 works in this process.
    """
    if workers == 0 or not cases:
        yield from map(work, cases)
        return
    dataset = Dataset(cases, transform=work)
    yield from DataLoader(
        dataset,
        batch_size=1,
        num_workers=min(workers, len(cases)),
        collate_fn=_only,
        prefetch_factor=1,
        in_order=False,
        multiprocessing_context=START_METHOD,
        worker_init_fn=_one_thread,
    )


def _only(batch: Sequence[Any]) -> Any:
    """A batch is one result, which must not be collated into tensors."""
    return batch[0]


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
