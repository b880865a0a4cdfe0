"""Runs that write records alone: what every command makes of a folder without volumes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import OutputError
from monai_mriprep.formats import sealed
from monai_mriprep.formats.sealed import NewerVersionError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.dry_run import dry_run
from monai_mriprep.run.plan import plan_run
from monai_mriprep.store import description
from monai_mriprep.store.description import VIRTUAL, read_description
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.store import open_store
from tests.runs import done_line, done_records, events, outputs, record_of, write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")

RECIPE = Recipe(target_spacing=(2.0, 1.0, 0.8))


def run(dataset: Path, out: Path, **given):
    return preprocess(dataset, out, RECIPE, workers=0, **given)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_cases(tmp_path_factory.mktemp("virtual") / "data", 3)


@pytest.fixture(scope="module")
def made(dataset) -> Path:
    """A virtual folder, which no test changes."""
    out = dataset.parent / "out"
    assert len(run(dataset, out, virtual=True).done) == 3
    return out


@pytest.fixture(scope="module")
def beside(dataset) -> Path:
    """The same with volumes."""
    run(dataset, dataset.parent / "volumes")
    return dataset.parent / "volumes"


def facts(out: Path) -> list[dict]:
    """What the records say of the cases, but for their files and what depends on the machine."""
    without = {"outputs", "seconds", "peak_mib", "time"}
    done = (event for event in events(out) if event["event"] == "done")
    return [{key: value for key, value in event.items() if key not in without} for event in done]


def version_of(out: Path) -> int:
    return json.loads((out / "run.json").read_text())["version"]


def test_all_is_recorded_and_no_volume_written(made, beside):
    assert facts(made) == facts(beside)
    assert all(record.outputs == {} for record in done_records(made).values())
    assert sorted(path.name for path in made.iterdir()) == [
        ".lock", ".partial", ".report", "manifest.csv", "manifest.jsonl", "run.json"
    ]  # fmt: skip
    assert len(list((made / ".report").iterdir())) == 3


def test_the_next_run_has_nothing_to_do_until_a_source_changes(tmp_path):
    dataset, out = write_cases(tmp_path / "data", 2), tmp_path / "out"
    run(dataset, out, virtual=True)
    assert run(dataset, out, virtual=True).skipped == ("case_0", "case_1")
    write_case(dataset, "case_1", seed=9)
    assert [result.case for result in run(dataset, out, virtual=True).done] == ["case_1"]


def test_versions_before_refuse_it(made, monkeypatch):
    assert version_of(made) == VIRTUAL == 4
    with open_store(made) as store:
        monkeypatch.setattr(sealed, "FORMAT_VERSION", 2)
        with pytest.raises(NewerVersionError, match="a newer version of monai-mriprep has written it"):
            read_index(store.root)
        monkeypatch.setattr(description, "VIRTUAL", 3)
        with pytest.raises(NewerVersionError, match=r"run\.json: a newer version .*\(format 4\)"):
            read_description(store)


def test_a_record_without_files_still_has_the_sources_of_a_case():
    assert record_of(done_line(outputs={})).outputs == {}
    sources = done_line()["sources"]
    record_of(done_line(outputs={}, sources={"image": sources["image"]}))
    with pytest.raises(OutputError, match="not of the same roles"):
        record_of(done_line(outputs={}, sources={"label": sources["label"]}))


def test_a_folder_is_virtual_or_has_volumes(dataset, made, beside):
    with pytest.raises(OutputError, match=r"changed: --virtual: given -> left out.*--redo .*another output folder"):
        run(dataset, made)
    for redo in (False, True):
        with pytest.raises(OutputError, match=r"there are volumes, and --virtual makes none; choose another output"):
            run(dataset, beside, virtual=True, redo=redo)
    assert outputs(beside), "they are there"


def test_a_redo_makes_volumes_of_a_virtual_folder_and_goes_on_where_it_was_interrupted(dataset, beside, tmp_path):
    out = tmp_path / "out"
    run(dataset, out, virtual=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_mriprep.run.preprocess._log", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(dataset, out, redo=True)
    assert [result.case for result in run(dataset, out).done] == ["case_1", "case_2"]
    assert arrays(out) == arrays(beside)
    assert version_of(out) == 1
    assert len(json.loads((out / "dataset.json").read_text())["training"]) == 3


def arrays(out: Path) -> dict[str, list[int]]:
    return {case: [file.crc32 for file in record.outputs.values()] for case, record in done_records(out).items()}


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_dry_run_needs_no_disk(dataset, tmp_path):
    plan = plan_run(dataset, tmp_path / "out", RECIPE, virtual=True)
    found = dry_run(plan)
    assert [case.action for case in found.cases] == ["run"] * 3
    assert found.needs.output_bytes == 0
    assert dry_run(plan_run(dataset, tmp_path / "out", RECIPE)).needs.output_bytes > 0
