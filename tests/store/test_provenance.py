"""What the comments of a case's files say, checked; and the line that is made of it."""

from __future__ import annotations

import pytest

from monai_mriprep.errors import RecordError
from monai_mriprep.store.provenance import Provenance, rebuilt_record
from monai_mriprep.store.record_parts import OutputRecord
from monai_mriprep.store.records import Done
from monai_mriprep.volume.geometry import Grid
from tests.runs import done_line, record_of

LINE = done_line()
TRACE = {
    "source": LINE["source_grid"],
    "steps": [{"step": "resampling", "target": [1.0, 1.0, 1.0], "params": {"grid": LINE["target_grid"]}}],
}
HEADER = {
    "spacing": [2.0, 1.0, 1.0],
    "origin": [0.0, 0.0, 7.0],
    "direction": [[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]],
}
FACTS = {
    "case": "a",
    "role": "image",
    "fingerprint": "f",
    "sources": {"image": "a_image.nii.gz", "label": "a_label.nii.gz"},
    "outputs": {"image": "a.npz", "label": "a.npz"},
    "source_header": {
        name: [[float(x) for x in row] for row in v] if name == "direction" else v for name, v in HEADER.items()
    },
    "foreground": LINE["foreground"],
    "labels_before": {"0": 52, "2": 8},
    "labels_after": {"0": 90, "2": 10},
    "trace": TRACE,
}


def rebuilt(**changes: object) -> Done:
    outputs = {role: OutputRecord(**file) for role, file in LINE["outputs"].items()}
    grid = Grid.from_json(LINE["target_grid"])
    origin = Provenance.of({**FACTS, **changes})
    return record_of({**rebuilt_record(origin, grid, (1.0, 1.0, 1.0), outputs, {0: 90, 2: 10}), "time": 0.0})


def test_the_record_is_that_of_the_run_as_far_as_the_files_tell():
    record, line = rebuilt(), record_of(LINE)
    for name in ("case", "fingerprint", "outputs", "source_grid", "target_grid", "spacing", "foreground", "labels"):
        assert getattr(record, name) == getattr(line, name), name
    assert record.repaired
    assert record.trace.to_json()["steps"][0]["params"] == TRACE["steps"][0]["params"]
    assert record.frame.origin == (0.0, 0.0, 7.0)
    assert {role: (file.path, file.size, file.sha256) for role, (file,) in record.sources.items()} == {
        "image": ("a_image.nii.gz", 0, ""),
        "label": ("a_label.nii.gz", 0, ""),
    }


def test_channels_keep_their_order():
    names = ["b_t1.mha", "a_flair.mha"]
    record = rebuilt(sources={"image": names, "label": "a_label.nii.gz"})
    assert [file.path for file in record.sources["image"]] == names


def test_what_did_not_fit_is_empty():
    assert rebuilt(labels_before=None).labels.before == {}
    assert (rebuilt().redo, rebuilt(redo=4).redo) == (0, 4)


def test_files_of_one_case_differ_in_their_role_alone():
    image, label = Provenance.of(FACTS), Provenance.of({**FACTS, "role": "label"})
    assert image.is_of_one_case(label)
    assert not image.is_of_one_case(Provenance.of({**FACTS, "role": "label", "case": "b"}))
    assert not image.is_of_one_case(Provenance.of({**FACTS, "role": "label", "redo": 1}))
    assert not image.is_of_one_case(Provenance.of({**FACTS, "labels_after": {"0": 1}}))


def test_the_index_of_the_classes_stands_in_the_comment_of_the_label_alone():
    image, label = Provenance.of(FACTS), Provenance.of({**FACTS, "role": "label", "classes": {"2": [10, "AA=="]}})
    assert image.is_of_one_case(label)
    assert label.is_of_one_case(image)


@pytest.mark.parametrize(
    "change", [{"case": 5}, {"redo": -1}, {"sources": []}, {"trace": "x"}, {"outputs": {"image": 1}}]
)
def test_what_does_not_fit_is_named(change):
    (name,) = change
    with pytest.raises(RecordError, match=name):
        Provenance.of({**FACTS, **change})
