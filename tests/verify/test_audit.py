"""Nothing that happens to an output folder escapes `verify`."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import LockedError, RecordError
from monai_mriprep.formats.npz import read_npz
from monai_mriprep.formats.sealed import seal
from monai_mriprep.report.text import verify_text
from monai_mriprep.steps.orientation import Orientation
from monai_mriprep.store.folder import Folder
from monai_mriprep.store.journal import commit_files, entry_name
from monai_mriprep.store.record_parts import RecordedFile
from monai_mriprep.store.staging import save_volumes, stage_files
from monai_mriprep.store.store import open_store
from monai_mriprep.store.writers import this_writer
from monai_mriprep.verify.audit import verify_output
from tests.runs import append_record, broken, done_line, events

IMAGE, LABEL = "imagesTr/10001_0001_t2w.npz", "labelsTr/10001_0001_seg.npz"
CASE = "10001_0001_t2w"


@pytest.fixture(scope="module")
def finished(synthetic, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("verify") / "out"
    with pytest.warns(UserWarning, match="10003_0001"):
        preprocess(synthetic, root, workers=0)
    return root


@pytest.fixture
def out(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "out")


def latest(out: Path) -> dict:
    return next(event for event in reversed(events(out)) if event["case"] == CASE)


def append(out: Path, record: dict) -> None:
    append_record(out, record)


def test_a_finished_run_is_intact(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    report = verify_output(finished)
    assert report.findings == ()
    assert len(report.intact) == report.cases == 3
    assert report.bytes_read == sum(path.stat().st_size for path in finished.glob("*Tr/*.npz"))
    assert list(verify_text(report))[-1].endswith("; everything there is as recorded")
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_wherever_the_folder_is(finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert verify_output("elsewhere").findings == ()


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def tear_last_line(out: Path) -> None:
    append(out, done_line("c"))
    content = (out / "manifest.jsonl").read_bytes()
    (out / "manifest.jsonl").write_bytes(content[:-99])


DAMAGE = {
    "a bit": (lambda out: flip(out / IMAGE, 5000), IMAGE, "its SHA-256 is not the recorded one"),
    "the affine": (lambda out: flip(out / LABEL, -20), LABEL, "its SHA-256 is not the recorded one"),
    "truncated": (lambda out: (out / IMAGE).write_bytes((out / IMAGE).read_bytes()[:99]), IMAGE, "has 99 bytes"),
    "missing": (lambda out: (out / LABEL).unlink(), LABEL, "is missing"),
    "a folder": (lambda out: ((out / LABEL).unlink(), (out / LABEL).mkdir()), LABEL, "is a folder"),
    "dangling": (lambda out: ((out / LABEL).unlink(), (out / LABEL).symlink_to("x")), LABEL, "is a link"),
    "hidden file": (lambda out: (out / "imagesTr/.DS_Store").touch(), "imagesTr/.DS_Store", "no .npz file"),
    "text": (lambda out: (out / "labelsTr/notes.txt").touch(), "labelsTr/notes.txt", "no .npz file"),
    "unrecorded": (
        lambda out: shutil.copy(out / IMAGE, out / "imagesTr/b.npz"),
        "imagesTr/b.npz",
        "is recorded as finished",
    ),
    "other recipe": (lambda out: append(out, {**latest(out), "fingerprint": "0"}), "run.json", CASE),
    "poor record": (lambda out: append(out, {"event": "done", "case": "b"}), "b", "cannot be trusted (done."),
    "strange record": (
        lambda out: append(out, {**latest(out), "outputs": 5}),
        CASE,
        "cannot be trusted (done.outputs:",
    ),
    "torn record": (lambda out: tear_last_line(out), "c", "cannot be trusted (it is no whole JSON)"),
    "strange trace": (lambda out: append(out, {**latest(out), "trace": {}}), CASE, "cannot be read from its trace"),
    "other trace": (
        lambda out: append(out, {**latest(out), "trace": {"source": latest(out)["source_grid"], "steps": []}}),
        CASE,
        "does not lead from the recorded source grid to the recorded target grid",
    ),
    "other header": (
        lambda out: append(
            out, {**latest(out), "source_header": {**latest(out)["source_header"], "spacing": [9.0, 9.0, 9.0]}}
        ),
        CASE,
        "the spacing of the recorded source_header is not that of the source_grid",
    ),
    "no run.json": (lambda out: (out / "run.json").unlink(), "run.json", "is missing"),
}


@pytest.mark.parametrize(("damage", "subject", "problem"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named(out, damage, subject, problem):
    damage(out)
    report = verify_output(out)
    assert (subject, True) in [(finding.subject, problem in finding.problem) for finding in report.problems]
    assert any(line.startswith(f"problem: {subject}: ") for line in verify_text(report))


def test_a_step_from_outside_that_fails_is_a_finding_of_its_case_alone(out, monkeypatch):
    turned = {"step": "orientation", "codes": "RAS", "params": {}}
    append(out, {**latest(out), "trace": {"source": latest(out)["source_grid"], "steps": [turned]}})
    monkeypatch.setattr(Orientation, "grid", broken)
    (finding,) = verify_output(out).problems
    assert finding.subject == CASE
    assert "cannot be read from its trace (RuntimeError('no luck'))" in finding.problem


WRONG = {
    "shape": ({"array": np.zeros((1, 2, 2, 2), np.float32)}, "has the shape (1, 2, 2, 2)"),
    "dtype": ({"dtype": np.float64}, "holds float64; float32 is expected"),
    "spacing": ({"spacing": np.ones(3) * 9}, "has the spacing (9.0, 9.0, 9.0)"),
    "affine": ({"affine": np.eye(4)}, "has an affine that is not the recorded one"),
    "no affine": ({"affine": None}, "has an affine that is not the recorded one"),
    "nan": ({"fill": np.nan}, "not finite"),
}


@pytest.mark.parametrize(("change", "problem"), WRONG.values(), ids=WRONG)
def test_a_file_that_was_written_and_recorded_wrongly(out, change, problem):
    rewrite(out, "image", IMAGE, **change)
    assert problem in next(finding.problem for finding in verify_output(out).problems)


def test_labels_are_counted(out):
    rewrite(out, "label", LABEL, fill=1)
    assert "holds the labels {1: " in verify_output(out).problems[0].problem


def rewrite(out: Path, role: str, name: str, fill=None, dtype=None, **change) -> None:
    """Replace an output, and the size and hash in its record."""
    volume = read_npz(out / name)
    array = np.full_like(volume.array, fill) if fill is not None else volume.array.astype(dtype or volume.array.dtype)
    changed = type(volume)(**{"array": array, "spacing": volume.spacing, "affine": volume.affine, **change})
    save_volumes(out, {tuple(name.split("/")): changed})
    record = latest(out)
    facts = RecordedFile.of(out / name, (out / name).stat())
    record["outputs"][role] |= {"size": facts.size, "sha256": facts.sha256}
    append(out, record)


def test_a_bomb_is_not_inflated(out):
    (out / IMAGE).write_bytes(bytes(latest(out)["outputs"]["image"]["size"]))
    assert "SHA-256" in verify_output(out).problems[0].problem


@pytest.mark.parametrize("folder", ["imagesTr", "retired/labelsTr", ".partial"])
def test_a_folder_that_cannot_be_listed_is_named_and_the_rest_is_told(out, monkeypatch, folder):
    (out / "retired/labelsTr").mkdir(parents=True)
    (out / "labelsTr/notes.txt").touch()
    names = Folder.names

    def failing(self):
        if self.path == out / folder:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return names(self)

    monkeypatch.setattr(Folder, "names", failing)
    report = verify_output(out)
    assert len(report.intact) == 3
    problems = {finding.subject: finding.problem for finding in report.problems}
    assert problems.keys() == {folder.split("/")[0], "labelsTr/notes.txt"}
    assert "(Input/output error); mend it" in problems[folder.split("/")[0]]


def test_a_folder_that_is_gone_is_named_and_the_rest_is_told(out):
    shutil.rmtree(out / "imagesTr")
    (out / "labelsTr/notes.txt").touch()
    report = verify_output(out)
    subjects = {finding.subject for finding in report.problems}
    assert {IMAGE, "imagesTr", "labelsTr/notes.txt"} <= subjects


def test_what_is_unfinished_is_no_damage(out):
    case = {"failed": {"event": "failed", "case": "b", "error": "why"}, "started": {"event": "started", "case": "c"}}
    for record in case.values():
        append(out, record)
    (out / f".partial/1-{'a' * 32}.npz").touch()
    append_record(out, {"event": "opened", "dataset_root": "/data", "cases": 9})
    report = verify_output(out)
    assert report.problems == ()
    assert [finding.subject for finding in report.unfinished] == ["b", "c", "manifest.jsonl", ".partial"]


def test_what_the_next_run_leaves_alone_is_no_business_of_it(out):
    (out / ".partial/notes.txt").touch()
    (out / ".partial/elsewhere_11111111_22222222_33333333_4242_99").mkdir()
    report = verify_output(out)
    assert report.unfinished == ()
    foreign, strange = (finding.problem for finding in report.problems)
    assert "elsewhere_11111111_22222222_33333333_4242_99; if it has ended, `run --take-over` clears up" in foreign
    assert strange == "holds what no run of ours has left: notes.txt; remove it"


def test_where_a_record_is_lost_repair_is_named(out):
    manifest = out / "manifest.jsonl"
    flip(manifest, manifest.stat().st_size - 200)
    report = verify_output(out)
    assert len(report.problems) == 3  # the case, and both files
    assert all("`repair` rebuilds records that are lost" in finding.problem for finding in report.problems)
    manifest.unlink()
    with pytest.raises(RecordError, match=r"no manifest\.jsonl there.* or `repair` rebuilds"):
        verify_output(out)


@pytest.mark.parametrize(("key", "value"), [("target_spacing", [9.0, 9.0, 9.0]), ("recipe", {"order": 1})])
def test_a_run_json_that_was_edited_is_named(out, key, value):
    facts = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(facts | {key: value}))
    (finding,) = verify_output(out).problems
    assert finding.subject == "run.json"
    assert "another recipe or target spacing than it says" in finding.problem


def test_an_interrupted_redo_leaves_the_old_pair(out):
    append(out, {"event": "started", "case": CASE})
    report = verify_output(out)
    assert report.problems == ()
    assert report.unfinished[0].problem == "was interrupted; the files that are there are of a run before"
    assert CASE not in report.intact
    flip(out / IMAGE, 5000)
    assert [finding.subject for finding in verify_output(out).problems] == [IMAGE]


def test_a_case_that_was_committed_but_not_recorded(out):
    record = latest(out)
    append(out, {"event": "started", "case": CASE})
    volumes = {tuple(name.split("/")): read_npz(out / name) for name in (IMAGE, LABEL)}
    others = {place: replace(volume, array=volume.array + 1) for place, volume in volumes.items()}
    with open_store(out) as store:
        commit_files(store, record, stage_files(store, others))
    assert verify_output(out).problems == (), "its files are not those of its last record, and need not be"


def test_an_outdated_case_of_a_journal_hides_no_damage(out):
    """It will not be put in place: newer records are there."""
    with open_store(out, replace(this_writer(), host="elsewhere").name) as store:
        staged = stage_files(store, {tuple(name.split("/")): read_npz(out / name) for name in (IMAGE, LABEL)})
        moves = [file.move for file in staged]
        record = latest(out)
        for role, file in zip(("label", "image"), staged, strict=True):
            record["outputs"][role] |= {"mtime_ns": file.mtime_ns}
        store.staging.create(entry_name(CASE), [seal({"record": record, "moves": moves}).encode()])
        os.utime(store.staging.path / entry_name(CASE), (1, 1))
    flip(out / IMAGE, 5000)
    assert [finding.subject for finding in verify_output(out).problems] == [IMAGE, ".partial"]


def test_a_folder_without_records(tmp_path):
    with pytest.raises(RecordError, match=r"no manifest\.jsonl"):
        verify_output(tmp_path)


def test_a_run_that_is_alive_is_waited_for(out):
    hold = (
        "import sys; from pathlib import Path; from monai_mriprep.store.lock import exclusive\n"
        "from monai_mriprep.store.folder import opened\n"
        "with opened(Path(sys.argv[1])) as root, exclusive(root):\n    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=f"process {holder.pid}"):
            verify_output(out)
        holder.communicate()
    assert verify_output(out).findings == ()
