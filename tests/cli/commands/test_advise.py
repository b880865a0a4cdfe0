"""`advise`: what it prints, writes and ends with."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from monai_mriprep.cli.commands.advise import advise
from monai_mriprep.cli.signals import Stopped
from monai_mriprep.errors import OutputError, RecipeError
from monai_mriprep.report.html.folder import page_of_folder
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.store import open_store
from tests.advice.datasets import write_blobs


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_blobs(tmp_path / "dataset")


def test_a_table_with_the_default_and_what_was_compared(dataset, capsys):
    assert advise(dataset, spacings=5) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].split("  ")[0] == "spacing mm"
    assert "  Dice    Dice 1  Dice 2  lost  " in lines[0]
    assert sum("default" in line for line in lines[1:6]) == 1
    assert lines[-1].startswith(f"{dataset}: 5 spacings compared by the labels of 3 of 3 cases: 2 classes")
    assert "no mri_statistics.csv" in shown.err


def test_json_alone_is_on_stdout(dataset, tmp_path, capsys):
    page, out = tmp_path / "spacings.html", tmp_path / "out"
    assert advise(dataset, spacings=3, target="4,1.1,1.1", as_json=True, report_file=page, output_root=out) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["target_spacing"] == [4, 1.1, 1.1]
    assert (facts["report"], facts["output_root"]) == (str(page), str(out))
    assert {"1", "2"} == facts["candidates"][0]["dice"].keys()
    assert page.read_text(encoding="utf-8").count("<tr") > 3
    assert (out / "advice.json").exists()


def test_a_case_that_cannot_be_read_is_named_and_the_status_is_1(dataset, capsys):
    broken = dataset / "LabelsTr" / "case_1.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-30])
    assert advise(dataset, spacings=2) == 1
    shown = capsys.readouterr()
    assert f"problem: case_1: {broken}" in shown.out
    assert "[2/3] case_1: FAILED" in shown.err


def test_what_cannot_be_written_is_said_before_anything_is_read(dataset, tmp_path):
    with pytest.raises(OutputError, match=r"give a name that ends in \.html"):
        advise(dataset, report_file=tmp_path / "spacings.txt")
    (tmp_path / "job.yaml").write_text("run: {like: somewhere}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="a test set has no labels"):
        advise(dataset, config=tmp_path / "job.yaml")


def test_a_stop_says_that_nothing_is_left(dataset, monkeypatch):
    def stop(*_):
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr("monai_mriprep.advice.advise.advise", stop)
    with pytest.raises(Stopped) as stopped:
        advise(dataset)
    assert stopped.value.message == "terminated; nothing is left of it, and the same command begins anew"


def test_the_report_of_the_folder_has_a_section_and_says_where_it_is_damaged(dataset, tmp_path):
    from tests.runs import append_record, done_line

    out = tmp_path / "out"
    advise(dataset, spacings=2, output_root=out, quiet=True)
    append_record(out, done_line("a"))
    with open_store(out) as store:
        assert page_of_folder(store, read_index(store.root)).advice.advice.cases == 3
        (out / "advice.json").write_text("{}", encoding="utf-8")
        page = page_of_folder(store, read_index(store.root))
    assert page.advice is None
    assert any("advice.json: cannot be read" in note for note in page.notes)
