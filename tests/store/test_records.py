"""What is a record, and what is none."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import asdict

import numpy as np
import pytest

from monai_mriprep.errors import RecordError
from monai_mriprep.formats import sealed
from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.sealed import NewerVersionError, seal
from monai_mriprep.steps import AppliedStep, Trace
from monai_mriprep.steps.orientation import Orientation
from monai_mriprep.store.records import Done, Failed, Opened, Retired, Started, check_record, read_record
from monai_mriprep.volume.geometry import Grid, target_grid
from tests.runs import done_line, record_of

SOURCE, TARGET = (Grid.from_json(done_line()[f"{name}_grid"]) for name in ("source", "target"))


def test_a_finished_case():
    record = record_of(done_line("café \udcff\n"))
    assert isinstance(record, Done)
    assert record.case == "café \udcff\n"
    assert record.sources["image"][0].path == "/data/café \udcff\n_image.nii.gz"
    assert (record.source_grid, record.target_grid) == (SOURCE, TARGET)
    assert record.labels.after == {0: 90, 2: 10}
    assert (record.sources["label"][0].reader, record.sources["label"][0].data) == ("", ())


def test_the_other_events():
    started = record_of({"event": "started", "case": "a", "pid": 5, "time": 1.5})
    assert started == Started(case="a", pid=5, time=1.5)
    failed = {"event": "failed", "case": "a", "error": "why", "warnings": ["w"], "disk_full": False, "time": 1.5}
    assert record_of(failed) == Failed(case="a", error="why", warnings=("w",), time=1.5)
    retired = {"event": "retired", "case": "a", "files": ["retired/imagesTr/a.npz"], "time": 1.5}
    assert record_of(retired) == Retired(case="a", files=("retired/imagesTr/a.npz",), time=1.5)
    opened = {"event": "opened", "dataset_root": "/data", "cases": 3, "versions": {"python": "3"}, "time": 1.5}
    assert record_of(opened) == Opened(dataset_root="/data", cases=3, versions={"python": "3"}, time=1.5)


MEASURES = {
    "image": [{"percentiles": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "histogram": [1] * 32, "thumbnail": "AAAA"}],
    "label": {"components": {"1": 2}, "touches": ["L"], "outside": 0.5, "centre": [1.0, 2.0, 3.0], "voxel": 6.5},
}


def test_what_was_measured_is_told_of_finished_and_of_failed_cases():
    measured = record_of(done_line(measures=MEASURES)).measures
    assert measured.image[0].percentiles == (1, 2, 3, 4, 5, 6, 7)
    assert measured.label.components == {1: 2}
    assert json.loads(json.dumps(measured.model_dump(mode="json"))) == MEASURES
    failed = {"event": "failed", "case": "a", "error": "why", "time": 1.5, "source_grid": done_line()["source_grid"]}
    record = record_of({**failed, "measures": MEASURES, "labels": {"before": {"1": 3}}})
    assert (record.measures, record.labels.before, record.labels.after) == (measured, {1: 3}, {})
    assert record_of(done_line()).measures is None


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("percentiles", [1.0] * 6),
        ("percentiles", [1.0] * 6 + [float("nan")]),
        ("histogram", [1] * 31),
        ("thumbnail", "A" * 1025),
    ],
)
def test_measures_that_cannot_be_are_no_record(part, wrong):
    image = {**MEASURES["image"][0], part: wrong}
    with pytest.raises(RecordError, match="measures"):
        record_of(done_line(measures={**MEASURES, "image": [image]}))


def test_where_the_classes_are():
    record = record_of(done_line(classes={"2": [10, "AAE="]}))
    assert (record.classes.voxels, record.classes.places[2].tolist()) == ({2: 10}, [0, 1])
    assert record.classes.shape == TARGET.shape
    assert record_of(done_line()).classes is None  # up to 0.8.0
    assert record == record_of(done_line(classes={"2": [10, "AAE="]}))


def test_classes_that_the_label_cannot_have_are_told_when_they_are_asked_for():
    record = record_of(done_line(classes={"2": [10**9, "AAE="]}))
    with pytest.raises(RecordError, match=r"the classes have 1000000000 voxels.*preprocess the case again"):
        _ = record.classes
    with pytest.raises(RecordError, match="classes"):
        record_of(done_line(classes=[1]))


def test_keys_of_a_later_version_are_passed_over():
    assert record_of(done_line(mood="good")) == record_of(done_line())


def test_a_sealed_line_is_read_as_an_unsealed_one():
    """Which is how versions up to 0.3.0 have written it."""
    assert read_record(seal(done_line())) == record_of(done_line())
    assert check_record(done_line()) == record_of(done_line())


def test_a_line_that_was_changed_is_no_record():
    line = seal(done_line(peak_mib=400.5)).replace("400.5", "400.6")
    with pytest.raises(RecordError, match="digest"):
        read_record(line)


def test_a_line_of_a_newer_version_is_told_from_a_damaged_one(monkeypatch):
    monkeypatch.setattr(sealed, "format_of", lambda facts: sealed.FORMAT_VERSION + 1)
    line = seal({"event": "unheard of"})
    monkeypatch.undo()
    with pytest.raises(NewerVersionError, match="update monai-mriprep"):
        read_record(line)


def test_how_often_the_folder_was_started_anew():
    assert record_of(done_line()).redo == 0
    assert record_of(done_line(redo=2)).redo == 2
    with pytest.raises(RecordError):
        record_of(done_line(redo=-1))


def paths(value: object, path: tuple = ()):
    """Where something stands in a line, however deep."""
    for key, item in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from paths(item, (*path, key))


FREE = (
    {"error"},
    {"warnings"},
    {"labels", "before"},
    {"labels", "after"},
    {"seconds"},
    {"spacing", "source_grid"},
    {"spacing", "target_grid"},
)
"""Keys that may be missing, or that may have any names inside."""
ALL = [path for path in paths(done_line()) if not any(free <= set(path) for free in FREE)]


WRONG = (None, "text", -1.5, [], {}, [1, 2])


@pytest.mark.parametrize("path", ALL, ids=".".join)
def test_every_value_is_needed_and_checked(path):
    line = deepcopy(done_line())
    *above, key = path
    place = line
    for part in above:
        place = place[part]
    right = place.pop(key)
    for value in (value for value in WRONG if type(value) is not type(right)):
        with pytest.raises(RecordError):
            record_of(line)
        place[key] = value
    with pytest.raises(RecordError):
        record_of(line)


def image_written_to(path: str) -> dict:
    outputs = done_line()["outputs"]
    return {"outputs": {**outputs, "image": {**outputs["image"], "path": path}}}


EDITS = {
    "an empty grid": {"source_grid": {**done_line()["source_grid"], "shape": [0, 4, 5]}},
    "a flat grid": {"target_grid": {**done_line()["target_grid"], "affine": np.zeros((4, 4)).tolist()}},
    "a folder outside": image_written_to("../a.npz"),
    "a folder in the folder": image_written_to("imagesTr/a/a.npz"),
    "the folder itself": image_written_to("imagesTr/"),
    "another role's folder": image_written_to("labelsTr/a.npz"),
    "each in the folder of the other": {
        "outputs": dict(zip(("label", "image"), done_line()["outputs"].values(), strict=True)),
    },
    "no volume": image_written_to("imagesTr/a.json"),
    "a hidden file": image_written_to("imagesTr/.npz"),
    "a name that no file can have": image_written_to("imagesTr/\ud800.npz"),
    "a name that is too long": image_written_to(f"imagesTr/{'x' * 252}.npz"),
    "a case with a name that is too long": {"case": "x" * 256},
    "another role": {"sources": {**done_line()["sources"], "mask": done_line()["sources"]["label"]}},
    "no label": {files: {"image": done_line()[files]["image"]} for files in ("sources", "outputs")},
    "no year": {"time": 1e300},
    "the year 10000": {"time": 253402300800.0},
    "no number": {"time": float("nan")},
    "no spacing": {"spacing": [-1.0, 1.0, 1.0]},
    "fewer than none": {"labels": {"before": {}, "after": {1: -1}}},
    "no class": {"labels": {"before": {}, "after": {"one": 1}}},
}


@pytest.mark.parametrize("changes", EDITS.values(), ids=EDITS)
def test_values_that_no_run_writes(changes):
    with pytest.raises(RecordError):
        record_of(done_line(**changes))


@pytest.mark.parametrize("line", ["", "{", "null", "[]", "3", '"text"', "{}", '{"event": "done"}', "[" * 9000])
def test_what_is_no_record_is_told(line):
    with pytest.raises(RecordError):
        read_record(line)


def test_the_problem_names_the_key():
    line = done_line()
    line["outputs"]["image"]["size"] = "9"
    with pytest.raises(RecordError, match=r"^done\.outputs\.image\.size: Input should be a valid integer$"):
        record_of(line)


def test_a_problem_of_the_whole_line_names_no_key():
    with pytest.raises(RecordError, match=r"^Unable to extract tag"):
        read_record("{}")


def test_without_a_trace_the_case_was_resampled_from_grid_to_grid():
    trace = record_of(done_line()).trace
    assert (trace.source, trace.target) == (SOURCE, TARGET)
    assert [one.step.name for one in trace.steps] == ["resampling"]


ELSEWHERE = {**TARGET.to_json(), "affine": [*TARGET.affine.tolist()[:2], [1, 0, 0, 107], [0, 0, 0, 1]]}


@pytest.mark.parametrize(
    "changes",
    [
        {"source_grid": {**SOURCE.to_json(), "shape": [3, 40, 5]}},
        {"target_grid": ELSEWHERE},
        {"spacing": [1.5, 1.0, 1.0]},
        {"spacing": [5e-324, 1.0, 1.0]},
    ],
    ids=["source of another size", "target elsewhere", "another target", "no size"],
)
def test_grids_of_which_no_rule_makes_one_of_the_other_are_an_error_when_the_trace_is_asked_for(changes):
    record = record_of(done_line(**changes))
    with pytest.raises(RecordError, match="no resampling of the recorded source grid gives the recorded target grid"):
        _ = record.trace


@pytest.mark.parametrize("rule", ["monai", "nnunet", "itk"])
def test_the_grids_of_every_rule_belong_together(rule):
    spacing = (0.9, 1.0004, 0.8)
    target = target_grid(SOURCE, spacing, rule)
    assert record_of(done_line(target_grid=target.to_json(), spacing=spacing)).trace.target == target


TURNED = Trace(SOURCE, (AppliedStep(Orientation(codes="RAS"), {}, SOURCE),))


def test_a_trace_is_the_one_that_was_recorded():
    line = done_line(trace=TURNED.to_json(), target_grid=TURNED.target.to_json())
    assert record_of(line).trace == TURNED


SHIFTED = {**SOURCE.to_json(), "affine": [[0, 0, -1, 1], *SOURCE.affine.tolist()[1:]]}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"target_grid": SOURCE.to_json()},
        {"target_grid": TURNED.target.to_json(), "source_grid": SHIFTED},
        {"target_grid": TURNED.target.to_json(), "source_grid": {**SOURCE.to_json(), "shape": [4, 4, 5]}},
    ],
    ids=["another target", "not turned", "source elsewhere", "source of another size"],
)
def test_a_trace_that_contradicts_the_grids_is_an_error_when_it_is_asked_for(changes):
    record = record_of(done_line(trace=TURNED.to_json(), **changes))
    with pytest.raises(RecordError, match="does not lead from the recorded source grid to the recorded target grid"):
        _ = record.trace


@pytest.mark.parametrize(
    "trace", [{}, {"source": {}, "steps": []}, {"source": SOURCE.to_json(), "steps": [{"step": "?"}]}]
)
def test_a_trace_that_cannot_be_undone_is_an_error_when_it_is_asked_for(trace):
    record = record_of(done_line(trace=trace))
    with pytest.raises(RecordError):
        _ = record.trace


def test_the_frame_is_that_of_the_file_where_it_is_recorded():
    assert record_of(done_line()).frame == Frame.of_grid(SOURCE)
    header = {
        "spacing": [2.0, 1.0, 1.0],
        "origin": [0.0, 0.0, 7.0],
        "direction": [[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]],
    }
    assert record_of(done_line(source_header=header)).frame == Frame(
        (2.0, 1.0, 1.0), (0.0, 0.0, 7.0), tuple(map(tuple, header["direction"]))
    )


def test_a_frame_whose_axes_span_no_volume_is_an_error_too():
    header = {**asdict(Frame.of_grid(SOURCE)), "direction": [[1.0, 0.0, 0.0]] * 3}
    record = record_of(done_line(source_header=header))
    with pytest.raises(RecordError, match="the direction of the recorded source_header is not that"):
        _ = record.frame


@pytest.mark.parametrize("key", ["source_grid", "target_grid"])
def test_a_number_of_400_digits_in_a_grid_is_a_record_error(key):
    """JSON has integers of any length, and float64 has not."""
    line = done_line()
    with pytest.raises(RecordError, match=rf"{key}.*float64"):
        record_of({**line, key: {**line[key], "affine": [[10**400] * 4] * 4}})


@pytest.mark.parametrize("key", ["spacing", "origin", "direction"])
def test_a_frame_that_contradicts_the_grid_is_an_error_when_it_is_asked_for(key):
    other = Frame((2.5, 1.0, 1.0), (0.0, 0.1, 7.0), ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0)))
    header = {**asdict(Frame.of_grid(SOURCE)), key: getattr(other, key)}
    record = record_of(done_line(source_header=header))
    with pytest.raises(RecordError, match=f"the {key} of the recorded source_header is not that of the source_grid"):
        _ = record.frame


def test_neither_torch_nor_monai_is_loaded():
    code = (
        "import sys; from monai_mriprep.store.records import read_record\n"
        "record = read_record(sys.argv[1]); record.trace.target\n"
        "print(*sorted({'torch', 'monai', 'itk', 'pandas'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code, json.dumps(done_line())]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"
