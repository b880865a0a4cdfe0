"""An output on an S3 server: the same volumes, the same records, whatever goes wrong on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import OutputError, RemoteError
from monai_mriprep.recipe import Recipe
from monai_mriprep.remote import objects, publishing, run
from tests.cli.shell import cli
from tests.cluster.test_remote_dataset import SCANS, volumes
from tests.runs import done_records, write_case, write_cases

pytestmark = [pytest.mark.stress, pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")]

CASES = 6
FULL = "the store is full"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(objects, "PAUSES", (0.01, 0.02, 0.04))


@pytest.fixture
def scans(bucket, tmp_path):
    """A dataset in the store, and a place for an output; the same dataset in a folder, and what a run makes of it."""
    from tests.cluster.servers import upload

    fs, address = bucket
    local = write_cases(tmp_path / "scans", CASES, (16, 40, 40))
    upload(fs, local, f"{address}/scans")
    preprocess(local, tmp_path / "local", workers=0)
    return fs, f"{address}/scans", f"{address}/out"


def fetched(fs, address: str, folder: Path) -> Path:
    """A copy of an output."""
    from tests.cluster.servers import download

    return download(fs, address, folder)


def names(fs, address: str) -> list[str]:
    root = address.removeprefix("s3://")
    return sorted(name.removeprefix(f"{root}/") for name in fs.find(root))


def events(fs, address: str) -> Counter:
    """How many records of each kind the record objects hold."""
    batches = [f"{address}/{name}" for name in names(fs, address) if name.startswith(".records/")]
    return Counter(json.loads(line)["event"] for batch in batches for line in fs.cat_file(batch).splitlines())


@pytest.mark.parametrize("workers", [0, 2])
def test_the_volumes_are_those_of_a_folder_and_a_second_run_does_nothing(scans, server, tmp_path, workers):
    fs, address, output = scans
    server.quiet()
    summary = run.preprocess(address, output, workers=workers, scratch=tmp_path)
    assert (len(summary.done), summary.failed, summary.output_root) == (CASES, (), output)
    asked = server.requests.copy()
    assert volumes(fetched(fs, output, tmp_path / "copy")) == volumes(tmp_path / "local")
    again = run.preprocess(address, output, workers=workers, scratch=tmp_path)
    assert (again.done, len(again.skipped)) == ((), CASES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "local", "scans"]
    # Of a case: headers and files, read and looked at; two volumes and a picture, written and looked at.
    assert asked["PUT"] <= 3 * CASES + 8
    assert asked["GET"] <= 4 * CASES + 6
    assert asked["HEAD"] <= 5 * CASES + 12


def test_a_copy_of_the_output_is_an_output_folder(scans, tmp_path):
    fs, address, output = scans
    done = cli("run", address, output, "--workers", 2, "--scratch", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"results       {output}" in done.stdout
    assert f"report        {output}/report.html" in done.stdout
    assert "mriprep-" not in done.stdout + done.stderr
    copy = fetched(fs, output, tmp_path / "copy")
    verified = cli("verify", copy)
    assert verified.returncode == 0, verified.stdout
    texts = [path.read_text() for path in copy.rglob("*") if path.suffix in (".json", ".jsonl", ".csv", ".html")]
    assert len(texts) >= 6
    for told in (str(tmp_path), "secret", "mriprep-"):
        assert not any(told in text for text in texts), told
    assert (copy / "dataset.json").read_bytes() == (tmp_path / "local" / "dataset.json").read_bytes()
    of_copy, local = done_records(copy), done_records(tmp_path / "local")
    for case, record in of_copy.items():
        assert record.outputs["image"].sha256 == local[case].outputs["image"].sha256
        assert record.outputs["image"].etag
    (tmp_path / "predictions").mkdir()
    for case in ("case_0", "case_3"):
        (tmp_path / "predictions" / f"{case}.npz").write_bytes((copy / "labelsTr" / f"{case}.npz").read_bytes())
    restored = cli("restore", copy, tmp_path / "predictions", tmp_path / "restored")
    assert restored.returncode == 0, restored.stderr
    for case in ("case_0", "case_3"):
        assert list((tmp_path / "restored").glob(f"{case}*"))


@pytest.mark.parametrize(("fault", "count"), [("failed put", 4), ("lost get", 4), ("slow get", 1), ("failed get", 4)])
def test_what_goes_wrong_on_the_way_is_tried_again(scans, server, tmp_path, fault, count):
    fs, address, output = scans
    server.faults[fault] = count
    summary = run.preprocess(address, output, workers=0, scratch=tmp_path)
    assert (len(summary.done), summary.failed) == (CASES, ())
    assert server.faults[fault] == 0
    assert volumes(fetched(fs, output, tmp_path / "copy")) == volumes(tmp_path / "local")
    assert events(fs, output)["done"] == CASES


def test_a_case_whose_volume_cannot_be_written_fails_by_name(scans, server, tmp_path, monkeypatch):
    fs, address, output = scans
    real = objects.Objects.put

    def put(self, name, content):
        if name == "imagesTr/case_2.npz":
            raise RemoteError(FULL)
        return real(self, name, content)

    monkeypatch.setattr(objects.Objects, "put", put)
    (failed,) = run.preprocess(address, output, workers=0, scratch=tmp_path).failed
    assert (failed.case, failed.error) == ("case_2", "its files cannot be written back: the store is full")
    assert events(fs, output) == {"opened": 1, "started": CASES, "done": CASES - 1, "failed": 1}
    assert len(json.loads(fs.cat_file(f"{output}/dataset.json"))["training"]) == CASES - 1
    monkeypatch.undo()
    assert [result.case for result in run.preprocess(address, output, workers=0).done] == ["case_2"]
    assert volumes(fetched(fs, output, tmp_path / "copy")) == volumes(tmp_path / "local")


def test_records_that_cannot_be_written_stop_the_run_and_nothing_is_lost(scans, tmp_path, monkeypatch):
    fs, address, output = scans
    real = objects.Objects.put
    monkeypatch.setattr(publishing, "BATCH_RECORDS", 2)

    def put(self, name, content):
        if name.startswith(".records/") and name.endswith("/000003.jsonl"):
            raise RemoteError(FULL)
        return real(self, name, content)

    monkeypatch.setattr(objects.Objects, "put", put)
    with pytest.raises(RemoteError, match="the store is full"):
        run.preprocess(address, output, workers=0, scratch=tmp_path)
    monkeypatch.setattr(objects.Objects, "put", real)
    again = run.preprocess(address, output, workers=0)
    assert (len(again.done), len(again.skipped)) == (CASES - 2, 2)
    assert volumes(fetched(fs, output, tmp_path / "copy")) == volumes(tmp_path / "local")


def test_what_was_changed_in_the_store_is_done_again(scans, tmp_path):
    fs, address, output = scans
    run.preprocess(address, output, workers=0)
    fs.pipe_file(f"{output}/imagesTr/case_1.npz", b"x" * fs.size(f"{output}/imagesTr/case_1.npz"))
    fs.rm_file(f"{output}/labelsTr/case_4.npz")
    fs.pipe_file(f"{address}/LabelsTr/case_5.mha", fs.cat_file(f"{address}/LabelsTr/case_0.mha"))
    again = run.preprocess(address, output, workers=0)
    assert sorted(result.case for result in again.done) == ["case_1", "case_4", "case_5"]
    assert len(run.preprocess(address, output, workers=0).skipped) == CASES


def test_a_case_that_left_is_retired_in_the_store(scans, tmp_path):
    fs, address, output = scans
    run.preprocess(address, output, workers=0)
    for folder in ("ImagesTr", "LabelsTr"):
        fs.rm_file(f"{address}/{folder}/case_3.mha")
    assert run.preprocess(address, output, workers=0).retired == ("case_3",)
    found = names(fs, output)
    assert {"retired/imagesTr/case_3.npz", "retired/labelsTr/case_3.npz"} < set(found)
    assert not {"imagesTr/case_3.npz", "labelsTr/case_3.npz", ".report/case_3.webp"} & set(found)
    assert cli("verify", fetched(fs, output, tmp_path / "copy")).returncode == 0


def test_an_output_keeps_its_recipe(scans):
    _, address, output = scans
    run.preprocess(address, output, workers=0)
    with pytest.raises(OutputError, match=r"s3://.*/out: 6 cases are finished there, and a folder keeps its recipe"):
        run.preprocess(address, output, Recipe(crop="nonzero"), workers=0)
    redone = run.preprocess(address, output, Recipe(crop="nonzero"), workers=0, redo=True)
    assert len(redone.done) == CASES
    assert len(run.preprocess(address, output, Recipe(crop="nonzero"), workers=0).skipped) == CASES


def test_two_runs_that_begin_at_once_do_not_mix_recipes(scans, monkeypatch):
    fs, address, output = scans
    real = objects.Objects.create

    def create(self, name, content):
        other = json.loads(content) | {"fingerprint": "of another recipe"}
        fs.pipe_file(f"{output}/run.json", json.dumps(other).encode())  # between the listing and this
        return real(self, name, content)

    monkeypatch.setattr(objects.Objects, "create", create)
    with pytest.raises(OutputError, match="another run has begun there at this moment"):
        run.preprocess(address, output, workers=0)
    assert names(fs, output) == ["run.json"]


def test_a_copied_folder_is_no_output_to_go_on_with(scans, tmp_path):
    from tests.cluster.servers import upload

    fs, address, output = scans
    upload(fs, tmp_path / "local", output)
    with pytest.raises(OutputError, match=r"is a copy of an output folder, without .records/"):
        run.preprocess(address, output, workers=0)
    with pytest.raises(OutputError, match="the output would mix with the dataset"):
        run.preprocess(address, f"{address}/out", workers=0)


def test_a_killed_run_is_resumed(bucket, tmp_path):
    """SIGKILL after the first batch of records: what that tells of is not done again, and nothing is missing."""
    fs, address = bucket
    local = tmp_path / "scans"
    for number in range(150):
        write_case(local, f"case_{number}", seed=number)
    argv = [sys.executable, "-m", "monai_mriprep", "run", local, f"{address}/out", "--workers", "1", "--no-report"]
    process = subprocess.Popen([*map(str, argv)], cwd=Path(__file__).parents[2], stdout=-3, stderr=-3)
    end = time.monotonic() + 120
    while process.poll() is None and events(fs, f"{address}/out")["done"] < 64:
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    known = events(fs, f"{address}/out")["done"]
    assert 64 <= known < 150
    again = run.preprocess(local, f"{address}/out", workers=0, report=False)
    assert (len(again.skipped), len(again.done), again.failed) == (known, 150 - known, ())
    assert events(fs, f"{address}/out")["done"] == 150
    preprocess(local, tmp_path / "local", workers=0, report=False)
    assert volumes(fetched(fs, f"{address}/out", tmp_path / "copy")) == volumes(tmp_path / "local")


def test_an_interrupted_run_writes_back_what_it_has_finished(scans, monkeypatch):
    fs, address, output = scans
    real = publishing.Publisher._noted
    seen = []

    def noted(self, result):
        seen.append(result)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return real(self, result)

    monkeypatch.setattr(publishing.Publisher, "_noted", noted)
    with pytest.raises(KeyboardInterrupt):
        run.preprocess(address, output, workers=0)
    monkeypatch.undo()
    assert events(fs, output)["done"] >= 4
    again = run.preprocess(address, output, workers=0)
    assert len(again.skipped) == events(fs, output)["done"] - len(again.done) >= 4


def test_two_shards_at_once_are_merged(scans, tmp_path):
    fs, address, output = scans
    argv = [sys.executable, "-m", "monai_mriprep", "run", address, output, "--workers", "1", "--shard"]
    root = Path(__file__).parents[2]
    shards = [subprocess.Popen([*argv, f"{n}/2"], cwd=root, stdout=-3, stderr=-1, text=True) for n in (1, 2)]
    for shard in shards:
        _, errors = shard.communicate(timeout=120)
        assert shard.returncode == 0, errors
    assert events(fs, output) == {"opened": 2, "started": CASES, "done": CASES}
    assert not {"manifest.jsonl", "dataset.json", "report.html"} & set(names(fs, output))
    merged = cli("merge", output, cwd=tmp_path)
    assert merged.returncode == 0, merged.stdout + merged.stderr
    assert f"report        {output}/report.html" in merged.stdout
    assert "mriprep-" not in merged.stdout + merged.stderr
    copy = fetched(fs, output, tmp_path / "copy")
    assert volumes(copy) == volumes(tmp_path / "local")
    assert cli("verify", copy).returncode == 0
    assert (copy / "dataset.json").read_bytes() == (tmp_path / "local" / "dataset.json").read_bytes()
    assert str(tmp_path) not in (copy / "report.html").read_text()
    assert cli("merge", output, cwd=tmp_path).returncode == 0
    again = run.preprocess(address, output, workers=0)
    assert (again.done, len(again.skipped)) == ((), CASES)


def test_two_shards_of_a_plan_ask_for_their_own_objects_alone(scans, server, tmp_path):
    fs, address, output = scans
    planned = cli("plan", address, output, "--scratch", tmp_path, cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert f"{output}/cases.jsonl: SHA-256" in planned.stdout
    assert f"monai-mriprep run {address} {output} --scratch {tmp_path} --shard I/N" in planned.stdout
    assert "mriprep-" not in planned.stdout + planned.stderr
    server.quiet()
    done = 0
    for shard in ("1/2", "2/2"):
        asked = server.requests.copy()
        ran = cli("run", address, output, "--workers", 1, "--no-report", "--shard", shard, "--json", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        cases = len(json.loads(ran.stdout)["done"])
        # A listing of the output, run.json, table, list, two batches of the other shard; of each case its two files.
        assert server.requests["GET"] - asked["GET"] <= 2 * cases + 6
        done += cases
    assert done == CASES
    refused = cli("plan", address, output, cwd=tmp_path)
    assert (refused.returncode, "records of shards that are not merged" in refused.stderr) == (2, True)
    merged = cli("merge", output, cwd=tmp_path)
    assert merged.returncode == 0, merged.stdout + merged.stderr
    copy = fetched(fs, output, tmp_path / "copy")
    assert volumes(copy) == volumes(tmp_path / "local")
    assert cli("verify", copy).returncode == 0
    assert cli("plan", address, output, cwd=tmp_path).returncode == 0
    assert len(run.preprocess(address, output, workers=0).skipped) == CASES
    assert "cases.jsonl" not in names(fs, output)


def test_an_object_that_was_replaced_since_the_plan_fails_its_case_and_is_planned_again(scans, tmp_path):
    fs, address, output = scans
    assert cli("plan", address, output, cwd=tmp_path).returncode == 0
    fs.pipe_file(f"{address}/ImagesTr/case_5.mha", fs.cat_file(f"{address}/ImagesTr/case_0.mha"))
    (failed,) = run.preprocess(address, output, workers=2, shard="1/1").failed
    assert (failed.case, failed.error.endswith("plan it again")) == ("case_5", True)
    assert cli("merge", output, cwd=tmp_path).returncode == 1
    assert cli("plan", address, output, cwd=tmp_path).returncode == 0
    assert [result.case for result in run.preprocess(address, output, workers=0, shard="1/1").done] == ["case_5"]


def test_merge_says_which_shard_has_not_begun(scans, tmp_path):
    fs, address, output = scans
    assert cli("run", address, output, "--workers", 0, "--shard", "2/2", cwd=tmp_path).returncode == 0
    merged = cli("merge", output, "--json", cwd=tmp_path)
    assert merged.returncode == 1, merged.stderr
    found = json.loads(merged.stdout)
    assert (found["files"], found["not_begun"], found["output_root"]) == (1, ["1-of-2"], output)
    assert len(run.preprocess(address, output, workers=0).skipped) == found["done"] > 0
    assert volumes(fetched(fs, output, tmp_path / "copy")) == volumes(tmp_path / "local")


def test_real_scans_come_to_the_same(bucket, tmp_path, server):
    """From a store to a store; a second run from an empty scratch folder does nothing."""
    from tests.cluster.servers import upload

    if not SCANS.is_dir():
        pytest.skip(f"needs the scans of {SCANS}")
    fs, address = bucket
    upload(fs, SCANS, f"{address}/scans")
    preprocess(SCANS, tmp_path / "local", workers=2, report=False)
    server.quiet()
    summary = run.preprocess(f"{address}/scans", f"{address}/out", workers=2, report=False, scratch=tmp_path)
    assert (len(summary.done), summary.failed) == (8, ())
    assert server.requests.total() <= 13 * len(summary.done)
    assert volumes(fetched(fs, f"{address}/out", tmp_path / "copy")) == volumes(tmp_path / "local")
    (tmp_path / "empty").mkdir()
    again = run.preprocess(f"{address}/scans", f"{address}/out", workers=2, scratch=tmp_path / "empty")
    assert (again.done, len(again.skipped)) == ((), 8)
