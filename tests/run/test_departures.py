"""Who has left the dataset, and when that has to be confirmed."""

from __future__ import annotations

import pytest

from monai_mriprep.dataset.exclusions import read_exclusions
from monai_mriprep.errors import OutputError
from monai_mriprep.run.departures import (
    DatasetIdentity,
    Departures,
    find_departures,
    is_renamed,
    outputs_of_others,
    refuse_departures,
    retire_cases,
)
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.pictures import write_picture
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.store import open_store
from tests.runs import append_record, case_of, done_line, events, job_of, record_of
from tests.store.faults import note

HERE = DatasetIdentity("/data/a", None)


def leaving(n: int, recorded: int) -> Departures:
    return Departures(tuple(f"case_{i}" for i in range(n)), (), recorded)


@pytest.mark.parametrize(("n", "recorded"), [(0, 0), (0, 3), (1, 1), (1, 3), (1, 10), (2, 20), (10, 100)])
def test_one_case_or_a_tenth_of_them_may_leave(n, recorded):
    refuse_departures("out", leaving(n, recorded), HERE, HERE)
    refuse_departures("out", leaving(n, recorded), None, HERE)


@pytest.mark.parametrize(("n", "recorded"), [(2, 2), (2, 19), (11, 109), (3, 29)])
def test_more_than_one_and_more_than_a_tenth_have_to_be_confirmed(n, recorded):
    with pytest.raises(OutputError, match=rf"out: {n} of its {recorded} cases .* a tenth of them\. Nothing was"):
        refuse_departures("out", leaving(n, recorded), HERE, HERE)


def test_labels_that_were_renamed_count_as_well():
    with pytest.raises(OutputError, match=r"have left the dataset or got outputs of another name: a, b; "):
        refuse_departures("out", Departures(("a",), ("b",), 5), HERE, HERE)


OTHER = {
    "path": (DatasetIdentity("/data/b", None), "the dataset was /data/a, and is /data/b"),
    "pattern": (DatasetIdentity("/data/a", "x"), "the pattern was None, and is 'x'"),
}


@pytest.mark.parametrize(("now", "message"), OTHER.values(), ids=OTHER)
def test_under_another_path_or_pattern_not_one_may_leave(now, message):
    refuse_departures("out", leaving(0, 100), HERE, now)
    with pytest.raises(OutputError, match=f"1 of its 100 cases has left the dataset: case_0; {message}"):
        refuse_departures("out", leaving(1, 100), HERE, now)


def test_a_case_whose_name_only_a_damaged_line_knows_has_not_left(tmp_path):
    append_record(tmp_path, done_line("a"))
    append_record(tmp_path, {"event": "failed", "case": "b", "error": "no luck"})
    append_record(tmp_path, {"event": "retired", "case": "c"})
    with (tmp_path / "manifest.jsonl").open("a") as file:
        file.write('{"event": "done", "case": "casd"}\n')
    with open_store(tmp_path) as store:
        index = read_index(store.root)
        assert find_departures(index, [], ["x"]) == Departures(("a", "b"), ("x",), 2)
        assert find_departures(index, [case_of(tmp_path, "a")], ()) == Departures(("b",), (), 2)


def test_a_case_is_renamed_where_an_output_gets_another_name(tmp_path):
    case, record = case_of(tmp_path, "a"), record_of(done_line("a"))
    assert not is_renamed(case, None)
    assert not is_renamed(case, record)
    assert is_renamed(case, record_of(done_line("b")))


def test_the_picture_of_a_case_that_leaves_goes(tmp_path):
    job_of(tmp_path)
    append_record(tmp_path, done_line("a"))
    with open_store(tmp_path) as store:
        for case in "ab":
            write_picture(store, case, b"picture")
        retire_cases(Recorder(store), read_index(store.root), ["a"])
        assert store.folder(".report").names() == ["b.webp"]


def test_that_a_case_was_retired_survives_a_power_cut(tmp_path, monkeypatch):
    job_of(tmp_path)
    append_record(tmp_path, done_line("a"))
    with open_store(tmp_path) as store:
        index, seen = read_index(store.root), note(monkeypatch)
        retire_cases(Recorder(store), index, ["a"])
    assert ("sync", f"{tmp_path.name}/manifest.jsonl") in seen


def test_a_finished_case_is_known_also_where_its_last_line_is_damaged(tmp_path):
    append_record(tmp_path, done_line("a"))
    with (tmp_path / "manifest.jsonl").open("a") as file:
        file.write('{"event": "started", "case": "a", }\n')
    with open_store(tmp_path) as store:
        index = read_index(store.root)
    assert "a" in index.damaged
    assert find_departures(index, [], []) == Departures(("a",), (), 1)


def test_a_file_that_another_case_has_recorded_stays(tmp_path):
    job_of(tmp_path)
    shared = done_line("b")["outputs"] | {"label": done_line("a")["outputs"]["label"]}
    append_record(tmp_path, done_line("a"))
    append_record(tmp_path, done_line("b", outputs=shared))
    for name in ("imagesTr/a.npz", "imagesTr/b.npz", "labelsTr/a.npz"):
        (tmp_path / name).write_text(name)
    with open_store(tmp_path) as store:
        index = read_index(store.root)
        retire_cases(Recorder(store), index, ["a"], outputs_of_others(index, {"a"}))
        assert read_index(store.root).cases() == {"b"}
    assert events(tmp_path)[-1]["files"] == ["retired/imagesTr/a.npz"]
    assert (tmp_path / "labelsTr/a.npz").read_text() == "labelsTr/a.npz"


def exclusions_of(tmp_path, text):
    (tmp_path / "exclude.txt").write_text(text)
    return read_exclusions(tmp_path / "exclude.txt")


def test_cases_that_a_list_excludes_have_left_by_its_word(tmp_path):
    """Of the dataset a stays; b to e are on the list, of which c was retired by a list before, and d without one."""
    for case in "abf":
        append_record(tmp_path, done_line(case))
    append_record(tmp_path, {"event": "retired", "case": "c", "excluded": ""})
    append_record(tmp_path, {"event": "retired", "case": "d"})
    exclusions = exclusions_of(tmp_path, "b\nc\nd\ne\n")
    with open_store(tmp_path) as store:
        index = read_index(store.root)
        found = find_departures(index, [case_of(tmp_path, "a")], ["a"], exclusions, ["b", "c", "d", "e"])
    assert found == Departures(("f",), ("a",), 3, excluded=("b",), never_tried=("d", "e"))
    assert (found.unconfirmed, found.names) == (("f", "a"), ("f", "a", "b"))


def test_cases_that_a_list_excludes_need_no_confirmation():
    others = DatasetIdentity("/data/b", None)
    refuse_departures("out", Departures((), (), 9, excluded=("a", "b", "c")), HERE, others)


@pytest.mark.parametrize(("line", "comment"), [("a # moved", "moved"), ("a", "")])
def test_the_comment_of_the_list_is_recorded(line, comment, tmp_path):
    job_of(tmp_path)
    append_record(tmp_path, done_line("a"))
    exclusions = exclusions_of(tmp_path, line)
    with open_store(tmp_path) as store:
        retire_cases(Recorder(store), read_index(store.root), ["a"], (), exclusions)
    assert events(tmp_path)[-1]["excluded"] == comment
