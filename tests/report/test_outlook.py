"""What `check` found, as text for people and as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep.cohort.case import Suspect
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.recipe import Recipe
from monai_mriprep.report.facts import check_json
from monai_mriprep.report.lines import wrapped
from monai_mriprep.report.outlook import check_text, dry_run_text
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.dataset_report import CaseReport, DatasetReport
from monai_mriprep.run.dry_run import CaseOutlook, DryRun, dry_run
from monai_mriprep.run.plan import plan_run
from monai_mriprep.volume.geometry import Grid
from tests.runs import write_case

SHAPE = (4, 8, 9)
TARGET = Recipe(target_spacing=(1.5, 1.0, 1.0))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two pairs, and one whose label has another spacing."""
    root = tmp_path / "dataset"
    for seed, case in enumerate("abc"):
        write_case(root, case, SHAPE, seed=seed)
    write_metaimage(root / "LabelsTr/c.mha", np.ones(SHAPE, np.int16), (3.0, 1.0, 2.0))
    return root


def test_text_and_json_tell_the_same(dataset):
    report = check_dataset(dataset, TARGET, voxels=True)
    lines = list(check_text(report))
    assert lines[0].split()[:2] == ["case", "verdict"]
    assert [line.split()[1] for line in lines[1:4]] == ["ok", "ok", "problem"]
    assert any(line.startswith("problem: c: image and label differ in spacing") for line in lines)
    assert [line for line in lines if line.startswith("suspect: ")] == [
        "suspect: c: 51% of the label lies outside of the body, in air or beyond the scan"
    ]
    assert lines[-1].endswith("2 of 3 cases can be preprocessed; 2 findings to review")
    facts = json.loads(json.dumps(check_json(report)))
    assert (facts["status"], facts["ready"], len(facts["cases"])) == ("attention", 2, 3)
    assert facts["cases"][0]["grid"]["shape"] == list(SHAPE)
    assert facts["cases"][0]["label_contents"]["histogram"]["0"] > 0
    assert [(one["case"], one["kind"]) for one in facts["suspects"]] == [("c", "failed"), ("c", "label_outside")]


def test_many_suspects_are_said_in_groups():
    cases = tuple(CaseReport(f"case {n}", Path(f"case {n}.mha")) for n in range(30))
    suspects = tuple(
        Suspect(case.case, "duplicate", f"the image has the voxels of {n}") for n, case in enumerate(cases)
    )
    few, many = (DatasetReport(Path(), cases=cases, suspects=of_cases) for of_cases in (suspects[:20], suspects))
    said = [line for line in check_text(few) if line.startswith("suspect: ")]
    assert said == [f"suspect: {one.case}: {one.reason}" for one in suspects[:20]]
    assert [line.split()[2] for line in check_text(few) if line.startswith("case ")][1:3] == ["suspect", "suspect"]
    (said,) = (line for line in check_text(many) if line.startswith("suspect: "))
    assert said.startswith("suspect: 30 cases: the image has the voxels of ...")
    assert sum(line.startswith("suspect: ") for line in check_text(many, everything=True)) == 30


def test_a_name_cannot_break_the_table(tmp_path):
    write_case(tmp_path, "1000\n\x1b[31m_0001", SHAPE)
    lines = list(check_text(check_dataset(tmp_path, TARGET)))
    assert lines[1].startswith(r"'1000\n\x1b[31m_0001'")
    assert all(line.isprintable() for line in lines)


def test_sizes_and_spacings_are_those_of_the_turned_axes(dataset):
    """The files' axes x y z run to L, P, S; PSL has the same ends in another order, so that z y x become x z y."""
    turned = Recipe(orientation="PSL", target_spacing=(1.5, 1.0, 1.0))
    row = list(check_text(check_dataset(dataset, turned)))[1]
    assert row.split()[2:6] == ["9x4x8", "1", "3", "1"]


def test_the_axes_are_those_of_the_file_whatever_the_recipe_makes_of_them(dataset):
    for recipe in (TARGET, Recipe(orientation="RAS", target_spacing=(1.5, 1.0, 1.0))):
        report = check_dataset(dataset, recipe)
        heading, *rows = list(check_text(report))[:4]
        place = heading.index("axes")
        assert [row[place:].split()[0] for row in rows] == ["LPS"] * 3
        assert {case["axes"] for case in check_json(report)["cases"]} == {"LPS"}


def test_upper_bounds_are_told_as_such(dataset):
    cropped = Recipe(crop="nonzero", target_spacing=(1.5, 1.0, 1.0))
    about, at_most = ("\n".join(check_text(check_dataset(dataset, recipe))) for recipe in (TARGET, cropped))
    assert "at most" not in about
    assert "output z y x, at most  memory, at most  disk, at most" in at_most
    assert "estimates, at most: " in at_most


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_a_dry_run_tells_what_each_case_takes_and_what_is_not_known(dataset, tmp_path):
    preprocess(dataset, tmp_path / "out", TARGET, workers=0)
    (dataset / "ImagesTr/b.mha").write_bytes(b"")
    (dataset / "LabelsTr/a.mha").rename(dataset / "LabelsTr/a_seg.mha")
    write_case(dataset, "d", SHAPE)
    lines = list(dry_run_text(dry_run(plan_run(dataset, tmp_path / "out", TARGET), retire=True)))
    assert lines[0].split() == ["case", "action", "memory", "disk", "reason"]
    assert [line.split()[:2] for line in lines[1:5]] == [["a", "run"], ["b", "redo"], ["c", "run"], ["d", "run"]]
    assert lines[2].split()[2:4] == ["?", "?"]
    assert lines[4].split()[2:] == ["0.0", "MiB", "0.0", "MiB", "no", "record"]
    assert lines[5:8] == ["retire: a", "", "target spacing (1.5, 1, 1) mm (z y x): set by the recipe"]
    assert lines[-1] == f"3 to preprocess, 1 to do again, 1 to retire; nothing was written: {tmp_path / 'out'}"


# --- Many cases -------------------------------------------------------------------------------------------------------


def many(flawed: Mapping[int, str] = MappingProxyType({})) -> DatasetReport:
    """A thousand cases; those of these numbers have a problem."""
    grid = Grid((22, 320, 320), np.diag([3.3, 1.125, 1.125, 1.0]))
    known = {"grid": grid, "dtype": "uint16", "axes": "RAS", "native_grid": grid, "target_shape": (70, 360, 360)}
    costs = {"memory_bytes": 178 * 2**20, "output_bytes": 32 * 2**20}
    names = [f"2{number:04}_0001_t2star" for number in range(1000)]
    cases = (
        CaseReport(name, Path(f"{name}.mha"), problems=(flawed[number],) if number in flawed else (), **known, **costs)
        for number, name in enumerate(names)
    )
    return DatasetReport(Path("data"), cases=tuple(cases))


def widest(lines: Sequence[str]) -> int:
    """Of a terminal with 80 columns, on which sentences are broken."""
    return max(map(len, wrapped("\n".join(lines), 80).split("\n")))


def test_of_a_thousand_cases_those_with_problems_come_first_and_all_lines_fit():
    flaws = {number: f"/data/{number}.mha: is {number} bytes short" for number in range(500, 530)}
    lines = list(check_text(many(flaws), 80))
    assert [line.split()[:2] for line in lines[1:21]] == [[f"2{n:04}_0001_t2star", "problem"] for n in range(500, 520)]
    assert lines[22] == "... and 980 more: 10 problem, 970 ok (-v shows all)"
    assert widest(lines) <= 80
    (problem,) = (line for line in lines if line.startswith("problem: "))
    assert problem.startswith("problem: 30 cases: is ... bytes short (20500_0001_t2star, 20501_0001_t2star, ")
    assert len(lines) < 40


def test_all_cases_are_shown_where_that_is_asked_for():
    lines = list(check_text(many({7: "it is odd", 8: "it is odd"}), 80, everything=True))
    rows = [line.split()[0] for line in lines[1:1001]]
    assert rows == [f"2{number:04}_0001_t2star" for number in range(1000)]
    problems = [line for line in lines if line.startswith("problem: ")]
    assert problems == [f"problem: 2000{number}_0001_t2star: it is odd" for number in (7, 8)]


def test_where_there_is_room_all_columns_are_shown():
    (wide, *_), (narrow, *_) = check_text(many(), 130), check_text(many(), 70)
    assert wide.split()[-8:] == ["type", "axes", "output", "z", "y", "x", "memory", "disk"]
    assert narrow.split()[-6:] == ["spacing", "mm", "output", "z", "y", "x"]


def test_a_dry_run_of_a_thousand_cases_shows_first_what_is_rare():
    cases = [CaseOutlook(f"c{number:03}", "skip", "done before", 2**20, 2**20, False) for number in range(1000)]
    cases[400] = CaseOutlook("c400", "redo", "its label has changed", 2**20, 2**20, False)
    cases[600:700] = [CaseOutlook(f"c{number}", "run", "no record", 2**20, 2**20, False) for number in range(600, 700)]
    gone = tuple(f"g{number}" for number in range(50))
    found = DryRun(Path("out"), (3, 1, 1), "target spacing", tuple(cases), gone, None, (), 0)
    lines = list(dry_run_text(found, 80))
    assert lines[1].split() == ["c400", "redo", "1.0", "MiB", "1.0", "MiB", "its", "label", "has", "changed"]
    assert [line.split()[:2] for line in lines[2:21]] == [[f"c{number}", "run"] for number in range(600, 619)]
    assert lines[21:23] == ["... and 980 more: 81 run, 899 skip (-v shows all)", "retire: g0, g1, g2 and 47 more"]
    assert widest(lines) <= 80
    assert len(list(dry_run_text(found, 80, everything=True))) > 1050
