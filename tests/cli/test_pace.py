"""How long a run may still take."""

from __future__ import annotations

import pytest

from monai_mriprep.cli.pace import Pace, clock_time, shown_rate


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def estimates(work: dict[str, float], workers: int = 1, start: float = 5.0) -> list[tuple[float, float]]:
    """Of a run in which a unit of work takes a second: after each case, what was estimated and what was true."""
    clock = Clock()
    pace, free, ends = Pace(work, workers, clock), [clock.now + start] * workers, []
    for name, seconds in work.items():
        free.sort()
        free[0] += seconds
        ends.append((free[0], name, seconds))
    found = []
    for clock.now, name, seconds in sorted(ends):
        pace.end(name, seconds, len(work))
        found.append((pace.left(), max(free) - clock.now))
    return found


def test_with_one_worker_the_estimate_is_right_from_the_first_case_on():
    work = {str(number): float(50 - number) for number in range(40)}
    assert [found for found, _ in estimates(work)] == pytest.approx([true for _, true in estimates(work)])


@pytest.mark.parametrize("workers", [2, 8, 16])
def test_with_many_workers_it_is_of_use_at_the_first_case_and_close_at_a_tenth(workers):
    work = {str(number): 20.0 - number / 20 for number in range(300)}
    found = estimates(work, workers)
    assert 0.9 < found[0][0] / found[0][1] < 2.1
    assert all(0.75 < estimate / true < 1.25 for estimate, true in found[30:250])


def test_a_case_that_fails_at_once_says_nothing_of_the_others():
    clock = Clock()
    pace = Pace({"a": 5.0, "b": 1.0, "c": 1.0}, 1, clock)
    pace.end("a", 0.0, 3, failed=True)
    assert (pace.left(), pace.rate(), pace.failed) == (None, 0.0, 1)
    clock.now += 2
    pace.end("b", 2.0, 3)
    assert (pace.left(), pace.rate()) == (2.0, 1.0)


def test_the_time_left_runs_down_and_is_never_under_zero():
    clock = Clock()
    pace = Pace({}, 1, clock)  # all are alike
    assert pace.left() is None
    pace.end("a", 10.0, 4)
    assert pace.left() == 30.0
    clock.now += 12
    assert pace.left() == 18.0
    clock.now += 40
    assert (pace.left(), pace.rate()) == (0.0, 0.1)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0:00"), (59.6, "1:00"), (125, "2:05"), (3599.7, "1:00:00"), (11220, "3:07:00")]
)
def test_a_time_is_shown_as_on_a_clock(seconds, words):
    assert clock_time(seconds) == words


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (123.4, "123 cases/s"),
        (5.67, "5.7 cases/s"),
        (0.5, "30 cases/min"),
        (0.02, "1.2 cases/min"),
        (0.001, "3.6 cases/h"),
    ],
)
def test_a_rate_has_the_unit_that_gives_a_number_over_one(rate, words):
    assert shown_rate(rate) == words
