"""An output folder in an object store, and the stage for it."""

from __future__ import annotations

import json

import pytest

from monai_mriprep.errors import OutputError, RemoteError
from monai_mriprep.remote.objects import Objects
from monai_mriprep.remote.output import RemoteOutput
from monai_mriprep.store.layout import MANIFEST, RUN


@pytest.fixture
def objects(store) -> Objects:
    """Those of an output."""
    return Objects("memory://bucket/out")


@pytest.fixture
def output(objects, tmp_path) -> RemoteOutput:
    """With two batches of an earlier run, the second without an end, and one volume."""
    objects.put(".records/0002.a/000001.jsonl", b"third\n")
    objects.put(".records/0001.b/000002.jsonl", b"second")
    objects.put(".records/0001.b/000001.jsonl", b"first\n")
    objects.put("imagesTr/a.npz", b"voxels")
    objects.put("retired/imagesTr/a.npz", b"older voxels")
    output = RemoteOutput(objects, tmp_path)
    output.read_records()
    return output


def test_records_are_read_in_the_order_of_attempts_and_batches(output):
    assert (output.root / MANIFEST).read_bytes() == b"first\nsecond\nthird\n"
    assert output.attempt == 3
    assert not output.is_derived


def test_attempts_are_in_the_order_of_their_numbers(objects, tmp_path):
    objects.put(".records/10000.a/000001.jsonl", b"later\n")
    objects.put(".records/9999.a/000001.jsonl", b"before\n")
    output = RemoteOutput(objects, tmp_path)
    output.read_records()
    assert output.records.read_bytes() == b"before\nlater\n"


def test_a_batch_is_an_object_of_its_own(output):
    output.put_records("writer", 1, b"fourth\n")
    assert output.objects.read(".records/0003.writer/000001.jsonl") == b"fourth\n"
    output.put_derived()
    assert output.objects.read(MANIFEST) == b"first\nsecond\nthird\nfourth\n"


def test_what_is_derived_is_so_until_there_is_a_record_more(output):
    output.put_derived()
    again = RemoteOutput(output.objects, output.root.parent.parent / "again")
    again.read_records()
    assert again.is_derived
    again.put_records("writer", 1, b"fourth\n")
    assert not again.is_derived


def test_no_volume_is_fetched_and_each_is_known(output):
    assert list(output.elsewhere) == ["imagesTr/a.npz"]
    assert output.elsewhere["imagesTr/a.npz"].size == 6
    assert [path.name for path in output.root.iterdir()] == [MANIFEST]


def test_a_retired_volume_replaces_none(output):
    assert output.retire("imagesTr/a.npz") == "retired/imagesTr/a.2.npz"
    assert output.retire("imagesTr/a.npz") is None
    assert output.objects.read("retired/imagesTr/a.2.npz") == b"voxels"
    assert output.objects.look("imagesTr/a.npz") is None


@pytest.mark.parametrize("other", [{}, {"redo": {"number": 1}}, {"fingerprint": "g"}, {"like": "/training"}])
def test_the_first_description_decides(objects, tmp_path, other):
    output = RemoteOutput(objects, tmp_path)
    output.read_records()
    described = {"fingerprint": "f", "redo": {"number": 0}, "derivation": "mine"}
    (output.root / RUN).write_text(json.dumps(described))
    objects.put(RUN, json.dumps(described | {"derivation": "theirs"} | other).encode())
    if other:
        with pytest.raises(OutputError, match="another run has begun there at this moment"):
            output.put_description()
    else:
        output.put_description()
    assert b"theirs" in objects.read(RUN)


def test_a_description_of_ones_own_may_change(objects, tmp_path):
    output = RemoteOutput(objects, tmp_path)
    output.read_records()
    for content in ("{}", '{"fingerprint": "g"}'):
        (output.root / RUN).write_text(content)
        output.put_description()
        assert objects.read(RUN).decode() == content


def test_what_is_derived_names_the_address_and_an_older_list_goes(output):
    output.objects.put("dataset.json", b"old")
    output.objects.put("report/page-0002.html", b"old")
    output = RemoteOutput(output.objects, output.root.parent.parent / "again")
    output.read_records()
    (output.root / "report.html").write_text(f"<p>{output.root}/imagesTr</p>")
    output.put_derived()
    assert output.objects.read("report.html") == b"<p>memory://bucket/out/imagesTr</p>"
    assert not {"dataset.json", "report/page-0002.html"} & output.objects.list().keys()


def test_pictures_of_earlier_runs_are_brought_for_a_report(objects, tmp_path):
    objects.put(".report/a.webp", b"picture")
    output = RemoteOutput(objects, tmp_path)
    output.read_records()
    output.fetch_pictures()
    assert (output.root / ".report" / "a.webp").read_bytes() == b"picture"


def test_records_that_no_run_has_put_there_are_refused(objects, tmp_path):
    objects.put(MANIFEST, b"line\n")
    with pytest.raises(OutputError, match=r"memory://bucket/out: is a copy of an output folder, without .records/"):
        RemoteOutput(objects, tmp_path).read_records()


def test_records_of_shards_may_be_kept_apart_until_a_run_of_the_whole_has_come_after_them(objects, tmp_path):
    objects.put(".records/0001.a+1-of-2/000001.jsonl", b"merged\n")
    objects.put(".records/0002.a/000001.jsonl", b"whole\n")
    objects.put(".records/0003.b+1-of-2/000001.jsonl", b"begun\n")
    objects.put(".records/0003.b+1-of-2/000002.jsonl", b"done\n")
    objects.put(".records/0003.c+2-of-2/000001.jsonl", b"other\n")
    output = RemoteOutput(objects, tmp_path)
    output.read_records(apart=True)
    found = {path.name: path.read_text() for path in output.root.iterdir()}
    assert found == {
        "manifest.jsonl": "merged\nwhole\n",
        "manifest.0003.1-of-2.jsonl": "begun\ndone\n",
        "manifest.0003.2-of-2.jsonl": "other\n",
    }


def test_what_a_crash_has_left_half_derived_is_derived_again(output, tmp_path, monkeypatch):
    def put(name, content):
        if name == "dataset.json":
            raise RemoteError(name)
        return real(name, content)

    real = output.objects.put
    for name in ("manifest.csv", "dataset.json"):
        (output.root / name).write_text(name)
    monkeypatch.setattr(output.objects, "put", put)
    with pytest.raises(RemoteError):
        output.put_derived()
    again = RemoteOutput(Objects(output.address), tmp_path / "again")
    again.read_records()
    assert not again.is_derived


def test_a_case_without_a_picture_has_none_of_an_earlier_run(objects, tmp_path):
    objects.put(".report/a.webp", b"older")
    output = RemoteOutput(objects, tmp_path)
    output.read_records()
    output.put_picture("a.webp")
    assert output.fetch_pictures() == 0
    assert objects.list() == {}
