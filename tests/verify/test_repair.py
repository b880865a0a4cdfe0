"""Records rebuilt from the volumes alone restore as those of the run did; what cannot be rebuilt is named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep import preprocess, restore
from monai_mriprep.errors import LockedError, OutputError, RecordError
from monai_mriprep.formats.npz import read_npz
from monai_mriprep.formats.sealed import seal
from monai_mriprep.recipe import Recipe
from monai_mriprep.report.text import repair_text
from monai_mriprep.store.folder import opened
from monai_mriprep.store.journal import entry_name
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.records import Done
from monai_mriprep.store.staging import save_volumes
from monai_mriprep.verify import repair
from monai_mriprep.verify.audit import verify_output
from monai_mriprep.verify.repair import repair_output
from tests.runs import FOLDER_OF_0_1_0, done_records, left_over, outputs, write_cases
from tests.store.faults import note

CASES = ("case_0", "case_1", "case_2")
RECIPE = Recipe(order=1, orientation="RAS", crop="nonzero", target_spacing=(2.0, 1.0, 0.8))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_cases(tmp_path_factory.mktemp("dataset"), 3)


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("finished") / "out"
    assert len(preprocess(dataset, root, RECIPE, workers=0).done) == 3
    return root


@pytest.fixture
def out(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "out")


def lines(out: Path) -> list[bytes]:
    return (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)


def restored(out: Path, folder: Path) -> dict[str, bytes]:
    """What becomes of the labels of all cases, and of probabilities of each."""
    files = {}
    for kind in (False, True):
        place = folder / str(kind)
        restore(out, out / "labelsTr", place, probabilities=kind)
        files |= {f"{kind}/{path.name}": path.read_bytes() for path in place.iterdir()}
    return files


def findings(report) -> dict[str, str]:
    return {finding.subject: finding.problem for finding in report.problems}


def test_without_any_record_all_are_rebuilt_and_restore_to_the_same_bytes(out, tmp_path):
    before, files = restored(out, tmp_path / "before"), outputs(out)
    (out / "manifest.jsonl").unlink()
    report = repair_output(out)
    assert (report.rebuilt, report.trusted, report.problems, report.notes) == (CASES, 0, (), ())
    assert len(before) == 6
    assert restored(out, tmp_path / "after") == before
    assert verify_output(out).findings == ()
    assert verify_output(out).intact == CASES
    assert outputs(out) == files
    assert left_over(out) == []


def test_a_rebuilt_record_says_what_the_run_said_but_for_sources_measures_and_costs(out):
    before = done_records(out)
    (out / "manifest.jsonl").unlink()
    repair_output(out)
    for case, record in done_records(out).items():
        other = {"repaired", "sources", "warnings", "measures", "seconds", "peak_mib", "time"}
        for name in Done.model_fields.keys() - other:
            assert getattr(record, name) == getattr(before[case], name), name
        assert (record.repaired, before[case].repaired) == (True, False)
        (source,) = record.sources["image"]
        assert (source.path, source.size, source.mtime_ns, source.sha256) == (f"{case}.mha", 0, 0, "")
        assert (record.seconds, record.peak_mib) == ({}, 0.0)


def test_good_records_are_not_touched_and_a_second_time_does_nothing(out):
    text = lines(out)
    damaged = next(n for n, line in enumerate(text) if b'"done"' in line and b'"case_1"' in line)
    text[damaged] = text[damaged].replace(b'"voxels"', b'"voxelz"', 1)
    (out / "manifest.jsonl").write_bytes(b"".join(text))
    report = repair_output(out)
    assert (report.rebuilt, report.trusted, report.problems) == (("case_1",), 2, ())
    assert lines(out)[: len(text)] == text
    assert len(lines(out)) == len(text) + 1
    assert [record.repaired for record in done_records(out).values()].count(True) == 1
    after = lines(out)
    again = repair_output(out)
    assert (again.rebuilt, again.trusted, lines(out)) == ((), 3, after)
    assert verify_output(out).findings == ()


def test_what_it_records_survives_a_power_cut_and_does_not_reach_a_copy_made_of_links(out, tmp_path, monkeypatch):
    (out / "manifest.jsonl").write_bytes(b"")
    (tmp_path / "copy.jsonl").hardlink_to(out / "manifest.jsonl")
    seen = note(monkeypatch)
    assert repair_output(out).rebuilt == CASES
    assert ("sync", "out/manifest.jsonl") in seen
    assert (tmp_path / "copy.jsonl").read_bytes() == b""


def test_a_case_whose_last_line_is_damaged_is_rebuilt_though_an_older_one_is_good(out):
    with (out / "manifest.jsonl").open("a") as file:
        file.write('{"event": "done", "case": "case_1", }\n')
    report = repair_output(out)
    assert (report.rebuilt, report.trusted) == (("case_1",), 2)


def test_a_run_does_rebuilt_cases_again_and_says_why(out, dataset, caplog):
    files = outputs(out)
    (out / "manifest.jsonl").unlink()
    repair_output(out)
    with caplog.at_level("INFO", "monai_mriprep"):
        assert len(preprocess(dataset, out, RECIPE, workers=0).done) == 3
    assert "redo: its record was rebuilt from its files" in caplog.text
    assert outputs(out) == files
    assert not any(record.repaired for record in done_records(out).values())


def test_what_it_restores_may_lie_below_the_place_where_one_works(out, tmp_path, monkeypatch):
    """A rebuilt record knows the bare names of its sources, which are no folder of theirs."""
    (out / "manifest.jsonl").unlink()
    repair_output(out)
    monkeypatch.chdir(tmp_path)
    assert len(restore(out, out / "labelsTr", "restored").restored) == 3


def test_without_run_json_it_says_what_to_do(out):
    (out / "run.json").unlink()
    (out / "manifest.jsonl").unlink()
    report = repair_output(out)
    assert len(report.rebuilt) == 3
    assert report.notes == (
        "run.json is missing: the next `run` writes it; give it the recipe and the dataset of these volumes",
    )
    assert next(repair_text(report)).startswith("warning: run.json is missing")


def rewrite(out: Path, path: str, **facts: object) -> None:
    """Write a file anew with other facts, rightly sealed."""
    volume = read_npz(out / path)
    changed = {key: value for key, value in {**volume.facts, **facts}.items() if value is not None}
    save_volumes(out, {tuple(path.split("/")): replace(volume, facts=changed)})


def respace(out: Path, path: str) -> None:
    """Write a file anew with another spacing."""
    save_volumes(out, {tuple(path.split("/")): replace(read_npz(out / path), spacing=np.array([5.0, 1, 1]))})


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)


IMAGE, LABEL = "imagesTr/case_1.npz", "labelsTr/case_1.npz"
ONE_IS_LOST: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "image missing": (lambda out: (out / IMAGE).unlink(), LABEL, f"{IMAGE}, which belongs with it, is missing"),
    "label missing": (lambda out: (out / LABEL).unlink(), IMAGE, f"{LABEL}, which belongs with it, is missing"),
    "voxel": (lambda out: flip(out / IMAGE, 400), IMAGE, "not a readable preprocessed volume"),
    "comment": (lambda out: flip(out / LABEL, -300), LABEL, "its digest is not that of its content"),
    "renamed": (
        lambda out: (out / IMAGE).rename(out / "imagesTr/other.npz"),
        "imagesTr/other.npz",
        f"was written as {IMAGE}; give it that name again",
    ),
    "another label": (
        lambda out: rewrite(out, LABEL, labels_after={"0": 1}),
        IMAGE,
        f"was not made together with {LABEL}",
    ),
    "another recipe": (lambda out: rewrite(out, IMAGE, fingerprint="0"), IMAGE, "was not made together with"),
    "no trace": (lambda out: rewrite(out, IMAGE, trace=None), IMAGE, "did not fit into its comment"),
    "odd trace": (
        lambda out: [rewrite(out, path, trace={"source": 5, "steps": []}) for path in (IMAGE, LABEL)],
        IMAGE,
        "its comment makes no record (source_grid: ",
    ),
    "unknown step": (
        lambda out: [
            rewrite(out, path, trace={**read_npz(out / path).facts["trace"], "steps": [{"step": "x", "params": {}}]})
            for path in (IMAGE, LABEL)
        ],
        IMAGE,
        "no step is registered as 'x'",
    ),
    "other files": (lambda out: rewrite(out, IMAGE, outputs={"image": "../x.npz"}), IMAGE, "other files than those"),
    "no run's": (lambda out: rewrite(out, IMAGE, case=5), IMAGE, "its comment is not that of a run (case: "),
    "another role": (lambda out: shutil.copy(out / LABEL, out / IMAGE), IMAGE, "holds int8; float32 is expected"),
    "no comment": (
        lambda out: np.savez(out / IMAGE, np.zeros((1, 2, 3, 4), np.float32), spacing=np.ones(3)),
        IMAGE,
        "its comment does not say how it was made",
    ),
    "another spacing": (lambda out: respace(out, LABEL), LABEL, "has the spacing (5.0, 1.0, 1.0)"),
    "pipe": (
        lambda out: [(out / IMAGE).unlink(), os.mkfifo(out / IMAGE)],
        LABEL,
        f"{IMAGE}, which belongs with it, is missing",
    ),
}


@pytest.mark.parametrize(("damage", "subject", "problem"), ONE_IS_LOST.values(), ids=ONE_IS_LOST)
def test_what_cannot_be_rebuilt_is_named_and_the_rest_is_rebuilt(out, damage, subject, problem):
    (out / "manifest.jsonl").unlink()
    damage(out)
    report = repair_output(out)
    assert report.rebuilt == ("case_0", "case_2")
    assert problem in findings(report)[subject]
    assert f"problem: {subject}: " in "\n".join(repair_text(report))
    assert "2 records rebuilt, 0 good before" in list(repair_text(report))[-1]


def test_labels_that_differ_from_the_comment_are_named(out):
    (out / "manifest.jsonl").unlink()
    for path in (IMAGE, LABEL):
        rewrite(out, path, labels_after={"0": 1})
    assert "its comment says {0: 1}" in findings(repair_output(out))[LABEL]


def test_labels_that_did_not_fit_are_counted(out):
    known = done_records(out)["case_1"].labels
    (out / "manifest.jsonl").unlink()
    for path in (IMAGE, LABEL):
        rewrite(out, path, labels_before=None, labels_after=None)
    assert len(repair_output(out).rebuilt) == 3
    labels = done_records(out)["case_1"].labels
    assert (labels.before, labels.after) == ({}, known.after)


def test_a_copy_of_a_pair_takes_nothing_from_the_case_with_a_good_record(out):
    for folder in ("imagesTr", "labelsTr"):
        shutil.copy(out / folder / "case_0.npz", out / folder / "copy.npz")
    before = lines(out)
    assert findings(repair_output(out)) == {
        f"{folder}/copy.npz": f"was written as {folder}/case_0.npz; give it that name again, or remove it"
        for folder in ("imagesTr", "labelsTr")
    }
    assert lines(out) == before


def test_a_forged_pair_takes_no_case_that_has_a_good_record(out):
    for folder in ("imagesTr", "labelsTr"):
        shutil.copy(out / folder / "case_0.npz", out / folder / "copy.npz")
        rewrite(out, f"{folder}/copy.npz", outputs={"image": "copy.npz", "label": "copy.npz"})
    report = repair_output(out)
    assert report.rebuilt == ()
    assert "by a good record, the case case_0 has other files" in findings(report)["imagesTr/copy.npz"]


def test_a_label_of_another_case_with_a_good_record_is_left_to_it(out):
    shutil.copy(out / "imagesTr/case_0.npz", out / "imagesTr/copy.npz")
    rewrite(out, "imagesTr/copy.npz", case="new", outputs={"image": "copy.npz", "label": "case_0.npz"})
    assert "was not made together with labelsTr/case_0.npz" in findings(repair_output(out))["imagesTr/copy.npz"]


def test_files_of_versions_up_to_0_3_0_are_named(tmp_path):
    out = shutil.copytree(FOLDER_OF_0_1_0 / "out", tmp_path / "out")
    assert repair_output(out).trusted == 2
    (out / "manifest.jsonl").unlink()
    report = repair_output(out)
    assert (report.rebuilt, len(report.problems)) == ((), 4)
    assert all("up to version 0.3.0 none did; `run` does its case again" in text for text in findings(report).values())


def test_a_case_that_was_finished_and_not_recorded_keeps_its_full_record(out, dataset):
    """The journal of a run that died has it; what the files tell is less."""
    facts = json.loads(next(line for line in lines(out) if b'"done"' in line and b'"case_2"' in line))
    record = {key: value for key, value in facts.items() if key not in ("version", "digest", "time")}
    (out / "manifest.jsonl").unlink()
    moves = [
        [f"1-{n * 32}.npz", *file["path"].split("/")] for n, file in zip("ab", record["outputs"].values(), strict=True)
    ]
    (out / ".partial" / entry_name("case_2")).write_text(seal({"record": record, "moves": moves}))
    report = repair_output(out)
    assert (report.rebuilt, report.trusted) == (("case_0", "case_1"), 1)
    assert done_records(out)["case_2"].sources["image"][0].size == (dataset / "ImagesTr/case_2.mha").stat().st_size


def test_an_empty_folder_and_one_that_is_none(tmp_path):
    with pytest.raises(RecordError, match="no volumes there"):
        repair_output(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="cannot be opened"):
        repair_output(tmp_path / "none")


def test_a_newer_manifest_is_refused(out):
    body = '{"version": 7, "event": "unheard"'
    line = f'{body}, "digest": "{hashlib.sha256(body.encode()).hexdigest()[:16]}"}}\n'
    (out / "manifest.jsonl").write_text(line)
    with pytest.raises(RecordError, match="newer version"):
        repair_output(out)
    assert (out / "manifest.jsonl").read_text() == line


def test_a_run_that_is_alive_is_waited_for(out):
    with opened(out) as root, exclusive(root), pytest.raises(LockedError):
        repair_output(out)


def test_a_run_that_has_no_volumes_yet_is_waited_for_too(tmp_path):
    with opened(tmp_path) as root, exclusive(root), pytest.raises(LockedError):
        repair_output(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_nobody_else_writes_there_meanwhile(out, monkeypatch):
    found: list[bool] = []

    def working(store, recorder, notes):
        with opened(out) as root, pytest.raises(LockedError), exclusive(root):
            pass
        found.append(True)
        return rebuild(store, recorder, notes)

    rebuild = repair._repair
    monkeypatch.setattr(repair, "_repair", working)
    repair_output(out)
    assert found == [True]
