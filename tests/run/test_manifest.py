"""The records of a run, for machines and for people."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from monai_mriprep.run.case_table import COLUMNS, write_table
from monai_mriprep.run.cases import Result
from monai_mriprep.run.manifest import Manifest
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.session import open_session

GRID = {"shape": [4, 8, 9], "spacing": [3.0000000001, 1.0, 0.5]}
DONE = {
    "event": "done",
    "case": "case_10",
    "error": None,
    "warnings": ["one, with a comma", 'two, with a "quote"'],
    "sources": {"image": {"path": "/data/a.mha"}, "label": {"path": "/data/b.mha"}},
    "outputs": {"image": {"path": "imagesTr/a.npz", "size": 9}, "label": {"path": "labelsTr/b.npz", "size": 7}},
    "source_grid": GRID,
    "target_grid": {**GRID, "shape": [7, 8, 9]},
    "foreground": {"mean": 1.5, "std": 0.5, "voxels": 100},
    "labels": {"before": {"0": 280, "2": 8}, "after": {"0": 500, "2": 4}},
    "seconds": {"load": 0.25, "write": 0.5},
    "peak_mib": 400.5,
    "time": 1700000000.0,
}


def table(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "manifest.csv", index_col="case")


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    return Manifest(tmp_path / "manifest.jsonl")


def test_a_torn_line_is_passed_over_and_closed(manifest):
    manifest.append({"event": "done", "case": "a"})
    with manifest.path.open("a") as file:
        file.write('{"event": "done", "case": "b", "sour')
    manifest.append({"event": "failed", "case": "c"})
    assert {name: event["event"] for name, event in manifest.latest().items()} == {"a": "done", "c": "failed"}


def test_a_row_for_each_case(tmp_path):
    failed = {"event": "failed", "case": "case_9", "error": "two\nlines", "warnings": [], "time": 1.0}
    started = {"event": "started", "case": "case_11", "pid": 5, "time": 2.0}
    records = {record["case"]: record for record in (DONE, started, failed)}
    write_table(tmp_path / "manifest.csv", tmp_path, records)

    rows = table(tmp_path)
    assert list(rows.index) == ["case_9", "case_10", "case_11"]
    assert list(rows["status"]) == ["failed", "done", "interrupted"]
    assert rows.loc["case_9", "error"] == "two\nlines"
    done = rows.loc["case_10"]
    assert [done[f"target_size_{axis}"] for axis in "zyx"] == [7, 8, 9]
    assert [done[f"source_spacing_{axis}"] for axis in "zyx"] == [3, 1, 0.5]
    assert done["warnings"] == 'one, with a comma; two, with a "quote"'
    assert done["labels_after"] == "0:500 2:4"
    assert (done["image"], done["label_bytes"], done["seconds"]) == ("imagesTr/a.npz", 7, 0.75)
    assert done["time"] == "2023-11-14T22:13:20+00:00"
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.csv"]


def test_names_that_are_not_text_are_escaped(tmp_path):
    name = b"caf\xe9".decode(errors="surrogateescape")
    write_table(tmp_path / "manifest.csv", tmp_path, {name: {**DONE, "case": name}})
    assert list(table(tmp_path).index) == [r"caf\udce9"]


def test_a_table_that_cannot_be_written_leaves_no_old_one(tmp_path):
    (tmp_path / "manifest.csv").write_text("old")
    write_table(tmp_path / "manifest.csv", tmp_path / "missing", {})
    assert not (tmp_path / "manifest.csv").exists()


@pytest.mark.parametrize("ending", [None, KeyboardInterrupt, RuntimeError])
def test_a_session_writes_the_table_however_it_ends(synthetic, tmp_path, ending):
    def work() -> None:
        with open_session(plan_run(synthetic, tmp_path / "out")) as session:
            session.record(Result(session.todo[0].name, "failed", "why"))
            session.manifest.append({"event": "started", "case": session.todo[1].name})
            if ending:
                raise ending

    if ending:
        with pytest.raises(ending):
            work()
    else:
        work()
    rows = table(tmp_path / "out")
    assert tuple(rows.reset_index().columns) == COLUMNS
    assert sorted(rows["status"]) == ["failed", "interrupted"]
