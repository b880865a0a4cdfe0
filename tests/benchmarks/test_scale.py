"""What the simulation of many scans comes to, against what can be computed without one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import scale
from benchmarks.scale import Assumptions, outlook
from benchmarks.scale_costs import Costs, Measured

COSTS = Costs(
    case_seconds=0.5,
    case_spread=0.0,
    read_bytes=4e6,
    written_bytes=6e6,
    record_seconds=0.001,
    record_bytes=4000,
    sync_seconds=0.016,
    start_seconds=5.0,
    plan_seconds=0.0005,
    index_seconds=0.0001,
    table_seconds=0.0004,
    report_seconds=0.001,
    plan_bytes=2000,
    index_bytes=400,
    table_bytes=700,
    report_bytes=6000,
)
GIVEN = Assumptions()
ALONE = 0.002
"""Seconds of one process for a case, before and after the work."""


@pytest.mark.parametrize("engine", scale.ENGINES)
def test_one_worker_takes_what_its_cases_take(engine):
    found = outlook(engine, COSTS, GIVEN, 1, 100_000)
    assert found.hours == pytest.approx(100_000 * (0.5 + ALONE) / 3600, rel=0.06)
    assert found.held_up_by == "workers"


def test_work_is_shared_until_something_is_used_up():
    """10 MB a case and 2 GB a second are 200 cases a second: 100 workers at 0.5 s a case."""
    few, many = (outlook("array job", COSTS, GIVEN, workers, 10**6) for workers in (50, 400))
    assert (few.held_up_by, many.held_up_by) == ("workers", "shared storage")
    assert (few.rate, many.rate) == (pytest.approx(100, rel=0.06), pytest.approx(200, rel=0.01))
    assert many.worker_hours == pytest.approx((10**6 * (400 / 200 + ALONE) + 400 * 5) / 3600, rel=0.02)
    assert many.dollars == pytest.approx(many.worker_hours * GIVEN.core_hour)


def test_what_is_used_up_first_is_what_can_serve_the_fewest_workers():
    quick = replace(GIVEN, shared_bytes=1e12)
    knees = dict(scale.knees(COSTS, quick))
    assert knees["Dask's scheduler, a task a case"] == 500
    writer = knees["one record writer, 64 records a sync"]
    assert writer == pytest.approx(0.5 / (0.001 + 0.016 / 64))
    found = outlook("Dask", replace(COSTS, report_seconds=0, table_seconds=0), quick, 1000, 10**7)
    assert found.held_up_by == "record writer"
    assert found.rate == pytest.approx(writer / 0.5, rel=0.02)


def test_an_object_store_is_limited_by_requests_and_paid_by_them():
    found = outlook("array job, object store", COSTS, GIVEN, 1000, 10**6)
    assert found.held_up_by == "plan and merge"
    assert found.rate == pytest.approx(3500 / (3 + 1 / 64), rel=0.01)
    assert found.dollars == pytest.approx(found.worker_hours * 0.05 + 1000 * (3 * 0.005 + 2 * 0.0004))


def test_one_process_for_all_cases_is_what_many_workers_wait_for():
    assert outlook("array job", COSTS, replace(GIVEN, shared_bytes=1e12), 1000, 10**8).held_up_by == "plan and merge"


def test_records_of_few_cases_are_synced_each_second():
    assert scale.record_seconds(COSTS, 2) == pytest.approx(0.001 + 0.016 / 2)
    assert scale.record_seconds(COSTS, 1000) == pytest.approx(0.001 + 0.016 / 64)


def test_limits_follow_from_the_costs_of_one_case():
    limits = {what: scans for what, scans, _ in scale.limits(COSTS, GIVEN)}
    assert limits["the report needs more memory than there is"] == 64 * 2**30 / 6000
    assert limits["`plan` takes a day in one process"] == 24 * 3600 / 0.0005
    assert min(limits.values()) == GIVEN.folder_entries


def test_a_prediction_stands_beside_its_measurement():
    measured = Measured(COSTS, (0.5,) * 8, {1: 29.0, 2: 17.5}, {})
    predicted = {workers: seconds for workers, seconds, _ in scale.validation(measured)}
    assert predicted == {1: pytest.approx(5 + 48 * 0.5 + 48 * 0.009, abs=0.5), 2: pytest.approx(5 + 24 * 0.5, abs=0.5)}


def test_the_measured_costs_fill_every_table(monkeypatch):
    monkeypatch.setattr(scale, "SIMULATED", 500)
    text = scale.page(scale.read_costs(), GIVEN)
    assert text.count("\n| ---") == 5
    assert "nan" not in text
    assert "| 100,000,000 | 1,000 |" in text
