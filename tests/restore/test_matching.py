"""Which case a prediction belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from monai_mriprep.errors import RecordError
from monai_mriprep.restore.matching import match_predictions
from monai_mriprep.restore.source_space import SourceSpace
from monai_mriprep.store.records import Done
from tests.runs import done_line, record_of


def record(case: str, *stems: str, **changes) -> Done:
    """Of a case whose image and label have these stems."""
    line = done_line(case, **changes)
    for role, name in zip(("image", "label"), stems, strict=True):
        line["sources"][role]["path"] = f"/data/{name}.nii.gz"
    return record_of(line)


@dataclass
class Records:
    """In place of the index of a manifest."""

    records: tuple[Done, ...]
    damaged: dict[str, str] = field(default_factory=dict)

    def all_done(self) -> tuple[Done, ...]:
        return self.records

    def done(self, case: str) -> Done | None:
        return next((one for one in self.records if one.case == case), None)


def problem_of(name: str, *records: Done, others: tuple[str, ...] = ()) -> str:
    """What is said of a prediction that is refused."""
    found = dict(match_predictions([Path(name), *map(Path, others)], Records(records)))[Path(name)]
    assert isinstance(found, RecordError)
    assert str(found).startswith(f"{name}: ")
    return str(found)


@pytest.mark.parametrize("name", ["a.npz", "b.npy", "b.nii.gz", "a.mha"])
def test_the_stem_of_the_image_or_of_the_label(name):
    ((path, space),) = match_predictions([Path(name)], Records((record("c", "c", "d"), record("a", "a", "b"))))
    assert path == Path(name)
    assert isinstance(space, SourceSpace)


def test_one_stem_for_image_and_label():
    ((_, space),) = match_predictions([Path("c.npy")], Records((record("c", "c", "c"),)))
    assert isinstance(space, SourceSpace)


@pytest.mark.parametrize("name", ["a", "a_t1", "a_t2", "b"])
def test_the_stem_of_any_channel(name):
    line = done_line("a")
    line["sources"]["image"] = [{**line["sources"]["image"], "path": f"/data/a_{t}.mha"} for t in ("t1", "t2")]
    line["sources"]["label"]["path"] = "/data/b.mha"
    ((_, space),) = match_predictions([Path(f"{name}.npz")], Records((record_of(line),)))
    assert isinstance(space, SourceSpace)


def test_a_stem_of_two_records_is_not_guessed():
    assert "two cases, a_0 and a" in problem_of("a.npz", record("a_0", "a_0", "a"), record("a", "a", "b"))


@pytest.mark.parametrize("name", ["10_0001_pred", "10_0001_gt", "10_0001.label"])
def test_a_stem_with_another_word_for_a_map_is_suggested(name):
    assert "did you mean 10_0001?" in problem_of(f"{name}.npz", record("10_0001", "10_0001", "10_0001"))


@pytest.mark.parametrize("name", ["10_001", "10_0002", "11_0001", "10_0001_2", "10_0001b", "P10_0001"])
def test_another_patient_or_scan_is_never_suggested(name):
    assert "did you mean" not in problem_of(f"{name}.npz", record("10_0001", "10_0001", "10_0001_seg"))


def test_the_name_without_the_number_of_the_first_channel_is_that_of_the_case_unless_another_has_it():
    ((_, space),) = match_predictions([Path("a.npy")], Records((record("a_0000", "a_0000", "b"),)))
    assert isinstance(space, SourceSpace)
    ((_, exact),) = match_predictions(
        [Path("a.npy")], Records((record("a_0000", "a_0000", "c"), record("a", "a", "d")))
    )
    assert isinstance(exact, SourceSpace)
    two = record("a_0000", "a_0000", "c"), record("b_0000", "a_0000", "d")
    assert "two cases" in problem_of("a_0000.npy", *two)


def test_two_predictions_that_would_become_one_file():
    assert "a.npy and a.nii would become one file" in problem_of("a.nii", record("a", "a", "b"), others=("a.npy",)) or (
        "a.nii and a.npy would become one file" in problem_of("a.nii", record("a", "a", "b"), others=("a.npy",))
    )


def test_a_record_that_cannot_be_used_stands_in_the_way_of_its_own_predictions_alone():
    damaged = record("a", "a", "b", trace={"source": {}})
    found = dict(match_predictions([Path("b.npz"), Path("c.npz")], Records((damaged, record("c", "c", "d")))))
    assert isinstance(found[Path("c.npz")], SourceSpace)
    assert "b.npz: what was done to the case cannot be read" in str(found[Path("b.npz")])


def test_a_case_whose_last_line_cannot_be_trusted_is_refused():
    records = Records((record("a", "a", "b"), record("c", "c", "d")), {"a": "line 7 cannot be trusted"})
    found = dict(match_predictions([Path("b.npz"), Path("c.npz")], records))
    assert isinstance(found[Path("c.npz")], SourceSpace)
    assert "line 7 cannot be trusted; preprocess the case again" in str(found[Path("b.npz")])
