"""How many cases run at once, and which not at all."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.recipe import Recipe
from monai_mriprep.run import memory
from monai_mriprep.run.cases import Case
from monai_mriprep.run.engines import ThisMachine
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
    batches = list(in_batches(cases, ThisMachine(workers, memory * MIB).at_once))
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
    for count, batch in in_batches(bounds, ThisMachine(workers, memory * MIB).at_once):
        assert count == min(workers, max(1, how_many_fit(batch[0], memory * MIB)))


@pytest.fixture
def system(tmp_path, monkeypatch) -> Callable[..., None]:
    """Write what Linux tells: 8 GiB of which 5 are free, this process has 300 MiB of 2 GiB of addresses."""

    def write(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    status = f"Name:\tpython\nVmSize:\t {2 << 20} kB\nRssAnon:\t  {300 << 10} kB\nThreads:\t1\n"
    write(**{"proc/self/status": status, "proc/self/cgroup": "0::/\n"})
    write(**{"proc/meminfo": f"MemTotal:  {8 << 20} kB\nMemAvailable:   {5 << 20} kB\nHugePages_Total:       0\n"})
    return write


def test_what_is_free_counts_and_what_this_process_has(system):
    assert available_memory() == (5 << 30) + 300 * MIB


def test_a_system_that_does_not_say_what_is_free_has_all_of_it(system):
    system(**{"proc/meminfo": "MemTotal:  1 kB\n"})
    assert available_memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") + 300 * MIB


def test_a_process_of_this_system_has_less_than_all_of_it():
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < available_memory() < total


CGROUPS = {
    "version 2, a container": {"": "0::/", "memory.max": "3000", "memory.current": "1200", "memory.stat": "file 1\n"},
    "version 2, above": {
        "": "0::/a/b",
        "a/b/memory.max": "max",
        "a/b/memory.current": "900",
        "a/memory.max": "3000",
        "a/memory.current": "2200",
        "a/memory.stat": "anon 1200\ninactive_file 1000\nactive_file 5\n",
    },
    "version 1": {
        "": "5:cpu,memory:/a\n0::/",
        "memory/a/memory.limit_in_bytes": "3000",
        "memory/a/memory.usage_in_bytes": "2200",
        "memory/a/memory.stat": "inactive_file 3\ntotal_inactive_file 1000\n",
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "memory/memory.usage_in_bytes": "7",
    },
}


@pytest.mark.parametrize("files", CGROUPS.values(), ids=CGROUPS)
def test_a_cgroup_leaves_its_limit_less_what_is_taken_but_for_files_that_nobody_uses(system, files):
    system(**{f"cgroup/{name}" if name else "proc/self/cgroup": text for name, text in files.items()})
    assert available_memory() == 1800 + 300 * MIB


def test_a_cgroup_that_is_full_leaves_what_this_process_has(system):
    system(**{"cgroup/memory.max": "3000", "cgroup/memory.current": "3001"})
    assert available_memory() == 300 * MIB


def test_ulimit_leaves_addresses_that_are_not_taken(system):
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (64 << 30, before[1]))
    try:
        assert available_memory() == (5 << 30) + 300 * MIB
        system(**{"proc/self/status": f"VmSize:\t {(64 << 20) - 1000} kB\nRssAnon:\t 5 kB\n"})
        assert available_memory() == 1005 * 1024
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_case_that_cannot_fit_is_told_with_figures(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    write_case(root, "large", (40, 200, 200), (3.0, 1.0, 1.0))
    plan = plan_run(root, output)
    large = plan.cases[0]
    limit = MAIN_BYTES + WORKER_BYTES + large.memory_bytes
    assert how_many_fit(large, limit) == 1
    with open_session(plan) as session:
        summary = execute(session, ThisMachine.limited(0, limit - 1))
    assert len(summary.done) == 2
    message = errors_of(output)["large"]
    assert message == too_large(large, limit - 1)
    assert f"needs about {large.memory_bytes / MIB:.0f} MiB" in message
    assert "--max-memory" in message


@pytest.mark.parametrize("workers", [0, 1])
def test_a_case_that_might_not_fit_is_done_with_a_warning(tmp_path, workers):
    """A crop may leave much less than the whole scan, which is all that is known before."""
    root, output = write_cases(tmp_path / "dataset", 1), tmp_path / "out"
    write_case(root, "large", (40, 60, 60), (3.0, 1.0, 1.0))
    plan = plan_run(root, output, Recipe(crop="nonzero"))
    large, small = plan.cases
    limit = MAIN_BYTES + WORKER_BYTES + large.memory_bytes - 1
    assert (how_many_fit(large, limit), how_many_fit(small, limit) > 0) == (0, True)
    with open_session(plan) as session:
        summary = execute(session, ThisMachine.limited(workers, limit))
    assert [result.case for result in summary.done] == ["large", "case_0"]
    warnings = {event["case"]: event["warnings"] for event in events(output) if event["event"] == "done"}
    assert warnings["large"][0] == f"large: {too_large(large, limit)}"
    assert not any("might not fit" in warning for warning in warnings["case_0"])
    assert f"might not fit: the case needs at most {large.memory_bytes / MIB:.0f} MiB" in warnings["large"][0]


@pytest.mark.parametrize("shape", [(20, 60, 60), (60, 128, 128)])
def test_the_estimate_is_above_the_arrays(tmp_path, shape):
    """Input and output as float32, at the very least."""
    write_case(tmp_path / "dataset", "a", shape, (3.0, 1.0, 1.0))
    (case,) = plan_run(tmp_path / "dataset", tmp_path / "out").cases
    assert case.memory_bytes > 8 * shape[0] * shape[1] * shape[2]
