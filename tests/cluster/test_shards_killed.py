"""Eight shards at once where locks do not work, two of them killed in mid-work: in the end they are one run."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import defaultdict
from pathlib import Path

import pytest

from monai_mriprep.verify.audit import verify_output
from tests.nursery import Nursery, Run
from tests.runs import events, left_over, outputs, write_cases
from tests.stress.conftest import count, nursery, until  # noqa: F401  the fixture of this name

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]

SHARDS, CASES, KILLED = 8, 24, 2
TARGET = "target_spacing=[1.7, 0.7, 0.7]"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Scans that take a worker about a tenth of a second each."""
    return write_cases(tmp_path_factory.mktemp("dataset"), CASES, (24, 110, 110), (2.0, 0.8, 0.8))


@pytest.fixture(scope="module")
def single(nursery, dataset, tmp_path_factory) -> Path:  # noqa: F811
    output = tmp_path_factory.mktemp("single") / "out"
    assert nursery.start("run", dataset, output, "-w", 2, "--set", TARGET).wait() == 0
    return output


def shard(nursery: Nursery, dataset: Path, output: Path, number: int, *options: object) -> Run:  # noqa: F811
    wanted = ["-w", 1, "--set", TARGET, "--shard", f"{number}/{SHARDS}", *options]
    return nursery.start("run", dataset, output, *wanted, fault=["no_locks"])


def records_of(output: Path, number: int) -> str:
    return "".join(path.read_text() for path in sorted(output.glob(f"manifest.*.{number}-of-{SHARDS}.jsonl")))


def killed_in_mid_work(output: Path, runs: dict[int, Run], draw: random.Random) -> list[int]:
    """Kill two shards while they have cases to do; each leaves its folder of temporary files."""
    victims = draw.sample(sorted(runs), KILLED)
    for number in victims:
        until(lambda number=number: '"started"' in records_of(output, number))
        time.sleep(draw.uniform(0, 0.1))
        runs[number].kill()
        assert runs[number].wait() == 128 + 9, runs[number].text
        assert records_of(output, number).count('"done"') < CASES // SHARDS, "it had ended before"
        assert any(f"+{number}-of-{SHARDS}" in path.name for path in (output / ".partial").iterdir())
    return victims


def make_foreign(output: Path) -> None:
    """What is left was left by processes of another machine, as it looks from here."""
    for path in (output / ".partial").iterdir():
        path.rename(path.with_name(f"elsewhere_{path.name.split('_', 1)[1]}"))


def assert_as_if_alone(output: Path, single: Path) -> None:
    assert outputs(output) == outputs(single)
    assert left_over(output) == []
    assert [path.name for path in output.glob("manifest*.jsonl")] == ["manifest.jsonl"]
    assert len(list(output.glob("*.html"))) == 1
    listed = json.loads((output / "dataset.json").read_text())
    assert listed == json.loads((single / "dataset.json").read_text())
    assert len(listed["training"]) == CASES
    assert verify_output(output).problems == ()
    assert all(len(files) == 1 for files in files_made(output).values()), "a case was done twice"
    assert len(files_made(output)) == CASES


def files_made(output: Path) -> dict[str, set[int]]:
    """The times of the images that were made of each case: one that was done again would have another."""
    found = defaultdict(set)
    for event in events(output):
        if event["event"] == "done":
            found[event["case"]].add(event["outputs"]["image"]["mtime_ns"])
    return found


@pytest.mark.parametrize("seed", range(count(3, 10)))
@pytest.mark.parametrize("left", ["dead", "foreign"])
def test_killed_shards_are_taken_over_by_new_attempts(nursery, dataset, single, tmp_path, left, seed):  # noqa: F811
    output = tmp_path / "out"
    runs = {number: shard(nursery, dataset, output, number) for number in range(1, SHARDS + 1)}
    victims = killed_in_mid_work(output, runs, random.Random(seed))
    for number in runs.keys() - set(victims):
        assert runs[number].wait() == 0, runs[number].text
    options: tuple[str, ...] = ()
    if left == "foreign":
        make_foreign(output)
        options = ("--take-over",)
        refused = [shard(nursery, dataset, output, victims[0]), nursery.start("merge", output, fault=["no_locks"])]
        for run in refused:
            status, text = run.finish()
            assert status == 2
            assert "elsewhere works on shard" in text
            assert "--take-over" in text
    again = [shard(nursery, dataset, output, number, *options) for number in victims]
    for run in again:
        assert run.wait() == 0, run.text
    status, text = nursery.start("merge", output, fault=["no_locks"]).finish()
    assert (status, "missing" in text) == (0, False), text
    assert_as_if_alone(output, single)


def test_a_whole_run_goes_on_where_shards_have_died(nursery, dataset, single, tmp_path):  # noqa: F811
    output = tmp_path / "out"
    runs = {number: shard(nursery, dataset, output, number) for number in (1, 2, 3)}
    victims = killed_in_mid_work(output, runs, random.Random(0))
    assert [run.wait() for number, run in runs.items() if number not in victims] == [0]
    merged = shutil.copytree(output, tmp_path / "merged")
    status, text = nursery.start("merge", merged, fault=["no_locks"]).finish()
    assert status == 1
    assert f"shards {', '.join(f'{number}-of-8' for number in range(4, 9))}" in text
    for place in (output, merged):
        assert nursery.start("run", dataset, place, "-w", 2, "--set", TARGET, fault=["no_locks"]).wait() == 0
        assert_as_if_alone(place, single)


def test_a_shard_is_started_once_and_nothing_else_beside_it(nursery, dataset, tmp_path):  # noqa: F811
    """Without locks; the one that is there is held at its first case."""
    output, gate = tmp_path / "out", tmp_path / "gate"
    first = nursery.start(
        "run", dataset, output, "-w", 1, "--set", TARGET, "--shard", "1/24", fault=["no_locks", str(gate)]
    )
    until(lambda: list(output.glob("manifest.*.jsonl")))
    for command in (
        ["run", dataset, output, "-w", 1, "--set", TARGET, "--shard", "1/24"],
        ["run", dataset, output, "-w", 1, "--set", TARGET],
        ["merge", output, "--take-over"],
    ):
        status, text = nursery.start(*command, fault=["no_locks"]).finish()
        assert status == 2, text
        assert f"process {first.pid} of" in text
        assert "works on shard 1-of-24; wait for its end" in text
    gate.touch()
    assert first.wait() == 0, first.text
