"""What a lock says of a folder, and which folders get none."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep._version import __version__
from monai_mriprep.errors import DatasetError, LockedError, RecordError
from monai_mriprep.machine import processor_type
from monai_mriprep.proof.lock import lock_output
from monai_mriprep.proof.lock_file import read_lock
from monai_mriprep.recipe import Recipe
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.store import open_store
from tests.proof.locks import made_again, write_lock
from tests.runs import FOLDER_OF_0_1_0, append_record, done_records, write_case, write_cases, write_troubled_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


def problems(output: Path, **given: object) -> dict[str, str]:
    """Why a folder is not locked; the lock is empty then."""
    found = lock_output(output, workers=1, **given)
    assert found.lines == ()
    return {finding.subject: finding.problem for finding in found.problems}


def test_it_says_what_numpy_and_hashlib_say(finished):
    lock = read_lock(finished / "data.lock")
    assert lock.head.cases == ("case_0", "case_1")
    assert lock.head.target_spacing == (2.0, 1.0, 1.0)
    assert lock.head.recipe == Recipe(target_spacing=(2.0, 1.0, 1.0)).as_dict()
    ((made),) = lock.head.made
    assert (made.versions["monai-mriprep"], made.processor) == (__version__, processor_type())
    case, record = lock.case("case_1"), done_records(finished / "out")["case_1"]
    (source,) = case.sources["image"]
    scan = finished / "dataset" / source.path
    assert source.path == "ImagesTr/case_1.mha"
    assert (source.size, source.sha256) == (scan.stat().st_size, hashlib.sha256(scan.read_bytes()).hexdigest())
    for role, output in case.outputs.items():
        array = np.load(finished / "out" / output.path)["arr_0"]
        assert output.path == record.outputs[role].path
        assert (output.dtype, output.shape) == (array.dtype.name, array.shape)
        assert output.sha256 == hashlib.sha256(array.tobytes()).hexdigest()
        assert output.crc32 == record.outputs[role].crc32
        assert (output.low, output.high) == (array.min(), array.max())
        assert np.isin(output.values(), array).all()
    assert case.trace == record.recorded_trace
    assert case.classes == hashlib.sha256(json.dumps(record.recorded_classes, sort_keys=True).encode()).hexdigest()


def test_equal_folders_give_equal_bytes_and_no_time_or_place_is_in_it(finished, place):
    text = (finished / "data.lock").read_text()
    assert str(finished) not in text
    moved = write_lock(place / "out", place / "moved.lock", dataset=place / "dataset")
    assert moved.read_text() == text
    preprocess(place / "dataset", place / "again", Recipe(target_spacing=(2.0, 1.0, 1.0)), workers=0)
    assert write_lock(place / "again", place / "again.lock").read_text() == text


def test_a_source_that_was_changed_or_is_missing_is_refused_by_name(place):
    dataset = place / "dataset"
    scan = bytearray((dataset / "ImagesTr/case_0.mha").read_bytes())
    scan[-5] ^= 1
    (dataset / "ImagesTr/case_0.mha").write_bytes(scan)
    (dataset / "LabelsTr/case_1.mha").unlink()
    found = problems(place / "out", dataset=dataset)
    assert "ImagesTr/case_0.mha has changed: its SHA-256" in found["case_0"]
    assert "LabelsTr/case_1.mha is missing" in found["case_1"]


def test_a_file_that_is_not_as_recorded_is_refused_by_name(place):
    stored = place / "out/imagesTr/case_0.npz"
    stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    (place / "out/labelsTr/case_1.npz").unlink()
    found = problems(place / "out", dataset=place / "dataset")
    assert found["case_0"].startswith("imagesTr/case_0.npz is damaged or was changed")
    assert found["case_1"].startswith("labelsTr/case_1.npz is missing")


def test_what_failed_or_was_interrupted_is_refused_unless_the_others_are_wanted_alone(tmp_path):
    dataset = write_troubled_cases(tmp_path / "dataset")
    preprocess(dataset, tmp_path / "out", workers=0, report=False)
    append_record(tmp_path / "out", {"event": "started", "case": "case_1", "pid": 1})
    found = problems(tmp_path / "out")
    assert found["case_1"].startswith("was interrupted")
    assert found["case_2"].startswith("has failed: ")
    assert "--partial" in found["case_2"]
    lock = read_lock(write_lock(tmp_path / "out", tmp_path / "data.lock", allow_partial=True))
    assert (lock.head.cases, lock.head.left_out) == (("case_0",), ("case_1", "case_2"))
    append_record(tmp_path / "out", {"event": "started", "case": "case_0", "pid": 1})
    assert "no case is finished" in problems(tmp_path / "out", allow_partial=True)[str(tmp_path / "out")]


def test_cases_that_no_run_has_begun_are_counted(place):
    append_record(place / "out", {"event": "opened", "dataset_root": str(place / "dataset"), "cases": 5})
    found = problems(place / "out", dataset=place / "dataset")
    assert found == {"manifest.jsonl": found["manifest.jsonl"]}
    assert "3 cases of the last run were not begun" in found["manifest.jsonl"]
    lock = write_lock(place / "out", place / "part.lock", dataset=place / "dataset", allow_partial=True)
    assert (read_lock(lock).head.left_out, read_lock(lock).head.not_begun) == ((), 3)
    assert made_again(lock, place / "dataset", cases=["case_0"]).unfinished == 3
    append_record(place / "out", {"event": "opened", "dataset_root": str(place / "dataset"), "cases": 1})
    assert read_lock(write_lock(place / "out", lock, dataset=place / "dataset")).head.not_begun == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [({"repaired": True}, "its record was rebuilt"), ({"fingerprint": "0" * 16}, "was made by another recipe")],
    ids=["rebuilt", "other recipe"],
)
def test_a_record_that_does_not_tell_how_it_was_made_is_refused(place, change, said):
    record = json.loads((place / "out/manifest.jsonl").read_text().splitlines()[-1])
    append_record(place / "out", {key: value for key, value in record.items() if key != "digest"} | change)
    found = problems(place / "out", dataset=place / "dataset")
    assert said in found[record["case"]]


def test_a_damaged_record_is_refused_by_its_case(place):
    text = (place / "out/manifest.jsonl").read_text()
    (place / "out/manifest.jsonl").write_text(text.replace('"mean": 4', '"mean": 5'))
    assert "cannot be trusted" in problems(place / "out", dataset=place / "dataset")["case_0"]


def test_sources_are_looked_for_where_each_run_has_read(finished, place):
    append_record(place / "out", {"event": "opened", "dataset_root": str(place / "other"), "cases": 2})
    text = write_lock(place / "out", place / "other.lock").read_text()
    assert text.splitlines()[1:3] == (place / "data.lock").read_text().splitlines()[1:3]


def test_sources_are_named_as_the_last_run_has_seen_them(finished, place):
    append_record(place / "out", {"event": "opened", "dataset_root": str(finished), "cases": 2})
    (source,) = read_lock(write_lock(place / "out", place / "last.lock")).case("case_0").sources["image"]
    assert source.path == "dataset/ImagesTr/case_0.mha"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: run["recipe"].update(order=1), "its fingerprint is of another recipe or target spacing"),
        (lambda run: run.update(algorithm_version=9), "version 9 of the algorithm, and this is 1"),
    ],
    ids=["recipe", "version"],
)
def test_a_folder_that_contradicts_itself_gets_no_lock(place, change, said):
    run = json.loads((place / "out/run.json").read_text())
    change(run)
    (place / "out/run.json").write_text(json.dumps(run))
    with pytest.raises(RecordError, match=said):
        lock_output(place / "out")


@pytest.mark.parametrize("change", [{"virtual": True}, {"like": "training"}], ids=["virtual", "test set"])
def test_a_folder_with_other_files_than_it_says_gets_no_lock(place, change):
    run = json.loads((place / "out/run.json").read_text())
    (place / "out/run.json").write_text(json.dumps(run | change))
    found = problems(place / "out", dataset=place / "dataset")
    assert all("has other files than run.json says" in problem for problem in found.values())
    assert found.keys() == {"case_0", "case_1"}


def test_without_records_or_run_json_there_is_nothing_to_lock(place):
    (place / "out/run.json").unlink()
    with pytest.raises(RecordError, match="recipe and target are not known"):
        lock_output(place / "out")
    with pytest.raises(RecordError, match=r"no manifest\.jsonl there"):
        lock_output(place / "dataset")


def test_nothing_is_locked_while_a_run_is_alive_or_from_sources_in_a_store(place):
    with (
        open_store(place / "out") as store,
        exclusive(store.root),
        pytest.raises(LockedError, match="another run is alive"),
    ):
        lock_output(place / "out")
    with pytest.raises(DatasetError, match="a folder is needed here"):
        lock_output(place / "out", dataset="s3://bucket/scans")


def test_two_runs_with_other_packages_are_both_told(place):
    versions = {"torch": "1.0"}
    opened = {"event": "opened", "dataset_root": str(place / "dataset"), "cases": 2, "versions": versions}
    append_record(place / "out", opened)
    made = read_lock(write_lock(place / "out", place / "two.lock", dataset=place / "dataset")).head.made
    assert len(made) == 2
    assert {one.processor for one in made} == {None, processor_type()}


def test_a_dataset_behind_links_is_named_below_its_root(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    write_case(tmp_path / "elsewhere", "case_0")
    (tmp_path / "disk/dataset").mkdir()
    for folder in ("ImagesTr", "LabelsTr"):
        (tmp_path / "disk/dataset" / folder).symlink_to(tmp_path / "elsewhere" / folder)
    preprocess(tmp_path / "data/dataset", tmp_path / "out", workers=0, report=False)
    (source,) = read_lock(write_lock(tmp_path / "out", tmp_path / "data.lock")).case("case_0").sources["image"]
    assert source.path == "ImagesTr/case_0.mha"


def test_a_source_outside_of_the_dataset_is_refused(place):
    append_record(place / "out", {"event": "opened", "dataset_root": str(place / "other"), "cases": 2})
    run = json.loads((place / "out/run.json").read_text())
    (place / "out/run.json").write_text(json.dumps(run | {"dataset_root": str(place / "other")}))
    lines = [json.loads(line) for line in (place / "out/manifest.jsonl").read_text().splitlines()]
    (place / "out/manifest.jsonl").unlink()
    for line in lines:
        if line.get("event") == "done":
            append_record(place / "out", {key: line[key] for key in line if key not in ("version", "digest")})
    assert "lies outside of the dataset" in problems(place / "out")["case_0"]
    lock = write_lock(place / "out", place / "end.lock", dataset=place / "dataset")
    assert lock.read_text().splitlines()[1] == (place / "data.lock").read_text().splitlines()[1], (
        "by the end of its path"
    )


def test_a_dataset_that_was_moved_between_two_runs_is_found_where_it_is(tmp_path):
    dataset = write_cases(tmp_path / "dataset", 1)
    preprocess(dataset, tmp_path / "out", workers=0, report=False)
    first = write_lock(tmp_path / "out", tmp_path / "first.lock").read_text()
    moved = dataset.rename(tmp_path / "moved")
    assert "is missing; run again, then lock, or say by --dataset" in problems(tmp_path / "out")["case_0"]
    preprocess(moved, tmp_path / "out", workers=0, report=False)
    assert write_lock(tmp_path / "out", tmp_path / "second.lock").read_text() == first


def test_an_object_in_a_store_is_locked_by_a_copy_alone(place):
    lines = [json.loads(line) for line in (place / "out/manifest.jsonl").read_text().splitlines()]
    (place / "out/manifest.jsonl").unlink()
    for line in lines:
        for source in line.get("sources", {}).values():
            source["path"] = "s3://bucket/scans/" + "/".join(Path(source["path"]).parts[-2:])
        if "dataset_root" in line:
            line["dataset_root"] = "s3://bucket/scans"
        append_record(place / "out", {key: line[key] for key in line if key not in ("version", "digest")})
    run = json.loads((place / "out/run.json").read_text())
    (place / "out/run.json").write_text(json.dumps(run | {"dataset_root": "s3://bucket/scans"}))
    assert "is an object in a store; give a copy" in problems(place / "out")["case_0"]
    lock = write_lock(place / "out", place / "copy.lock", dataset=place / "dataset")
    assert lock.read_text() == (place / "data.lock").read_text()


@pytest.mark.parametrize(
    "version", ["0_8_0", *(pytest.param(old, marks=pytest.mark.stress) for old in ("0_1_0", "0_4_0"))]
)
def test_a_folder_of_an_older_version_is_locked_by_where_its_dataset_is_now(tmp_path, version):
    root, scans = FOLDER_OF_0_1_0.parent / f"folder_of_{version}", FOLDER_OF_0_1_0 / "scans"
    lock = read_lock(write_lock(root / "out", tmp_path / "data.lock", dataset=scans))
    assert [one.processor for one in lock.head.made] == [None]
    (source,) = lock.case("10002_0001_0000").sources["image"]
    assert (source.path, [file.name for file in source.data]) == (
        "ImagesTr/10002_0001_0000.mhd",
        ["10002_0001_0000.raw"],
    )
    found = made_again(lock.path, scans)
    assert found.is_proven
    assert not found.to_the_bit
    assert found.exact + found.close == lock.head.cases
    assert "processor unknown in the lock" in found.unlike[-1]


def test_nothing_is_written_into_the_folder(place):
    def state() -> list[tuple[str, int]]:
        return sorted((str(path), path.stat().st_mtime_ns) for path in (place / "out").rglob("*"))

    before = state()
    write_lock(place / "out", place / "data.lock", dataset=place / "dataset")
    assert state() == before
    with open_store(place / "out") as store:
        assert not store.partial.names()


@pytest.mark.stress
def test_shards_that_are_not_merged_are_locked_as_one(tmp_path):
    dataset = write_cases(tmp_path / "dataset", 2)
    for number in (1, 2):
        preprocess(dataset, tmp_path / "out", workers=0, report=False, shard=f"{number}/2")
    assert read_lock(write_lock(tmp_path / "out", tmp_path / "data.lock")).head.cases == ("case_0", "case_1")
