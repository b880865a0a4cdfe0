"""A function carried out on many items by threads, few of which are under way at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

__all__ = ["WINDOW", "mapped_in_window"]

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

WINDOW = 8
"""Items under way, or finished and not yet taken, for each thread: one that takes long does not stop the others."""


def mapped_in_window(
    function: Callable[[Item], Outcome],
    items: Iterable[Item],
    threads: int,
    window: int | None = None,
    ended: Event | None = None,
) -> Iterator[Outcome]:
    """Carry a function out on each item, and yield what becomes of them in the order of the items.

    Where `concurrent.futures.Executor.map` takes all items at once, and keeps all outcomes until they are taken, this
    takes an item when there is room for it. So memory does not grow with their number.

    Parameters
    ----------
    function
        Called by several threads at once; by the caller's own where there is one thread. Its error is raised where its
        outcome would have been.
    items
        Taken by the caller's thread, never more than `window` ahead of what was yielded.
    threads
        At least 1; fewer are taken for 1.
    window
        Items that are out at once; by default `WINDOW` for each thread.
    ended
        Set as soon as nobody takes outcomes any more: a function that takes long may look at it, and give up.

    Notes
    -----
    Whoever stops early closes the iterator: items that wait are dropped then, and those under way are waited for.
    """
    if threads <= 1:
        yield from map(function, items)
        return
    room = max(threads, window or WINDOW * threads)
    out: deque[Future[Outcome]] = deque()
    with ThreadPoolExecutor(threads) as executor:
        try:
            for item in items:
                out.append(executor.submit(function, item))
                if len(out) == room:
                    yield out.popleft().result()
            while out:
                yield out.popleft().result()
        finally:
            if ended is not None:
                ended.set()
            for future in out:
                future.cancel()
