"""What tells two output folders apart: each planted difference is told, and nothing else is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_mriprep import preprocess
from monai_mriprep.errors import LockedError, RecordError
from monai_mriprep.recipe import Recipe
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.store import open_store
from monai_mriprep.verify.compare import compare_outputs
from monai_mriprep.verify.comparison import CaseDifference, Volume
from monai_mriprep.verify.repair import repair_output
from tests.runs import append_record, done_line, write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
RELEASED = sorted(Path(__file__).parents[1].glob("folder_of_*/out"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A dataset of three cases, and what two recipes make of it: A, and B in finer voxels."""
    root = tmp_path_factory.mktemp("compared")
    write_cases(root / "data", 3)
    preprocess(root / "data", root / "A", Recipe(target_spacing=(3, 1, 1)), workers=0)
    preprocess(root / "data", root / "B", Recipe(target_spacing=(1.5, 1, 1), order=1), workers=0)
    return root


@pytest.fixture
def place(finished, tmp_path) -> Path:
    """The same, for changes."""
    return shutil.copytree(finished, tmp_path / "place")


def again(place: Path) -> Path:
    """The first recipe on the dataset as it is now."""
    preprocess(place / "data", place / "again", Recipe(target_spacing=(3, 1, 1)), workers=0)
    return place / "again"


def lines_of(out: Path) -> list[str]:
    return (out / "manifest.jsonl").read_text().splitlines(keepends=True)


def test_a_folder_is_equal_to_itself_and_to_what_the_same_run_makes_again(place):
    for other in (place / "A", again(place)):
        found = compare_outputs(place / "A", other)
        assert found.is_equal
        assert (found.same, found.changed, found.versions) == (("case_0", "case_1", "case_2"), (), {})
        assert found.cases == (3, 3)


def test_another_recipe_and_target(finished):
    found = compare_outputs(finished / "A", finished / "B")
    assert not found.is_equal
    assert found.recipe == ("order: 3 -> 1",)
    assert found.target_spacing == ((3, 1, 1), (1.5, 1, 1))
    assert [(one.case, one.arrays, one.sources, one.grid) for one in found.changed] == [
        (f"case_{number}", ("image", "label"), (), "size") for number in range(3)
    ]
    assert [grid.shape for grid in found.changed[0].target_grids] == [(4, 8, 9), (7, 8, 9)]


def test_classes_are_not_compared_where_one_folder_has_no_labels(tmp_path):
    sources, outputs = (done_line("a")[key]["image"] for key in ("sources", "outputs"))
    alone = {"sources": {"image": sources}, "outputs": {"image": {**outputs, "path": "imagesTs/a.npz"}}}
    for name, changes in {"A": {}, "B": {**alone, "labels": {"before": {}, "after": {}}}}.items():
        (tmp_path / name).mkdir()
        append_record(tmp_path / name, done_line("a", **changes))
    found = compare_outputs(tmp_path / "A", tmp_path / "B")
    (case,) = found.changed
    assert (case.arrays, case.classes, found.classes) == (("label",), (), ())


def test_volumes_are_those_of_the_files(finished):
    found = compare_outputs(finished / "A", finished / "B")
    assert [one.value for one in found.classes] == [1, 2]
    for one in found.classes:
        for out, volume in zip("AB", one.volumes, strict=True):
            voxels, mm3, voxels_before, mm3_before = 0, 0.0, 0, 0.0
            for number in range(3):
                with np.load(finished / out / f"labelsTr/case_{number}.npz") as arrays:
                    count = int((arrays["arr_0"] == one.value).sum())
                    voxels, mm3 = voxels + count, mm3 + count * float(np.prod(arrays["spacing"]))
                source = SimpleITK.ReadImage(str(finished / f"data/LabelsTr/case_{number}.mha"))
                count = int((SimpleITK.GetArrayFromImage(source) == one.value).sum())
                voxels_before, mm3_before = voxels_before + count, mm3_before + count * np.prod(source.GetSpacing())
            assert (volume.voxels, volume.voxels_before) == (voxels, voxels_before)
            assert (volume.mm3, volume.mm3_before) == pytest.approx((mm3, mm3_before))


def test_cases_that_only_one_has(place):
    write_case(place / "data", "case_10")
    for folder in ("ImagesTr", "LabelsTr"):
        (place / "data" / folder / "case_1.mha").unlink()
    found = compare_outputs(place / "A", again(place))
    assert (found.lost, found.added, found.same) == (("case_1",), ("case_10",), ("case_0", "case_2"))
    assert not found.is_equal


def test_another_source_is_told_by_its_bytes(place):
    write_case(place / "data", "case_1", seed=9)
    (one,) = compare_outputs(place / "A", again(place)).changed
    assert (one.case, one.sources, one.arrays, one.grid) == ("case_1", ("image", "label"), ("image", "label"), None)
    assert [of_class.value for of_class in one.classes] == [1, 2]


def test_a_source_that_was_only_copied_is_the_same(place):
    shutil.copytree(place / "data", place / "copy")
    preprocess(place / "copy", place / "copied", Recipe(target_spacing=(3, 1, 1)), workers=0)
    assert compare_outputs(place / "A", place / "copied").is_equal


def test_a_case_that_failed_in_one(place):
    image = place / "data/ImagesTr/case_2.mha"
    image.write_bytes(image.read_bytes()[:-20])
    other = again(place)
    assert compare_outputs(place / "A", other).changed == (CaseDifference("case_2", ("done", "failed")),)
    assert compare_outputs(other, other).is_equal
    append_record(other, {"event": "started", "case": "case_1"})
    assert compare_outputs(place / "A", other).changed[0] == CaseDifference("case_1", ("done", "interrupted"))


@pytest.mark.parametrize("out", RELEASED, ids=lambda out: out.parent.name)
def test_folders_of_released_versions_can_be_compared(out):
    found = compare_outputs(RELEASED[0], out)
    assert (found.is_equal, len(found.same), found.unreadable) == (True, 2, ())
    assert ("monai-mriprep" in found.versions) == (out != RELEASED[0])


def test_files_that_differ_in_their_comments_alone_have_the_same_arrays(tmp_path):
    for out, changes in (("A", {}), ("B", {"sha256": "1" * 64}), ("C", {"sha256": "1" * 64, "crc32": 6})):
        line = done_line("a")
        line["outputs"]["image"] |= changes
        (tmp_path / out).mkdir()
        append_record(tmp_path / out, line)
    assert compare_outputs(tmp_path / "A", tmp_path / "B").same == ("a",)
    (one,) = compare_outputs(tmp_path / "A", tmp_path / "C").changed
    assert one.arrays == ("image",)


def test_a_label_on_a_grid_of_its_own_has_no_known_size_before(tmp_path):
    append_record(tmp_path, done_line("a", labels={"before": {"0": 60, "2": 60}, "after": {"0": 90, "2": 10}}))
    (one,) = compare_outputs(tmp_path, tmp_path).classes
    assert one.volumes == (Volume(60, None, 10, 10.0),) * 2


def test_a_rebuilt_record_says_nothing_of_its_sources(place):
    shutil.copytree(place / "B", place / "rebuilt")
    (place / "rebuilt/manifest.jsonl").unlink()
    assert len(repair_output(place / "rebuilt").rebuilt) == 3
    found = compare_outputs(place / "B", place / "rebuilt")
    assert (found.changed, len(found.same)) == ((), 3)


def test_damaged_records_are_named_and_not_compared(place):
    lines = lines_of(place / "B")
    number = next(n for n, line in enumerate(lines) if '"done"' in line and '"case_1"' in line)
    lines[number] = lines[number].replace('"peak_mib"', '"peak_mix"')
    (place / "B/manifest.jsonl").write_text("".join(lines))
    found = compare_outputs(place / "B", place / "B")
    assert found.same == ("case_0", "case_2")
    assert (found.lost, found.added, found.is_equal) == ((), (), False)
    assert found.unreadable[0].startswith(
        f"{place / 'B'}: case_1: line {number + 1} of manifest.jsonl cannot be trusted"
    )


@pytest.mark.parametrize("content", [None, "{", json.dumps({"recipe": 3})], ids=["missing", "garbled", "another"])
def test_a_folder_without_its_description_is_compared_by_its_cases(place, content):
    (place / "B/run.json").unlink()
    if content is not None:
        (place / "B/run.json").write_text(content)
    found = compare_outputs(place / "A", place / "B")
    assert (found.recipe, found.target_spacing, len(found.changed)) == ((), ((3, 1, 1), None), 3)
    (problem,) = found.unreadable
    assert problem.startswith(f"{place / 'B/run.json'}: ")
    assert problem.endswith("; recipe and target cannot be compared")


def test_what_is_no_output_folder_is_refused(finished, tmp_path):
    with pytest.raises(RecordError, match=r"no manifest\.jsonl there, so nothing to compare; give the output folders"):
        compare_outputs(finished / "A", tmp_path)


def test_it_waits_for_the_end_of_a_run(place):
    with open_store(place / "B") as store, exclusive(store.root), pytest.raises(LockedError):
        compare_outputs(place / "A", place / "B")


def test_nothing_is_written(place):
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    compare_outputs(place / "A", place / "B")
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_a_case_that_only_the_second_folder_has_makes_them_differ(tmp_path):
    for out, cases in (("A", ["a"]), ("B", ["a", "b_10", "b_9"])):
        (tmp_path / out).mkdir()
        for case in cases:
            append_record(tmp_path / out, done_line(case))
        shutil.copy(RELEASED[0] / "run.json", tmp_path / out)
    found = compare_outputs(tmp_path / "A", tmp_path / "B")
    assert (found.lost, found.added, found.cases, found.unreadable) == ((), ("b_9", "b_10"), (1, 3), ())
    assert not found.is_equal


def test_an_array_that_only_one_has_and_a_file_of_voxels_beside_a_header_are_told(tmp_path):
    for out in "AB":
        line = done_line("a")
        file = {"path": "/data/a.raw", "size": 9, "mtime_ns": 1, "sha256": ("0" if out == "A" else "1") * 64}
        line["sources"]["image"]["data"] = [file]
        if out == "B":
            del line["outputs"]["label"], line["sources"]["label"]
            line["outputs"]["image"]["path"] = "imagesTs/a.npz"
            line["labels"] = {"before": {}, "after": {}}
        (tmp_path / out).mkdir()
        append_record(tmp_path / out, line)
    (one,) = compare_outputs(tmp_path / "A", tmp_path / "B").changed
    assert (one.arrays, one.sources) == (("label",), ("image", "label"))


def test_another_target_alone_makes_them_differ(tmp_path):
    for out in "AB":
        shutil.copytree(RELEASED[0], tmp_path / out)
    assert compare_outputs(tmp_path / "A", tmp_path / "B").is_equal
    description = json.loads((tmp_path / "B/run.json").read_text())
    (tmp_path / "B/run.json").write_text(json.dumps(description | {"target_spacing": [3.0, 1.0, 1.0]}))
    found = compare_outputs(tmp_path / "A", tmp_path / "B")
    assert (found.changed, found.recipe, found.is_equal) == ((), (), False)


def test_versions_are_those_of_the_last_run(tmp_path):
    shutil.copytree(RELEASED[0], tmp_path / "B")
    opened = {"event": "opened", "dataset_root": "/data/scans", "cases": 2, "versions": {"monai-mriprep": "9.9"}}
    append_record(tmp_path / "B", opened)
    assert compare_outputs(RELEASED[0], tmp_path / "B").versions == {"monai-mriprep": ("0.1.0", "9.9")}


def test_records_may_hold_any_numbers_and_many_classes(place):
    huge = {"shape": [3, 4, 5], "affine": [[1e300, 0, 0, 0], [0, 1e300, 0, 0], [0, 0, 1e300, 0], [0, 0, 0, 1]]}
    many = {"before": {"0": 5}, "after": {str(value): 2**62 for value in range(20_000)}}
    append_record(place / "A", done_line("case_0", labels=many))
    append_record(place / "A", done_line("case_1", source_grid=huge))
    found = compare_outputs(place / "A", place / "B")
    assert len(found.changed[0].classes) == 19_999
    assert len(found.unreadable) == 1
