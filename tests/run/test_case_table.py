"""``manifest.csv``, as pandas reads it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from monai_mriprep.run.case_table import COLUMNS, table_of
from monai_mriprep.run.cases import Result
from monai_mriprep.run.derived import write_derived
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.session import open_session
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.records import Failed, Started
from monai_mriprep.store.store import open_store
from tests.runs import append_record, done_line, record_of

DONE = record_of(done_line("case_10", warnings=["one, with a comma", 'two, with a "quote"']))


def table(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "manifest.csv", index_col="case")


def test_a_row_for_each_case(tmp_path):
    failed = Failed(case="case_9", error="two\nlines", time=1.0)
    started = Started(case="case_11", pid=5, time=2.0)
    (tmp_path / "manifest.csv").write_text("".join(table_of([failed, DONE, started])))

    rows = table(tmp_path)
    assert list(rows.index) == ["case_9", "case_10", "case_11"]
    assert list(rows["status"]) == ["failed", "done", "interrupted"]
    assert rows.loc["case_9", "error"] == "two\nlines"
    done = rows.loc["case_10"]
    assert [done[f"target_size_{axis}"] for axis in "zyx"] == [5, 4, 5]
    assert [done[f"source_spacing_{axis}"] for axis in "zyx"] == [2, 1, 1]
    assert done["warnings"] == 'one, with a comma; two, with a "quote"'
    assert done["labels_after"] == "0:90 2:10"
    assert (done["image"], done["label_bytes"], done["seconds"]) == ("imagesTr/case_10.npz", 9, 0.75)
    assert done["time"] == "2023-11-14T22:13:20+00:00"


def test_names_that_are_not_text_are_escaped(tmp_path):
    name = b"caf\xe9".decode(errors="surrogateescape")
    (tmp_path / "out").mkdir()
    append_record(tmp_path / "out", done_line(name))
    with open_store(tmp_path / "out") as store:
        store.root.make_folder(".partial")
        write_derived(store, read_index(store.root), [], "f")
    assert list(table(tmp_path / "out").index) == [r"caf\udce9"]


@pytest.mark.parametrize("name", ["=1+2", "+a", "-a", "@SUM(1)", "\tx", "'a", "''"])
def test_text_that_a_spreadsheet_would_calculate_is_marked(tmp_path, name):
    failed = Failed(case=name, error="=cmd|'/c calc'!A1", time=1.0)
    with io.StringIO("".join(table_of([failed])), newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["case"], row["error"]) == (f"'{name}", "'=cmd|'/c calc'!A1")
    assert row["case"].removeprefix("'") == name
    assert row["status"] == "failed"


def test_a_carriage_return_does_not_end_a_row():
    with io.StringIO("".join(table_of([Failed(case="\r=1", error="a\rb", time=1.0)])), newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["case"], row["error"]) == (r"\r=1", r"a\rb")


def test_numbers_are_never_marked():
    line = done_line("a", foreground={"mean": -1.5, "std": 0.5, "voxels": 100})
    line["labels"]["before"] = {"-3": 60}
    with io.StringIO("".join(table_of([record_of(line)])), newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["foreground_mean"] == "-1.5"
    assert row["labels_before"] == "'-3:60"


@pytest.mark.parametrize("ending", [None, KeyboardInterrupt, RuntimeError])
def test_a_session_writes_the_table_however_it_ends(synthetic, tmp_path, ending):
    def work() -> None:
        with open_session(plan_run(synthetic, tmp_path / "out")) as session:
            session.record(Result(session.todo[0].name, "failed", "why"))
            session.announce(session.todo[1].name)
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
