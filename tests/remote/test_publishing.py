"""What a run has done is written back: volumes first, then the records that tell of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import RemoteError
from monai_mriprep.formats.sealed import seal
from monai_mriprep.remote import objects, publishing, run
from monai_mriprep.remote.output import RemoteOutput
from monai_mriprep.run.cases import Result
from monai_mriprep.store.journal import entry_name
from monai_mriprep.store.layout import MANIFEST
from monai_mriprep.store.record_parts import Origin
from tests.runs import done_line, write_case, write_cases

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


class Stage:
    """A publisher, and a session that is there by its names alone; its records are put into their file by hand."""

    def __init__(self, out, scratch, before: tuple[dict, ...] = (), file: str = MANIFEST) -> None:
        if before:
            out.put(".records/0001.x/000001.jsonl", "".join(f"{seal(line)}\n" for line in before).encode())
        scratch.mkdir()
        self.output, self.removed = RemoteOutput(out, scratch), []
        self.output.read_records()
        self.file = self.output.root / file
        recorder = SimpleNamespace(file=file, flush=lambda: None)
        staging = SimpleNamespace(remove=self.removed.append)
        store = SimpleNamespace(writer="w", staging=staging)
        self.publisher = publishing.Publisher(self.output, SimpleNamespace(recorder=recorder, store=store))

    def record(self, *records: dict) -> None:
        with self.file.open("a") as file:
            file.writelines(f"{seal(record)}\n" for record in records)

    def volumes(self, *paths: str) -> None:
        for path in paths:
            (self.output.root / path).parent.mkdir(exist_ok=True)
            (self.output.root / path).write_bytes(path.encode())


@pytest.fixture
def stage(out, tmp_path) -> Callable[..., Stage]:
    """Makes one; its publisher comes to an end with the test."""
    made: list[Stage] = []

    def make(*before: dict, file: str = MANIFEST) -> Stage:
        made.append(Stage(out, tmp_path / str(len(made)), before, file))
        return made[-1]

    yield make
    for one in made:
        one.publisher.close()


def done(name: str, etag: str | None = "e", **paths: str) -> dict:
    """The record of a finished case; with volumes at other paths, and in a store."""
    line = done_line(name)
    for role, facts in line["outputs"].items():
        facts |= ({} if etag is None else {"etag": etag}) | ({"path": paths[role]} if role in paths else {})
    return line


def retired(name: str) -> dict:
    return {"event": "retired", "case": name, "files": []}


def gone(_: str) -> None:
    """In place of something that needs a file which is not there."""
    msg = "is gone"
    raise FileNotFoundError(msg)


def result_of(line: dict, *warnings: str) -> Result:
    return Result(line["case"], "done", warnings=warnings, facts={"outputs": line["outputs"]})


@pytest.mark.parametrize("batches", [1, 2])
def test_a_volume_that_another_case_has_stays_until_that_is_retired(stage, out, batches):
    """The first one is done again with another label, and the second has got the label that it had."""
    paths = ("imagesTr/a.npz", "imagesTr/b.npz", "labelsTr/a.npz", "labelsTr/old.npz")
    shared, alone = (done("b", label="labelsTr/a.npz"), done("a", label="labelsTr/old.npz"))
    for path in paths:
        out.put(path, path.encode())
    here = stage(alone, done("a"), shared)
    for number, name in enumerate("ab"):
        here.record(retired(name))
        if number or batches == 2:
            here.publisher.publish()
    of_a, of_b = (line["files"] for line in lines(out) if line["event"] == "retired")
    assert of_a == ["retired/imagesTr/a.npz"]
    assert of_b == ["retired/imagesTr/b.npz", "retired/labelsTr/a.npz"]
    assert out.read("retired/labelsTr/a.npz") == b"labelsTr/a.npz"
    assert "labelsTr/old.npz" in out.list()


def test_a_case_that_was_never_done_has_nothing_to_retire(stage, out):
    here = stage(done("a"))
    here.record(retired("z"), retired("a"))  # of the second, the volumes are not there any more
    here.publisher.publish()
    assert [line["files"] for line in lines(out) if line["event"] == "retired"] == [[], []]


@pytest.mark.parametrize("file", [MANIFEST, "manifest.0002.1-of-2.jsonl"])
def test_records_of_runs_before_are_not_written_again_and_new_ones_are_all(stage, out, file):
    here = stage(done("a"), done("b"), file=file)
    here.publisher.publish()
    assert [line["case"] for line in lines(out)] == ["a", "b"]
    here.record(retired("a"))
    here.publisher.publish()
    here.record(retired("b"))
    here.publisher.publish()
    here.publisher.publish()
    assert [line["case"] for line in lines(out)] == ["a", "b", "a", "b"]


def test_a_line_is_written_when_it_is_whole_and_one_that_is_no_record_as_it_is(stage, out):
    here = stage()
    with here.file.open("a") as file:
        file.write("no rec")
        file.flush()
        here.publisher.publish()
        assert out.list() == {}
        file.write("ord\n")
    here.publisher.publish()
    assert out.read(".records/0001.w/000001.jsonl") == b"no record\n"


def test_a_batch_that_failed_has_its_number_again(stage, out, monkeypatch):
    here, real = stage(), objects.Objects.put
    here.record(done("a"))

    def put(self, name, content):
        real(self, name, content)  # it is written, and the answer is lost
        raise RemoteError(name)

    with monkeypatch.context() as patch:
        patch.setattr(objects.Objects, "put", put)
        with pytest.raises(RemoteError):
            here.publisher.publish()
    here.record(done("b"))
    here.publisher.publish()
    here.record(done("c"))
    here.publisher.publish()
    assert sorted(out.list()) == [".records/0001.w/000001.jsonl", ".records/0001.w/000002.jsonl"]
    assert [line["case"] for line in lines(out)] == ["a", "b", "c"]


@pytest.mark.parametrize("known", ["nothing", "image"])
def test_what_a_session_has_found_at_its_end_is_written_before_its_record(stage, out, known, monkeypatch):
    """Whose worker has died before it could report, the image of which may be there."""
    here, found, order, real = stage(), done("a", etag=None), [], objects.Objects.put
    here.volumes("imagesTr/a.npz", "labelsTr/a.npz")
    if known == "image":
        found["outputs"]["image"]["etag"] = "older"
    monkeypatch.setattr(
        objects.Objects, "put", lambda self, name, content: order.append(name) or real(self, name, content)
    )
    here.record(found)
    here.publisher.publish()
    assert order == ["labelsTr/a.npz", "imagesTr/a.npz", ".records/0001.w/000001.jsonl"]
    (written,) = lines(out)
    for file in written["outputs"].values():
        assert file["etag"] == out.look(file["path"]).etag
        assert here.output.elsewhere[file["path"]].etag == file["etag"]
        assert not (here.output.root / file["path"]).exists()


def test_what_is_in_the_store_is_known_by_its_address_and_as_it_is_recorded(stage, out):
    here = stage()
    here.volumes("imagesTr/a.npz", "labelsTr/a.npz")
    assert [result.status for result in here.publisher.through([result_of(done("a", None))])] == ["done"]
    path = "imagesTr/a.npz"
    assert here.output.elsewhere[path] == Origin(f"{ADDRESS}/{path}", out.look(path).etag, 9, 1)


def test_a_result_keeps_its_warnings_whatever_cannot_be_written(stage, monkeypatch):
    here = stage()
    here.volumes("imagesTr/a.npz", "labelsTr/a.npz")
    monkeypatch.setattr(here.output, "put_picture", gone)
    whole, failed = here.publisher.through([result_of(done("a", None), "odd"), result_of(done("b", None), "odd")])
    shown = "the report cannot show it: is gone"
    assert (whole.status, whole.warnings) == ("done", ("odd", f"a: {shown}"))
    assert (failed.status, failed.warnings) == ("failed", ("odd", f"b: {shown}"))
    assert failed.error.startswith("its files cannot be written back: ")
    assert here.removed == [entry_name("b")]


def test_an_entry_of_the_journal_may_be_gone(stage, monkeypatch):
    here = stage()
    monkeypatch.setattr(here.publisher._session.store.staging, "remove", gone)
    assert [result.error for result in here.publisher.through([Result("a", "failed", "bad")])] == ["bad"]


def test_few_results_wait_for_their_files(stage, monkeypatch):
    here, pulled = stage(), []
    later = SimpleNamespace(submit=lambda work, result: SimpleNamespace(done=lambda: False, result=lambda: result))
    results = (pulled.append(number) or Result(str(number), "failed", "bad") for number in range(100))
    with monkeypatch.context() as patch:
        patch.setattr(here.publisher, "_threads", later)
        through = here.publisher.through(results)
        assert next(through).case == "0"
        assert len(pulled) == publishing.MOST_WAITING + 1
        assert [result.case for result in through] == [str(number) for number in range(1, 100)]


def test_a_batch_is_due_with_so_many_finished_cases_or_after_a_time(stage, monkeypatch):
    clock, published = [0.0], []
    monkeypatch.setattr(publishing, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(publishing, "BATCH_RECORDS", 3)
    here, real = stage(), publishing.Publisher.publish
    monkeypatch.setattr(publishing.Publisher, "publish", lambda self: published.append(now) or real(self))
    here.volumes("imagesTr/a.npz", "labelsTr/a.npz")
    whole, failed = result_of(done("a", None)), Result("b", "failed", "bad")
    ends = [(whole, 0), (whole, 0), (failed, 0), (failed, 0), (whole, 0), (whole, 0), (failed, 5.1), (failed, 6)]
    for now, (result, clock[0]) in enumerate(ends):  # noqa: B007
        list(here.publisher.through([result]))
    assert published == [4, 6]


def test_what_is_on_its_way_is_waited_for(stage, monkeypatch):
    here, ended = stage(), []
    pause = publishing.time.sleep
    here.publisher._threads.submit(lambda: pause(0.05) or ended.append(1))
    here.publisher.close()
    assert ended == [1]
