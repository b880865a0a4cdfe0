"""A folder keeps its recipe and target: what happens to a finished folder when dataset, table or recipe are changed.

Whatever the change, there is one spacing in the folder, and one label for each case; and where the run stops, nothing
has changed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import MriprepWarning, OutputError
from monai_mriprep.recipe import Recipe, fingerprint
from monai_mriprep.run import kept, opening
from monai_mriprep.run.cases import Job
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.process import process_case
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.store import open_store
from monai_mriprep.verify.audit import verify_output
from tests.runs import OUTPUT_FOLDERS, case_of, done_records, write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")

TABLE = "median_spacing,10th_percentile_spacing\n"
ALL = ("case_0", "case_1", "case_2")


@dataclass
class Place:
    """A dataset of three cases and what was made of it."""

    root: Path
    output: Path
    options: dict[str, Any] = field(default_factory=dict)

    def file(self, folder: str, name: str) -> Path:
        return self.root / folder / f"{name}.mha"

    def run(self):
        return preprocess(self.root, self.output, workers=0, **self.options)


@dataclass(frozen=True)
class Expected:
    """What comes of a change: cases by what is done with them, or the message with which the run stops."""

    done: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ALL
    retired: tuple[str, ...] = ()
    stops: str | None = None
    warns: str | None = None
    target: tuple[float, float, float] = (3.0, 1.0, 1.0)
    labels: tuple[str, ...] | None = None


def stops(message: str) -> Expected:
    return Expected(stops=message)


def remove(place: Place, *names: str) -> None:
    for name in names:
        place.file("ImagesTr", name).unlink()
        place.file("LabelsTr", name).unlink()


def grow(place: Place, *names: str, spacing=(3.0, 1.0, 1.0)) -> None:
    for seed, name in enumerate(names):
        write_case(place.root, name, spacing=spacing, seed=10 + seed)


def move(place: Place) -> None:
    place.root = place.root.rename(place.root.with_name("moved"))


def rename(place: Place, folder: str, name: str, new: str) -> None:
    place.file(folder, name).rename(place.file(folder, new))


def put_table(place: Place, row: str) -> None:
    (place.root / "mri_statistics.csv").write_text(f"{TABLE}{row}\n")


def with_recipe(**keys) -> Callable[[Place], None]:
    return lambda place: place.options.update(recipe=Recipe(**keys))


def another_dataset(place: Place) -> None:
    place.root = write_cases(place.root.with_name("other"), 0)
    for name in ("x_1", "x_2"):
        write_case(place.root, name)


def both(*changes: Callable[[Place], None]) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        for one in changes:
            one(place)

    return change


def option(**options: bool) -> Callable[[Place], None]:
    return lambda place: place.options.update(options)


MORE = "more than a tenth"
CHANGES: dict[str, tuple[Callable[[Place], None], Expected]] = {
    "nothing": (lambda place: None, Expected()),
    "grows": (lambda place: grow(place, "case_3"), Expected(done=("case_3",))),
    "grows by scans of another spacing": (
        lambda place: grow(place, "a", "b", "c", "d", spacing=(5.0, 2.0, 2.0)),
        Expected(
            done=("a", "b", "c", "d"),
            warns=r"stays \(3, 1, 1\) mm, with which 3 cases are finished; .* would give \(5, 2, 2\) mm: --redo",
        ),
    ),
    "grows by scans of another spacing, redo": (
        both(lambda place: grow(place, "a", "b", "c", "d", spacing=(5.0, 2.0, 2.0)), option(redo=True)),
        Expected(done=("a", "b", "c", *ALL, "d"), skipped=(), target=(5.0, 2.0, 2.0)),
    ),
    "shrinks by one": (
        lambda place: remove(place, "case_1"),
        Expected(skipped=("case_0", "case_2"), retired=("case_1",), warns="1 case .* left the dataset: case_1;"),
    ),
    "shrinks by two": (lambda place: remove(place, "case_1", "case_2"), stops(f"case_1, case_2; .*{MORE}")),
    "shrinks by two, confirmed": (
        both(lambda place: remove(place, "case_1", "case_2"), option(retire=True)),
        Expected(skipped=("case_0",), retired=("case_1", "case_2")),
    ),
    "is renamed": (move, Expected()),
    "is renamed and grows": (both(move, lambda place: grow(place, "case_3")), Expected(done=("case_3",))),
    "is renamed and shrinks": (both(lambda place: remove(place, "case_1"), move), stops("the dataset was .*, and is")),
    "is renamed and shrinks, confirmed": (
        both(lambda place: remove(place, "case_1"), move, option(retire=True)),
        Expected(skipped=("case_0", "case_2"), retired=("case_1",)),
    ),
    "is another one": (another_dataset, stops("3 of its 3 cases have left the dataset")),
    "is another one, redo": (both(another_dataset, option(redo=True)), stops("3 of its 3 cases have left")),
    "a label is renamed": (
        lambda place: rename(place, "LabelsTr", "case_1", "case_1_seg"),
        Expected(
            done=("case_1",),
            skipped=("case_0", "case_2"),
            retired=("case_1",),
            labels=("case_0", "case_1_seg", "case_2"),
            warns="1 case .* outputs of another name",
        ),
    ),
    "an image is renamed": (
        lambda place: rename(place, "ImagesTr", "case_1", "case_1_0000"),
        Expected(
            done=("case_1_0000",),
            skipped=("case_0", "case_2"),
            retired=("case_1",),
            labels=ALL,
        ),
    ),
    "two labels are swapped": (
        both(
            lambda place: rename(place, "LabelsTr", "case_1", "x"),
            lambda place: rename(place, "LabelsTr", "case_2", "case_1"),
            lambda place: rename(place, "LabelsTr", "x", "case_2"),
        ),
        Expected(done=("case_1", "case_2"), skipped=("case_0",)),
    ),
    "a table of another target": (
        lambda place: put_table(place, "[2 1 1],[2 1 1]"),
        stops(r"target spacing: \(3, 1, 1\) mm -> \(2, 1, 1\) mm \(z y x; computed from headers -> from a table\)"),
    ),
    "a table of the same target": (lambda place: put_table(place, "[3 1 1],[3 1 1]"), Expected()),
    "a table of another target, redo": (
        both(lambda place: put_table(place, "[2 1 1],[2 1 1]"), option(redo=True)),
        Expected(done=ALL, skipped=(), target=(2.0, 1.0, 1.0)),
    ),
    "another target": (with_recipe(target_spacing=(1.5, 1.0, 1.0)), stops(r"-> \(1.5, 1, 1\) mm .* set by the recipe")),
    "the same target, said": (with_recipe(target_spacing=(3.0, 1.0, 1.0)), Expected()),
    "another recipe": (
        with_recipe(order=1, normalization={"foreground": "native"}),
        stops(r"3 cases are finished there.*order: 3 -> 1; normalization.foreground: 'carried' -> 'native'\. Nothing"),
    ),
    "another recipe, redo": (both(with_recipe(order=1), option(redo=True)), Expected(done=ALL, skipped=())),
    "the same recipe, redo": (option(redo=True), Expected(done=ALL, skipped=())),
    "a pattern that fits all": (with_recipe(pattern=r"(?P<case>case_\d)"), Expected()),
    "a mistyped pattern": (
        with_recipe(pattern=r"(?P<case>case_[12])"),
        stops(r"case_0; the pattern was None, and is '\(\?P<case>case_\[12\]\)'"),
    ),
    "no run.json": (
        lambda place: (place.output / "run.json").unlink(),
        Expected(warns="run.json is missing; it is written again"),
    ),
    "no run.json, another recipe": (
        both(lambda place: (place.output / "run.json").unlink(), with_recipe(order=1)),
        stops("3 cases are finished there; run.json is missing, and the records have another recipe"),
    ),
    "a garbled run.json": (
        lambda place: (place.output / "run.json").write_text("{"),
        Expected(warns="run.json: cannot be read .* it is written again"),
    ),
    "a garbled run.json, another target": (
        both(
            lambda place: (place.output / "run.json").write_text("[1]"),
            with_recipe(target_spacing=(1.5, 1.0, 1.0)),
        ),
        stops("and the records have another recipe, target spacing or version"),
    ),
}


@pytest.fixture
def place(tmp_path) -> Place:
    place = Place(write_cases(tmp_path / "dataset", 3), tmp_path / "out")
    assert len(place.run().done) == 3
    return place


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def spacings(output: Path) -> set[tuple[float, ...]]:
    files = (path for folder in OUTPUT_FOLDERS for path in (output / folder).iterdir())
    return {tuple(np.load(path)["spacing"].tolist()) for path in files}


def names_in(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.npz"))


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_the_dataset_or_the_recipe_is_changed(place, change, expected, recwarn):
    change(place)
    before = tree(place.output)
    if expected.stops is not None:
        with pytest.raises(OutputError, match=expected.stops) as caught:
            place.run()
        assert tree(place.output) == before
        assert "--re" in str(caught.value)
        assert sorted(path.name for path in (place.output / ".partial").iterdir()) == []
        return
    recwarn.clear()
    summary = place.run()
    assert sorted(result.case for result in summary.done) == sorted(expected.done)
    assert sorted(summary.skipped) == sorted(expected.skipped)
    assert (summary.failed, summary.retired) == ((), expected.retired)
    warned = [str(warning.message) for warning in recwarn if warning.category is MriprepWarning]
    if expected.warns is not None:
        assert [text for text in warned if re.search(expected.warns, text)], warned
    check_the_folder(place.output, expected)
    place.options = {"recipe": place.options.get("recipe")}
    again = place.run()
    assert (again.done, again.retired) == ((), ())
    assert sorted(again.skipped) == sorted((*expected.done, *expected.skipped))


def check_the_folder(output: Path, expected: Expected) -> None:
    """One spacing, one label a case; what was retired is there, and nowhere else."""
    present = sorted({*expected.done, *expected.skipped})
    assert spacings(output) == {expected.target}
    assert json.loads((output / "run.json").read_text())["target_spacing"] == list(expected.target)
    assert names_in(output / "imagesTr") == present
    assert names_in(output / "labelsTr") == sorted(expected.labels or present)
    training = json.loads((output / "dataset.json").read_text())["training"]
    assert sorted(pair["case"] for pair in training) == present
    assert len({pair["label"] for pair in training}) == len(training)
    assert names_in(output / "retired" / "imagesTr") == sorted(expected.retired)
    assert names_in(output / "retired" / "labelsTr") == sorted(expected.retired)
    assert verify_output(output).problems == ()
    assert {record.spacing for record in done_records(output).values()} == {expected.target}


FORETOLD = {name: row for name, row in CHANGES.items() if not name.endswith((", redo", ", confirmed"))}
"""Where the command has no option that `check` lacks."""


@pytest.mark.parametrize(("change", "expected"), FORETOLD.values(), ids=FORETOLD)
def test_check_foretells_it(place, change, expected):
    change(place)
    before = tree(place.output)
    report = check_dataset(place.root, place.options.get("recipe"), output_root=place.output)
    assert tree(place.output) == before
    if expected.stops is None:
        assert (report.fatal, report.target_spacing) == ((), expected.target)
    else:
        with pytest.raises(OutputError) as caught:
            place.run()
        assert report.fatal == (str(caught.value),)


def test_another_version_of_the_algorithm_stops_the_run(place, monkeypatch):
    for module in (fingerprint, kept, opening):
        monkeypatch.setattr(module, "ALGORITHM_VERSION", 2)
    with pytest.raises(OutputError, match="version of the algorithm: 1 -> 2"):
        place.run()


def test_a_table_is_kept_though_it_is_changed_or_removed(tmp_path):
    place = Place(write_cases(tmp_path / "dataset", 2), tmp_path / "out")
    put_table(place, "[2 1 1],[2 1 1]")
    place.run()
    put_table(place, "[2.5 1 1],[2.5 1 1]")
    with pytest.raises(OutputError, match=r"\(2, 1, 1\) mm -> \(2.5, 1, 1\) mm \(z y x; from a table -> from a table"):
        place.run()
    (place.root / "mri_statistics.csv").unlink()
    with pytest.raises(OutputError, match="from a table -> computed from headers"):
        place.run()


def test_without_a_finished_case_a_folder_takes_any_recipe(tmp_path):
    place = Place(write_cases(tmp_path / "dataset", 2), tmp_path / "out")
    for label in (place.root / "LabelsTr").iterdir():
        shutil.copy(label, tmp_path)
        label.write_text("rubbish")
    assert len(place.run().failed) == 2
    for label in (place.root / "LabelsTr").iterdir():
        shutil.copy(tmp_path / label.name, label)
    place.options["recipe"] = Recipe(order=1, target_spacing=(1.5, 1.0, 1.0))
    assert len(place.run().done) == 2
    assert json.loads((place.output / "run.json").read_text())["recipe"]["order"] == 1


def test_a_case_that_waits_in_a_journal_is_counted_once(place):
    """As after an interrupted redo: the record before and the entry are of one case."""
    process_case(Job(Recipe(order=1), (3.0, 1.0, 1.0), place.output, redo=1), case_of(place.root, "case_0"))
    with open_store(place.output) as store:
        finished = kept.kept_in(store, read_index(store.root)).finished
    assert sorted((made.redo, count) for made, count in finished.items()) == [(0, 2), (1, 1)]
