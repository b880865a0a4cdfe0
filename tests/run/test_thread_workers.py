"""Threads as a mapper."""

from itertools import count, islice
from typing import NamedTuple

import pytest

from monai_mriprep.run.cases import Result
from monai_mriprep.run.thread_workers import thread_workers


class Item(NamedTuple):
    name: str


def done(item: Item) -> Result:
    return Result(item.name, "done")


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_each_item_has_its_outcome(threads):
    items = [Item(f"case {number}") for number in range(40)]
    assert list(thread_workers(threads)(done, items)) == [done(item) for item in items]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_million_items_are_never_taken_at_once(threads):
    outcomes = thread_workers(threads)(done, (Item(str(number)) for number in count()))
    assert [outcome.case for outcome in islice(outcomes, 3)] == ["0", "1", "2"]
