"""The plan of many cases: its memory grows by little a case, and its time no faster than the cases."""

from __future__ import annotations

import pytest

from benchmarks.plan_scale import make_headers, measured, with_latency

pytestmark = pytest.mark.stress


def test_memory_and_time_grow_with_the_cases_and_no_faster(tmp_path):
    few, many = (measured(make_headers(tmp_path / f"{n}", n), tmp_path / f"{n}-out") for n in (1_000, 6_000))
    assert (few["cases"], many["cases"]) == (1_000, 6_000)
    a_case = (many["peak_mib"] - few["peak_mib"]) * 2**20 / 5_000
    assert 100_000 * a_case / 2**20 + few["peak_mib"] < 300, "MiB for 100,000 cases"
    assert many["cpu_seconds"] < 1.5 * 6 * few["cpu_seconds"]


def test_a_slow_file_system_is_waited_for_by_many_threads(tmp_path):
    found = with_latency(make_headers(tmp_path / "dataset", 1000), 0.002, 1000)
    assert found["as_plan_does"] < found["one_by_one"] / 2
