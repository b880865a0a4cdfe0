"""How many cases run at once, and which not at all."""

from __future__ import annotations

import resource
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Case
from monai_mriprep.run.memory import MAIN_BYTES, WORKER_BYTES, available_memory, how_many_fit, in_batches, too_large
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.preprocess import execute
from monai_mriprep.run.session import open_session
from tests.runs import errors_of, events, write_case, write_cases

MIB = 2**20


def case_of(size: int) -> Case:
    return Case(f"{size}", {}, {}, size)


@given(st.lists(st.integers(0, 4000)), st.integers(1, 16), st.integers(0, 16000))
def test_batches_keep_within_the_memory(sizes, workers, memory):
    cases = [case_of(size * MIB) for size in sorted(sizes, reverse=True)]
    batches = list(in_batches(cases, workers, memory * MIB))
    assert [case for _, batch in batches for case in batch] == cases
    for count, batch in batches:
        assert count <= workers
        largest = batch[0].memory_bytes + WORKER_BYTES
        assert count == 0 or MAIN_BYTES + count * largest <= memory * MIB
        if count == 0:
            assert all(MAIN_BYTES + case.memory_bytes + WORKER_BYTES > memory * MIB for case in batch)


@given(st.lists(st.integers(0, 4000), min_size=1), st.integers(1, 16), st.integers(0, 16000))
def test_a_case_that_might_not_fit_is_attempted_alone(sizes, workers, memory):
    bounds = [replace(case_of(size * MIB), is_upper_bound=True) for size in sorted(sizes, reverse=True)]
    for count, batch in in_batches(bounds, workers, memory * MIB):
        assert count == min(workers, max(1, how_many_fit(batch[0], memory * MIB)))


def test_ulimit_counts():
    before = resource.getrlimit(resource.RLIMIT_AS)
    physical = available_memory()
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, before[1]))
    try:
        assert available_memory() == min(physical, 3 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_case_that_cannot_fit_is_told_with_figures(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    write_case(root, "large", (40, 200, 200), (3.0, 1.0, 1.0))
    plan = plan_run(root, output)
    large = plan.cases[0]
    memory = MAIN_BYTES + WORKER_BYTES + large.memory_bytes
    assert how_many_fit(large, memory) == 1
    with open_session(plan) as session:
        summary = execute(session, 0, max_memory=memory - 1)
    assert len(summary.done) == 2
    message = errors_of(output)["large"]
    assert message == too_large(large, memory - 1)
    assert f"needs about {large.memory_bytes / MIB:.0f} MiB" in message
    assert "--max-memory" in message


@pytest.mark.parametrize("workers", [0, 1])
def test_a_case_that_might_not_fit_is_done_with_a_warning(tmp_path, workers):
    """A crop may leave much less than the whole scan, which is all that is known before."""
    root, output = write_cases(tmp_path / "dataset", 1), tmp_path / "out"
    write_case(root, "large", (40, 60, 60), (3.0, 1.0, 1.0))
    plan = plan_run(root, output, Recipe(crop="nonzero"))
    large, small = plan.cases
    memory = MAIN_BYTES + WORKER_BYTES + large.memory_bytes - 1
    assert (how_many_fit(large, memory), how_many_fit(small, memory) > 0) == (0, True)
    with open_session(plan) as session:
        summary = execute(session, workers, max_memory=memory)
    assert [result.case for result in summary.done] == ["large", "case_0"]
    warnings = {event["case"]: event["warnings"] for event in events(output) if event["event"] == "done"}
    assert warnings["large"][0] == f"large: {too_large(large, memory)}"
    assert not any("might not fit" in warning for warning in warnings["case_0"])
    assert f"might not fit: the case needs at most {large.memory_bytes / MIB:.0f} MiB" in warnings["large"][0]


@pytest.mark.parametrize("shape", [(20, 60, 60), (60, 128, 128)])
def test_the_estimate_is_above_the_arrays(tmp_path, shape):
    """Input and output as float32, at the very least."""
    write_case(tmp_path / "dataset", "a", shape, (3.0, 1.0, 1.0))
    (case,) = plan_run(tmp_path / "dataset", tmp_path / "out").cases
    assert case.memory_bytes > 8 * shape[0] * shape[1] * shape[2]
