"""Threads that share products, and forks beside them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling
from monai_mriprep.volume.threads import _IDLE_POOLS, Threads, map_slices, on_threads


def volume_on(shape: tuple[int, int, int]) -> tuple[torch.Tensor, Grid]:
    values = np.random.default_rng(0).normal(100, 30, (1, *shape)).astype(np.float32)
    return torch.from_numpy(values), Grid(shape, np.eye(4))


def test_threads_outlive_a_call(threads):
    """A thread that ends holds a lock of MKL for a moment, which a child that is forked then would wait for."""
    threads(2)
    volume, source = volume_on((20, 60, 60))
    plan = plan_resampling(source, target_grid(source, (0.7, 0.6, 0.8)))
    expected = apply_plan(volume, plan)
    before = {thread.native_id for thread in threading.enumerate()}
    for _ in range(10):
        apply_plan(volume, plan)
        child = os.fork()
        if not child:
            torch.set_num_threads(1)  # as in a DataLoader's worker
            os._exit(0 if not _IDLE_POOLS and torch.equal(apply_plan(volume, plan), expected) else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert {thread.native_id for thread in threading.enumerate()} == before


@pytest.mark.parametrize("count", [1, 2])
def test_a_thread_that_may_end_multiplies_nothing_itself(count, threads, monkeypatch):
    """Else a DataLoader that forks after a thread has filled a cache could wait for ever, as in the test above."""
    threads(count)
    volume, source = volume_on((20, 60, 60))
    plan = plan_resampling(source, target_grid(source, (0.7, 0.6, 0.8)))
    expected, multiplying, product = apply_plan(volume, plan), set(), torch.mm

    def watched(*args, **kwargs):
        multiplying.add(threading.current_thread())
        return product(*args, **kwargs)

    monkeypatch.setattr(torch, "mm", watched)
    for _ in range(3):
        with ThreadPoolExecutor(2) as ending:
            results = list(ending.map(lambda _: apply_plan(volume, plan), range(4)))
        assert all(torch.equal(result, expected) for result in results)
    assert multiplying
    assert all(thread.is_alive() for thread in multiplying)
    assert len(multiplying) <= 2 * count, "the threads of one call serve the next"


def test_a_lent_thread_uses_one_thread_whatever_it_computes(threads):
    """Torch sets the number of a thread once more, to that of the process, where an operation is first shared."""
    threads(3)
    all_at_once, counts = threading.Barrier(3), []

    def start(indices: Iterable[int]) -> None:
        all_at_once.wait(10)

    def work(indices: Iterable[int]) -> None:
        torch.ones(1 << 20).add_(1)  # would be shared
        counts.append(torch.get_num_threads())

    for task in (start, work):
        on_threads(torch.device("cpu"), lambda lent, task=task: lent.share(3, task))
    assert counts == [1] * 3


def test_after_an_error_no_thread_takes_more_and_the_next_call_works(threads):
    """A stopped call, such as by Ctrl-C, would go on in the threads, to its end, and the next would wait for that."""
    threads(3)
    all_at_once, taken, done = threading.Barrier(3), [], []

    def work(numbers: Iterable[int]) -> None:
        for number in numbers:
            taken.append(number)
            if number < 3:
                all_at_once.wait(10)
            if number == failing:
                raise ValueError(number)
            time.sleep(0.001)
            done.append(number)

    for failing in range(3):  # also where Python looks at another thread's result first
        taken.clear()
        done.clear()
        with pytest.raises(ValueError, match=str(failing)):
            on_threads(torch.device("cpu"), lambda lent: lent.share(1000, work))
        assert len(done) + 1 == len(taken) < 500
        on_threads(torch.device("cpu"), lambda lent: lent.share(3, list))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_threads_have_the_modes_of_their_caller(mode, threads):
    threads(3)
    found = []

    def work(numbers: Iterable[int]) -> None:
        found.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))

    with mode():
        on_threads(torch.device("cpu"), lambda lent: lent.share(3, work))
        expected = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    assert found == [expected] * 3


def test_what_is_recorded_is_recorded_in_the_order_of_the_slices(threads):
    threads(3)
    image, order = torch.ones(2, 5, 3, 4, requires_grad=True), []

    def change(channel: int, values: torch.Tensor, out: torch.Tensor) -> None:
        time.sleep(0.001 if len(order) % 3 == 0 else 0)  # another thread would come first
        order.append((threading.current_thread(), values.storage_offset()))
        out.copy_(values * 2)

    (gradient,) = torch.autograd.grad(map_slices(image, change).sum(), image)
    assert torch.equal(gradient, torch.full_like(image, 2))
    assert order == [(order[0][0], 12 * number) for number in range(10)]


@pytest.mark.parametrize(("most", "expected"), [(None, 3), (2, 2), (1, 1), (8, 3)])
def test_no_more_threads_are_lent_than_are_wanted(most, expected, threads):
    threads(3)
    counts = []

    def work(lent: Threads) -> None:
        assert lent.count == expected
        lent.share(7, lambda indices: counts.append(sum(1 for _ in indices)))

    on_threads(torch.device("cpu"), work, most)
    assert len(counts) == expected
    assert sum(counts) == 7
    assert torch.get_num_threads() == 3
