"""An engine whose cases have their files at hand."""

from __future__ import annotations

from monai_mriprep.remote.engine import WithFiles
from monai_mriprep.run.cases import Case, Result
from monai_mriprep.run.mappers import serial

CASES = [Case(f"case_{number}", {}, {}) for number in range(3)]


class Ahead:
    """Marks each case that is asked for."""

    asked: list[str] = []

    def at_hand(self, cases):
        for case in cases:
            self.asked.append(case.name)
            yield case


class ThisProcess:
    """An engine."""

    def at_once(self, case):
        return 7

    def too_large(self, case):
        return f"{case.name} is too large"

    def mapper(self, at_once, total):
        return serial

    def alone(self, work, case):
        return work(case)


def work(case: Case) -> Result:
    return Result(case.name, "done")


def test_each_case_is_asked_for_when_the_mapper_has_room_for_it():
    ahead = Ahead()
    engine = WithFiles(ThisProcess(), ahead)
    outcomes = engine.mapper(1, 3)(work, CASES)
    assert ahead.asked == []
    assert next(outcomes) == Result("case_0", "done")
    assert ahead.asked == ["case_0"]
    assert [result.case for result in outcomes] == ["case_1", "case_2"]
    assert engine.alone(work, CASES[0]) == Result("case_0", "done")
    assert ahead.asked == ["case_0", "case_1", "case_2", "case_0"]
    assert (engine.at_once(CASES[0]), engine.too_large(CASES[0])) == (7, "case_0 is too large")
