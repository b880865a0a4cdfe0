"""The threads that share the products of matrices."""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Executor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from typing import TypeVar

import numpy as np
import torch

from monai_mriprep.volume.buffers import empty_float32

__all__ = ["ALONE", "CPU", "Threads", "map_slices", "on_threads", "share_out"]

CPU = torch.device("cpu")

Given = TypeVar("Given")


@dataclass(frozen=True)
class Threads:
    """Distributes a loop over threads. Without a pool everything runs in the calling thread."""

    count: int
    pool: Executor | None

    def share(self, n_items: int, work: Callable[[Iterable[int]], None]) -> None:
        """Call `work` in each thread, with numbers that together are those of ``range(n_items)``.

        A thread that is done with one takes the next, so that none waits while others have work left. After an error
        none takes another, and all have stopped when it is raised.
        """
        numbers = iter(range(n_items))
        if self.pool is None:
            work(numbers)
            return
        shares = [self.pool.submit(_alike(work), numbers) for _ in range(min(self.count, n_items))]
        try:
            wait(shares, return_when=FIRST_EXCEPTION)
        finally:
            deque(numbers, maxlen=0)
            wait(shares)
        for share in shares:
            share.result()


ALONE = Threads(1, None)
"""The calling thread."""


def on_threads(device: torch.device, work: Callable[[Threads], None], most: int | None = None) -> None:
    """Call `work` with as many threads as torch would use here, or `most`; inside each, torch itself uses one.

    A thread that ends gives memory back to MKL, under a lock, a moment after Python has joined it. A process that is
    forked in that moment inherits the lock, and its first product of matrices never returns. So only the main thread
    multiplies by itself; every other caller, such as a thread that fills a `CacheDataset`, may end before a fork. Where
    it would use one thread, the whole work is handed over to one: handed over one by one, the products took up to three
    times as long (measured).
    """
    available = torch.get_num_threads() if device.type == "cpu" else 1
    if device.type != "cpu" or (available == 1 and current_thread() is main_thread()):
        work(ALONE)
        return
    count = min(available, most or available)
    try:
        with _lent_pool(count) as pool:
            if count == 1:
                pool.submit(_alike(work), ALONE).result()
            else:
                work(Threads(count, pool))
    finally:
        torch.set_num_threads(available)  # the initializers have changed the default of later threads


def share_out(
    n_items: int, work: Callable[[Iterable[int]], None], device: torch.device = CPU, most: int | None = None
) -> None:
    """`Threads.share`, by the threads of `on_threads`."""
    on_threads(device, lambda threads: threads.share(n_items, work), most)


def map_slices(image: torch.Tensor, change: Callable[[int, torch.Tensor, torch.Tensor], None]) -> torch.Tensor:
    """New float32 of the shape of an image, slice by slice, so that each stays in cache.

    Parameters
    ----------
    image
        ``(C, D, H, W)``, any real type, on any device.
    change
        ``change(channel, slice, out)`` fills `out`, ``(H, W)``.
    """
    result = empty_float32(image.shape, image.device)
    places = list(np.ndindex(*image.shape[:2]))

    def work(numbers: Iterable[int]) -> None:
        for place in (places[number] for number in numbers):
            change(place[0], image[place], result[place])

    most = 1 if image.requires_grad else None  # what is recorded is recorded in one order
    share_out(len(places), work, image.device, most)
    return result


def _alike(work: Callable[[Given], None]) -> Callable[[Given], None]:
    """The same in a thread of a pool, in the modes of this one: whether gradients are recorded, and inference."""
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()  # each thread has its own

    def work_alike(given: Given) -> None:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            work(given)

    return work_alike


_IDLE_POOLS: defaultdict[int, list[Executor]] = defaultdict(list)
"""By their number of threads, which never end: see `on_threads`."""

os.register_at_fork(after_in_child=_IDLE_POOLS.clear)  # the threads of a parent do not exist in its child


@contextmanager
def _lent_pool(count: int) -> Iterator[Executor]:
    """Threads for one call; there are as many pools as calls have run at once."""
    idle = _IDLE_POOLS[count]
    try:
        pool = idle.pop()
    except IndexError:
        pool = ThreadPoolExecutor(count, initializer=_use_one_thread)
    try:
        yield pool
    finally:
        idle.append(pool)


def _use_one_thread() -> None:
    """For this thread, and for good: torch gives a thread the number of the process when it first asks for it."""
    torch.get_num_threads()
    torch.set_num_threads(1)
