"""The command that `check` prints."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from monai_mriprep.cli.commands.check import check, run_command, suggested_output
from monai_mriprep.errors import OutputError
from tests.layouts import LAYOUTS, write_layout
from tests.runs import FOLDER_OF_0_1_0, write_cases


def test_all_that_was_given_and_is_needed_is_in_the_command_ready_to_paste():
    given = {
        "--config": [Path("my job.yaml")],
        "--set": ["crop=nonzero", "label_map={2: 1}"],
        "--target": [None],
        "--channels": None,
        "--like": [None],
    }
    command = run_command(Path("my scans"), Path("out"), given, ("--channels", "T2*,ADC"))
    assert "\n" not in command
    assert shlex.split(command) == [
        *("monai-mriprep", "run", "my scans", "out", "--config", "my job.yaml"),
        *("--set", "crop=nonzero", "--set", "label_map={2: 1}", "--channels", "T2*,ADC"),
    ]


def test_the_output_is_here_unless_that_is_in_the_dataset(tmp_path, monkeypatch):
    (tmp_path / "data/inside").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert suggested_output(Path("data"), is_test=False) == Path("data-preprocessed")
    assert suggested_output(Path("data"), is_test=True) == Path("data-test-preprocessed")
    for inside in (tmp_path / "data", tmp_path / "data/inside"):
        monkeypatch.chdir(inside)
        assert suggested_output(tmp_path / "data", is_test=False) == tmp_path / "data-preprocessed"


def printed(capsys, **options) -> list[str]:
    """The words of the command that `check` prints under these options."""
    check(**options, as_json=True)
    return shlex.split(json.loads(capsys.readouterr().out)["command"])


def test_what_the_user_gives_is_in_the_command(tmp_path, capsys):
    root = write_layout("BraTS 2021", tmp_path / "brats")
    (tmp_path / "job.yaml").write_text("crop: nonzero\n")
    given = {"config": tmp_path / "job.yaml", "settings": ["order=1"], "target": "3,2,2", "channels": "t2,t1"}
    options = ["--config", str(tmp_path / "job.yaml"), "--set", "order=1", "--target", "3,2,2", "--channels", "t2,t1"]
    words = printed(capsys, dataset_root=root, output_root=tmp_path / "out", **given)
    assert words == ["monai-mriprep", "run", str(root), str(tmp_path / "out"), *options]


def test_no_volumes_are_promised_where_the_file_or_the_command_line_says_so(tmp_path, capsys):
    root, job = write_cases(tmp_path / "data", 1), tmp_path / "job.yaml"
    job.write_text("run: {virtual: true}\n")
    for words, made in (([], False), (["--virtual"], False), (["--no-virtual"], True)):
        virtual = {"--virtual": True, "--no-virtual": False}.get(*words) if words else None
        check(dataset_root=root, output_root=tmp_path / "out", config=job, virtual=virtual, as_json=True)
        told = json.loads(capsys.readouterr().out)
        assert (told["needs"]["output_bytes"] > 0) == made
        assert shlex.split(told["command"]) == [
            *("monai-mriprep", "run", str(root), str(tmp_path / "out"), "--config", str(job)), *words
        ]  # fmt: skip


def test_what_a_test_set_is_like_is_in_the_command(tmp_path, capsys):
    root, like = write_cases(tmp_path / "data", 1), FOLDER_OF_0_1_0 / "out"
    words = printed(capsys, dataset_root=root / "ImagesTr", like=like)
    assert words == ["monai-mriprep", "run", str(root / "ImagesTr"), "ImagesTr-test-preprocessed", "--like", str(like)]


def reported(capsys, *, as_json: bool = True, **options) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of `check` under these options."""
    status = check(**options, as_json=as_json, workers=0)
    return status, *capsys.readouterr()


def test_a_report_is_written_where_it_is_asked_for(tmp_path, capsys):
    root, file = write_cases(tmp_path / "data", 2), tmp_path / "scans.html"
    status, out, _ = reported(capsys, dataset_root=root, report_file=file)
    facts = json.loads(out)
    assert (status, facts["report"]) == (0, str(file))
    assert all(case["image_contents"] for case in facts["cases"])
    assert facts["command"] in file.read_text()
    assert file.read_text().count("data:image/webp") == 2


def test_the_last_line_says_where_the_report_is(tmp_path, capsys):
    root, file = write_cases(tmp_path / "data", 1), tmp_path / "scans.html"
    _, out, _ = reported(capsys, dataset_root=root, report_file=file, as_json=False)
    assert out.splitlines()[-1] == f"report:  {file}"


def test_without_the_option_there_is_no_report(tmp_path, capsys):
    _, out, _ = reported(capsys, dataset_root=write_cases(tmp_path / "data", 1))
    assert json.loads(out)["report"] is None


def test_where_the_report_cannot_be_written_in_the_end_the_result_is_said(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("monai_mriprep.store.calls.write", full)
    root, file = write_cases(tmp_path / "data", 1), tmp_path / "scans.html"
    status, out, err = reported(capsys, dataset_root=root, report_file=file)
    assert (status, json.loads(out)["report"], json.loads(out)["ready"]) == (2, None, 1)
    assert "scans.html: cannot be written (No space left on device)" in err


def test_a_place_that_is_no_report_of_ours_is_refused_before_a_scan_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("monai_mriprep.run.check.check_dataset", lambda *_, **__: pytest.fail("read"))
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(OutputError, match="is no page of a check"):
        check(write_cases(tmp_path / "data", 1), report_file=tmp_path / "mine.html")
    assert (tmp_path / "mine.html").read_text() == "mine"


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_report_in_the_dataset_is_taken_for_nothing(tmp_path, capsys, name):
    root = write_layout(name, tmp_path / "data")
    _, before, _ = reported(capsys, dataset_root=root)
    file = root / "scans.html"
    reported(capsys, dataset_root=root, report_file=file)
    (root / "scans_files").mkdir()
    shutil.copy(file, root / "scans_files" / "page-0001.html")
    _, after, _ = reported(capsys, dataset_root=root)
    ours = ("cases", "orphans", "seen", "fatal", "warnings")
    assert [json.loads(after)[key] for key in ours] == [json.loads(before)[key] for key in ours]
