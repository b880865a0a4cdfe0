"""What the commands print for scripts: JSON alone on stdout, with the keys that docs/commands.md lists."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.shell import cli
from tests.runs import FOLDER_OF_0_1_0, write_cases, write_troubled_cases
from tests.test_docs import ROOT

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def keys_of(command: str) -> set[str]:
    """What the page lists for a command."""
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{command} --json` |"))
    return set(re.findall(r"`([\w]+)`", row.split("|")[2]))


def told(command: str, *arguments: object, status: int = 0) -> dict[str, Any]:
    done = cli(*command.split(), *arguments, "--json")
    assert done.returncode == status, done.stderr
    facts = json.loads(done.stdout)
    assert set(facts) == keys_of(command)
    return facts


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Path, Path, dict[str, Any]]:
    """A dataset with an image alone and a case that fails, its output folder, and what the run said."""
    root = tmp_path_factory.mktemp("json")
    dataset, out = write_troubled_cases(root / "dataset"), root / "out"
    return dataset, out, told("run", dataset, out, "-w", 0, status=1)


@pytest.fixture
def out(ran, tmp_path) -> Path:
    return shutil.copytree(ran[1], tmp_path / "out")


def test_a_run(ran):
    _, out, facts = ran
    assert (facts["output_root"], facts["target_spacing"]) == (str(out), [3, 1, 1])
    assert [case["case"] for case in facts["done"]] == ["case_0", "case_1"]
    assert "negative label voxels" in facts["done"][1]["warnings"][0]
    ((failed),) = facts["failed"]
    assert (failed["case"], "case_2" in failed["error"]) == ("case_2", True)
    assert (facts["skipped"], facts["retired"], facts["orphans"], facts["stopped"]) == ([], [], 1, None)
    assert any("lonely.mha" in text for text in facts["warnings"])


def test_a_run_with_nothing_to_do(tmp_path):
    write_cases(tmp_path / "dataset", 1)
    told("run", tmp_path / "dataset", tmp_path / "out", "-w", 0)
    facts = told("run", tmp_path / "dataset", tmp_path / "out")
    assert (facts["skipped"], facts["done"], facts["target_spacing"]) == (["case_0"], [], [3, 1, 1])


def test_a_dry_run(ran, tmp_path):
    dataset, out, _ = ran
    facts = told("run --dry-run", dataset, out)
    assert {case["case"]: case["action"] for case in facts["cases"]} == {
        "case_0": "skip",
        "case_1": "skip",
        "case_2": "run",
    }
    assert facts["cases"][2]["reason"] == "failed before"
    assert facts["needs"]["output_root"] == str(out)
    new = told("run --dry-run", dataset, tmp_path / "new", "--target", "6,1,1")
    assert (new["target_spacing"], len(new["cases"])) == ([6, 1, 1], 3)
    assert not (tmp_path / "new").exists()


def test_a_plan(ran, tmp_path):
    facts = told("plan", ran[0], tmp_path / "out", "--target", "6,1,1")
    assert (facts["cases"], facts["finished"], facts["target_spacing"], facts["orphans"]) == (3, 0, [6, 1, 1], 1)
    assert len(facts["sha256"]) == 64


def test_a_merge(out):
    facts = told("merge", out, "--no-report", status=1)
    assert (facts["files"], facts["missing"], facts["not_begun"], facts["report"]) == (0, [], [], None)


def test_a_check(ran):
    facts = told("check", ran[0], status=1)
    assert (facts["status"], facts["ready"], len(facts["cases"])) == ("attention", 2, 3)


def test_an_advice(ran):
    facts = told("advise", ran[0], "--spacings", 2, status=1)
    assert (facts["cases"], len(facts["candidates"]), facts["report"]) == (2, 2, None)
    assert [one["case"] for one in facts["failed"]] == ["case_2"]


def test_a_verification(out):
    facts = told("verify", out)
    assert (facts["intact"], facts["problems"]) == (["case_0", "case_1"], [])
    assert [finding["subject"] for finding in facts["unfinished"]] == ["case_2"]
    (out / "imagesTr/case_0.npz").write_bytes(b"")
    (problem,) = told("verify", out, status=1)["problems"]
    assert problem["subject"] == "imagesTr/case_0.npz"
    assert "has 0 bytes" in problem["problem"]


def test_a_repair(out):
    (out / "manifest.jsonl").unlink()
    facts = told("repair", out)
    assert (facts["rebuilt"], facts["trusted"], facts["problems"]) == (["case_0", "case_1"], 0, [])


def test_what_is_pruned(ran, out, tmp_path):
    dataset = shutil.copytree(ran[0], tmp_path / "dataset")
    for folder in ("ImagesTr", "LabelsTr"):
        (dataset / folder / "case_0.mha").unlink()
    assert told("run", dataset, out, "-w", 0, "--retire", status=1)["retired"] == ["case_0"]
    would = told("prune --dry-run", out)
    assert (out / "retired/imagesTr/case_0.npz").exists()
    assert told("prune", out) == would
    assert would["cases"] == ["case_0"]
    assert would["files"] == ["retired/imagesTr/case_0.npz", "retired/labelsTr/case_0.npz", "report.html"]
    assert not (out / "retired/imagesTr/case_0.npz").exists()


def test_statistics(ran, tmp_path):
    write_cases(tmp_path, 2)
    facts = told("stats", tmp_path, "-o", tmp_path / "table.csv")
    assert facts["median_spacing"] == facts["10th_percentile_spacing"] == facts["target_spacing"] == [3, 1, 1]
    assert (facts["images"], facts["warnings"]) == (2, [])
    assert (tmp_path / "table.csv").read_text().startswith("median_spacing")


def test_what_is_restored(out, tmp_path):
    (tmp_path / "predictions").mkdir()
    np.savez(tmp_path / "predictions/case_0.npz", np.zeros((4, 8, 9), np.uint8))
    np.savez(tmp_path / "predictions/case_1.npz", np.zeros((1, 2, 3), np.uint8))
    facts = told("restore", out, tmp_path / "predictions", tmp_path / "restored", status=1)
    assert facts["folder"] == str(tmp_path / "restored")
    assert facts["restored"] == [str(tmp_path / "restored/case_0.mha")]
    ((refused),) = facts["refused"]
    assert "case_1" in refused


def test_a_split(out):
    facts = told("split", out, "-k", 2)
    assert json.loads((out / "splits_final.json").read_text()) == facts["folds"]
    assert facts["file"] == str(out / "splits_final.json")


def test_a_report(out):
    facts = told("report", out)
    assert (facts["path"], facts["failed"]) == (str(out / "report.html"), ["case_2"])
    assert set(facts["cases"]) == {"case_0", "case_1", "case_2"}
    assert {suspect["case"] for suspect in facts["suspects"]} >= {"case_2"}


def test_an_export(ran, tmp_path):
    source = ran[0] / "ImagesTr/case_1.mha"
    found = source.stat()
    os.utime(source, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    facts = told("export", ran[1], "--nnunet", tmp_path / "Dataset001_A", status=1)
    os.utime(source, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert (facts["folder"], facts["exported"], facts["labels"]) == (
        str(tmp_path / "Dataset001_A"),
        ["case_0"],
        {"1": 1, "2": 2},
    )
    ((refused),) = facts["refused"]
    assert (refused["case"], "has changed" in refused["problem"]) == ("case_1", True)
    again = told("export", ran[1], "--nnunet", tmp_path / "Dataset001_A")
    assert (again["exported"], again["kept"], again["notes"]) == (["case_1"], ["case_0"], [])


def test_a_difference(ran, out):
    facts = told("diff", ran[1], out)
    assert (facts["equal"], facts["same"], facts["cases"]) == (True, ["case_0", "case_1", "case_2"], [3, 3])
    shutil.copytree(FOLDER_OF_0_1_0, out.parent / "other", dirs_exist_ok=True)
    other = told("diff", out, out.parent / "other/out", status=1)
    assert (other["equal"], other["lost"]) == (False, ["case_0", "case_1", "case_2"])
    assert len(other["added"]) == 2


def test_a_lock(ran, out, tmp_path):
    facts = told("lock", out, status=1)
    assert (facts["cases"], facts["left_out"], facts["sha256"]) == (2, ["case_2"], None)
    assert [problem["subject"] for problem in facts["problems"]] == ["case_2"]
    assert told("lock", out, "--partial")["problems"] == []


def test_what_is_made_again(ran, out, tmp_path):
    refused = cli("lock", out)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "problem: case_2: has failed: " in refused.stderr
    locked = cli("lock", out, "--partial")
    (tmp_path / "data.lock").write_text(locked.stdout)
    facts = told("reproduce", tmp_path / "data.lock", ran[0], "-w", 0)
    assert (facts["proven"], facts["exact"], facts["differ"]) == (True, ["case_0", "case_1"], [])
    assert facts["unfinished"] == 1
    assert facts["sha256"] == json.loads(locked.stdout.splitlines()[-1])["sha256"]
    assert f"2 cases locked, 1 not finished and left out; sha256 {facts['sha256']}" in locked.stderr
    empty = shutil.copytree(ran[0] / "ImagesTr", tmp_path / "dataset/ImagesTr").parent
    facts = told("reproduce", tmp_path / "data.lock", empty, "--cases", "case_1", "-w", 0, status=1)
    ((case, differences),) = ((one["case"], one["differences"]) for one in facts["differ"])
    assert (case, differences) == (
        "case_1",
        [{"kind": "source", "subject": "LabelsTr/case_1.mha", "problem": "is missing"}],
    )


def test_what_does_not_start_prints_nothing(ran, tmp_path):
    for command in (
        ["run", "--dry-run", ran[0], ran[1], "--set", "order=1"],
        ["verify", tmp_path],
        ["stats", tmp_path],
        ["diff", ran[1], tmp_path],
        ["lock", tmp_path],
        ["reproduce", tmp_path / "none", ran[0]],
        ["reproduce", tmp_path / "none", ran[0], "--cases", "a", "--sample", 1],
        ["export", tmp_path, "--nnunet", tmp_path / "raw"],
    ):
        done = cli(*command, "--json")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")
