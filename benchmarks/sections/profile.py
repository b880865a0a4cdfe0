"""Where the time of a case goes, and the floor under each stage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from benchmarks.measure import Bench, BenchmarkError, median, progress, start_child, timed_run
from benchmarks.table import Row

FLOORS = {
    "load": "inflate with isal",
    "resampling": "copy of the output",
    "write": "deflate with isal",
    "hash": "sha256 of the sources",
}
"""The bare operation that a stage, as the manifest names it, cannot do without."""


def measure(bench: Bench) -> list[Row]:
    """A row for each stage of a run with one worker, the dearest first, then the floors of their own."""
    dataset = bench.dataset(2 if bench.quick else 6)
    output = bench.work / "profile"
    rounds = []
    for _ in range(bench.repeats):
        progress("profile: one worker")
        shutil.rmtree(output, ignore_errors=True)
        argv = [*bench.command, "run", str(dataset), str(output), "--workers", "1"]
        timed_run(argv, bench.logs / "profile.log")
        rounds.append(_stages(output))
    stages = {name: median([stages.get(name, 0.0) for stages in rounds]) for name in rounds[0]}
    floors = _floors(bench, dataset, output)
    return _stage_rows(stages, floors) + _floor_rows(floors)


def _stages(output: Path) -> dict[str, float]:
    """Mean seconds of each stage over the cases, from the manifest."""
    events = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
    cases = [event["seconds"] for event in events if event.get("event") == "done"]
    if not cases:
        msg = "the profiled run has finished no case"
        raise BenchmarkError(msg)
    return {name: mean(case.get(name, 0.0) for case in cases) for name in cases[0]}


def _floors(bench: Bench, dataset: Path, output: Path) -> dict[str, float]:
    """Mean over the cases of the median over the rounds."""
    cases = []
    with start_child(bench, bench.ours, "benchmarks.ours.files") as child:
        for image in sorted((dataset / "ImagesTr").iterdir()):
            label = dataset / "LabelsTr" / image.name.replace("_0000", "")
            results = output / "imagesTr" / f"{image.stem}.npz", output / "labelsTr" / f"{label.stem}.npz"
            paths = [str(path) for path in (image, label, *results, bench.work / "floors")]
            cases.append(_medians([child.ask("floors", *paths) for _ in range(bench.repeats)]))
    return {name: mean(case[name] for case in cases) for name in cases[0]}


def _medians(answers: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: median([answer[name] for answer in answers]) for name in answers[0]}


def _stage_rows(stages: dict[str, float], floors: dict[str, float]) -> list[Row]:
    total = sum(stages.values())
    rows = [Row("profile", "one case, all stages", 1e3 * total, "ms")]
    for name, seconds in sorted(stages.items(), key=lambda item: -item[1]):
        what = f"{name} ({seconds / total:.0%})" if total else name
        floor = FLOORS.get(name)
        if floor is None:
            rows.append(Row("profile", what, 1e3 * seconds, "ms"))
        else:
            rows.append(Row.share("profile", what, 1e3 * seconds, "ms", f"{floor} (floor)", 1e3 * floors[floor]))
    return rows


def _floor_rows(floors: dict[str, float]) -> list[Row]:
    return [Row("profile", f"floor: {name}", 1e3 * seconds, "ms") for name, seconds in floors.items()]
