"""How many threads compute inside nnU-Net's processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import parent_process

import torch

from monai_mriprep.machine import processors

__all__ = ["limited_threads", "one_thread_in_workers"]


@contextmanager
def limited_threads(most: int | None = None) -> Iterator[None]:
    """No more threads than there are processors, nor than `most`: nnU-Net asks for eight, wherever it exports."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, most or before, processors()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread_in_workers() -> AbstractContextManager[None]:
    """One thread in a worker process, since the others have the other processors; else as `limited_threads`."""
    return limited_threads(None if parent_process() is None else 1)
