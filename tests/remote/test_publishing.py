"""What a run has done is written back: volumes first, then the records that tell of them."""

from __future__ import annotations

import json

import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import RemoteError
from monai_mriprep.remote import objects, publishing, run
from monai_mriprep.store.journal import entry_name
from tests.runs import write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")

ADDRESS = "memory://bucket/out"


@pytest.fixture
def scans(store, tmp_path):
    return write_cases(tmp_path / "scans", 3)


@pytest.fixture
def out(store):
    """The objects of the output."""
    return objects.Objects(ADDRESS)


def lines(out) -> list[dict]:
    """All records, in their order."""
    batches = sorted(name for name in out.list() if name.startswith(".records/"))
    return [json.loads(line) for batch in batches for line in out.read(batch).splitlines()]


def test_a_run_is_that_of_a_folder(scans, out, tmp_path):
    run.preprocess(scans, ADDRESS, workers=0)
    preprocess(scans, tmp_path / "local", workers=0)
    for path in sorted((tmp_path / "local").glob("*Tr/*.npz")):
        assert out.read(f"{path.parent.name}/{path.name}") == path.read_bytes()
    assert out.read("dataset.json") == (tmp_path / "local" / "dataset.json").read_bytes()
    done = [line for line in lines(out) if line["event"] == "done"]
    for line in done:
        for file in line["outputs"].values():
            stored = out.look(file["path"])
            assert (file["size"], file["etag"]) == (stored.size, stored.etag)
    assert len(run.preprocess(scans, ADDRESS, workers=0).skipped) == 3


def test_a_record_is_written_after_the_volumes_it_tells_of(scans, out, monkeypatch):
    order, real = [], objects.Objects.put
    monkeypatch.setattr(
        objects.Objects, "put", lambda self, name, content: order.append(name) or real(self, name, content)
    )
    monkeypatch.setattr(publishing, "BATCH_RECORDS", 1)
    run.preprocess(scans, ADDRESS, workers=0)
    batches = [place for place, name in enumerate(order) if name.startswith(".records/")]
    assert len(batches) == 4  # of the opening, and of each case
    for place in batches:
        told = [json.loads(line) for line in out.read(order[place]).splitlines()]
        told = [file["path"] for line in told for file in line.get("outputs", {}).values()]
        assert set(told) <= set(order[:place])
    for number in range(3):  # a case whose image is there is whole
        assert order.index(f"labelsTr/case_{number}.npz") < order.index(f"imagesTr/case_{number}.npz")


def test_the_stage_holds_volumes_only_until_they_are_recorded(scans, monkeypatch, tmp_path):
    monkeypatch.setattr(publishing, "BATCH_RECORDS", 1)
    left, real = [], publishing.Publisher.publish

    def publish(self):
        real(self)
        left.append(len(list(self._output.root.glob("*Tr/*.npz"))))

    monkeypatch.setattr(publishing.Publisher, "publish", publish)
    run.preprocess(scans, ADDRESS, workers=0, scratch=tmp_path)
    assert max(left) <= 4
    assert left[-1] == 0


def test_a_volume_goes_from_the_stage_after_its_entry_in_the_journal(scans, out, monkeypatch):
    """A crash in between would leave an entry that tells of a file which is not there."""
    monkeypatch.setattr(publishing, "BATCH_RECORDS", 1)
    both, real = [], publishing.Publisher.publish

    def publish(self):
        real(self)
        done = {entry_name(line["case"]) for line in lines(out) if line["event"] == "done"}
        both.append(done & {path.name for path in (self._output.root / ".partial").rglob("*")})

    monkeypatch.setattr(publishing.Publisher, "publish", publish)
    run.preprocess(scans, ADDRESS, workers=0)
    assert len(both) >= 4
    assert not any(both)


def test_a_case_whose_volume_cannot_be_written_fails_by_name_and_is_done_by_the_next_run(scans, out, monkeypatch):
    real = objects.Objects.put

    def put(self, name, content):
        if name == "imagesTr/case_1.npz":
            msg = "no"
            raise RemoteError(msg)
        return real(self, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(objects.Objects, "put", put)
        (failed,) = run.preprocess(scans, ADDRESS, workers=0).failed
    assert (failed.case, failed.error) == ("case_1", "its files cannot be written back: no")
    assert [line["event"] for line in lines(out) if line.get("case") == "case_1"] == ["started", "failed"]
    assert [result.case for result in run.preprocess(scans, ADDRESS, workers=0).done] == ["case_1"]


def test_a_case_that_comes_back_and_one_that_left(scans, out):
    run.preprocess(scans, ADDRESS, workers=0)
    assert ".report/case_1.webp" in out.list()
    for folder in ("ImagesTr", "LabelsTr"):
        (scans / folder / "case_1.mha").unlink()
    assert run.preprocess(scans, ADDRESS, workers=0).retired == ("case_1",)
    (retired,) = (line for line in lines(out) if line["event"] == "retired")
    assert retired["files"] == ["retired/imagesTr/case_1.npz", "retired/labelsTr/case_1.npz"]
    assert ".report/case_1.webp" not in out.list()
    write_case(scans, "case_1", seed=1)
    assert [result.case for result in run.preprocess(scans, ADDRESS, workers=0).done] == ["case_1"]
    assert {"imagesTr/case_1.npz", "retired/imagesTr/case_1.npz"} < out.list().keys()


def test_a_picture_that_cannot_be_written_is_a_warning(scans, out, monkeypatch):
    real = objects.Objects.put

    def put(self, name, content):
        if name == ".report/case_1.webp":
            raise RemoteError(name)
        return real(self, name, content)

    monkeypatch.setattr(objects.Objects, "put", put)
    done = {result.case: result for result in run.preprocess(scans, ADDRESS, workers=0).done}
    assert sorted(done) == ["case_0", "case_1", "case_2"]
    assert done["case_1"].warnings[-1] == "case_1: the report cannot show it: .report/case_1.webp"
