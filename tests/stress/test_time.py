"""Cases that kill or stop their workers, again and again: exactly they fail, and the rest gets done in time."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from monai_mriprep.verify.audit import verify_output
from tests.runs import counts, errors_of, events_of, outputs, write_cases
from tests.stress.conftest import count

pytestmark = [pytest.mark.stress, pytest.mark.timeout(1200)]

CASES = 40
ROUNDS = count(3, 20)
TIMEOUT = count(5, 20)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_cases(tmp_path_factory.mktemp("dataset"), CASES)


def assert_only_it_failed(output: Path, text: str, name: str) -> None:
    assert counts(text) == {"done": CASES - 1, "failed": 1}
    assert set(errors_of(output)) == {name}
    assert events_of(output, "started").count(name) == 2
    assert len(outputs(output)) == 2 * (CASES - 1)
    assert sorted(events_of(output, "done")) == sorted({f"case_{i}" for i in range(CASES)} - {name}), "each once"


def test_one_case_of_forty_that_kills_its_worker(nursery, tmp_path, dataset):
    draw = random.Random(20261)
    for number in range(ROUNDS):
        output, name = tmp_path / f"out_{number}", f"case_{draw.randrange(CASES)}"
        how = draw.choice([signal.SIGKILL, signal.SIGSEGV])
        options = ("-w", draw.choice([1, 2, 3]))
        status, text = nursery.start("run", dataset, output, *options, fault=["die", name, how]).finish()
        assert status == 1, text
        assert_only_it_failed(output, text, name)
        assert how.name in errors_of(output)[name]
        again, text = nursery.start("run", dataset, output, *options).finish()
        assert again == 0, text
        assert verify_output(output).findings == ()
    print(f"\n{ROUNDS} runs of {CASES} cases, one of which kills its worker")  # noqa: T201


@pytest.mark.parametrize("workers", [2, 0])
def test_a_worker_that_is_stopped_under_a_limit(nursery, tmp_path, dataset, workers):
    output, start = tmp_path / "out", time.monotonic()
    options = ("-w", workers, "--case-timeout", TIMEOUT)
    run = nursery.start("run", dataset, output, *options, fault=["die", "case_7", signal.SIGSTOP])
    status, text = run.finish()
    assert status == 1, text
    assert_only_it_failed(output, text, "case_7")
    assert f"warning: case_7: its worker had no result after {TIMEOUT} s, the limit of --case-timeout" in text
    assert "tried twice, the second time alone" in errors_of(output)["case_7"]
    assert run.processes == set()
    print(f"\nover in {time.monotonic() - start:.1f} s with a limit of {TIMEOUT} s")  # noqa: T201
