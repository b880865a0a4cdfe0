"""``run.json``: written whole, read as far as it can be trusted."""

from __future__ import annotations

import json
import os

import pytest

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.sealed import CHANNELS, NewerVersionError
from monai_mriprep.store.description import (
    SHARED,
    VIRTUAL,
    Redo,
    RunDescription,
    create_description,
    read_description,
    settle_description,
    share_description,
    write_description,
)
from monai_mriprep.store.store import open_store
from tests.runs import FOLDER_OF_0_1_0

DESCRIPTION = RunDescription(
    dataset_root="/data/caf\udce9",
    recipe={"order": 3, "normalization": {"foreground": "carried"}},
    target_spacing=(3.0, 1.0, 0.9),
    derivation="target spacing (3, 1, 0.9) mm",
    fingerprint="f",
    algorithm_version=1,
    versions={"python": "3"},
    statistics="table",
    redo=Redo(number=2, complete=False),
)


def test_what_is_written_is_read(store):
    assert read_description(store) is None
    write_description(store, DESCRIPTION)
    assert read_description(store) == DESCRIPTION.model_copy(update={"version": 1})
    text = (store.root.path / "run.json").read_text()
    assert text.endswith("}\n")
    assert json.loads(text)["version"] == 1


@pytest.mark.parametrize("change", [{"like": "/data/out"}, {"recipe": {"channels": ["t1", "t2"]}}])
def test_what_an_older_version_would_take_wrongly_has_a_format_of_its_own(store, change):
    write_description(store, DESCRIPTION.model_copy(update=change))
    assert read_description(store).version == CHANNELS == 2


@pytest.mark.parametrize(("like", "version"), [(None, 1), ("/data/out", CHANNELS)])
def test_while_parts_of_a_run_write_there_older_versions_are_kept_out(store, like, version):
    share_description(store)
    settle_description(store)
    assert read_description(store) is None, "there is nothing to keep them out of"
    write_description(store, DESCRIPTION.model_copy(update={"like": like}))
    share_description(store)
    assert read_description(store).version == SHARED == 3
    inode = (store.root.path / "run.json").stat().st_ino
    share_description(store)
    assert (store.root.path / "run.json").stat().st_ino == inode, "each part calls it"
    write_description(store, read_description(store))
    assert read_description(store).is_shared, "as it was"
    settle_description(store)
    assert read_description(store) == DESCRIPTION.model_copy(update={"like": like, "version": version})
    inode = (store.root.path / "run.json").stat().st_ino
    settle_description(store)
    assert (store.root.path / "run.json").stat().st_ino == inode


def test_of_parts_that_begin_at_once_the_first_one_describes_the_run(store):
    assert create_description(store, DESCRIPTION)
    assert not create_description(store, DESCRIPTION.model_copy(update={"fingerprint": "another"}))
    assert read_description(store) == DESCRIPTION.model_copy(update={"version": SHARED, "is_shared": True})
    assert list(store.staging.path.iterdir()) == []


def test_one_that_cannot_be_read_stays_as_it_is(store):
    (store.root.path / "run.json").write_text("[]")
    settle_description(store)
    with pytest.raises(RecordError):
        share_description(store)
    assert (store.root.path / "run.json").read_text() == "[]"


def test_that_of_0_1_0_is_of_version_0():
    with open_store(FOLDER_OF_0_1_0 / "out") as store:
        found = read_description(store)
    assert (found.version, found.target_spacing, found.dataset_root) == (0, (3.06, 1.0, 0.925), "/data/scans")
    assert (found.redo.number, found.redo.complete) == (0, True), "no interrupted --redo"


@pytest.mark.parametrize(
    ("of_the_recipe", "table", "expected"),
    [([3.0, 1.0, 0.9], True, "recipe"), (None, True, "computed"), (None, False, "table")],
)
def test_where_the_target_of_0_3_0_comes_from(store, of_the_recipe, table, expected):
    facts = DESCRIPTION.model_dump(exclude={"version", "statistics"})
    (store.root.path / "run.json").write_text(json.dumps({**facts, "recipe": {"target_spacing": of_the_recipe}}))
    if table:
        (store.root.path / "mri_statistics.csv").touch()
    assert read_description(store).statistics == expected


def test_where_the_target_comes_from_is_believed(store):
    computed = DESCRIPTION.model_copy(update={"statistics": "computed", "version": 1})
    write_description(store, computed)
    assert read_description(store) == computed, "though its table is gone"


def test_a_newer_version_is_refused_in_words(store):
    (store.root.path / "run.json").write_text(json.dumps({"version": VIRTUAL + 1, "unheard": "of"}))
    with pytest.raises(NewerVersionError, match=r"run\.json: a newer version .* update monai-mriprep"):
        read_description(store)


TEXTS = {
    "nothing": "",
    "torn": '{"dataset_root": ',
    "no text": "\ufffd",
    "a list": "[]",
    "a number": "3",
    "brackets": "[" * 100_000,
    "digits": '{"version": ' + "9" * 5000 + "}",
    "no fields": "{}",
    "another target": json.dumps({**DESCRIPTION.model_dump(), "target_spacing": [1, -1, 1]}),
    "two spacings": json.dumps({**DESCRIPTION.model_dump(), "target_spacing": [1, 1]}),
    "a version in words": json.dumps({**DESCRIPTION.model_dump(), "version": "one"}),
    "less than no version": json.dumps({**DESCRIPTION.model_dump(), "version": -1}),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_is_no_description_is_an_error_that_names_the_file(store, text):
    (store.root.path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=r"run\.json: (cannot be read|is not a run's) \(") as caught:
        read_description(store)
    assert not isinstance(caught.value, NewerVersionError)


@pytest.mark.parametrize("what", ["folder", "link", "pipe"])
def test_a_description_that_is_no_file_is_not_read(store, tmp_path, what):
    place, target = store.root.path / "run.json", tmp_path / "foreign"
    target.write_text(json.dumps(DESCRIPTION.model_dump()))
    {"folder": place.mkdir, "link": lambda: place.symlink_to(target), "pipe": lambda: os.mkfifo(place)}[what]()
    with pytest.raises(RecordError, match=r"run\.json: cannot be read"):
        read_description(store)
