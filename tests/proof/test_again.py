"""Cases are made again from a lock: to the bit, or it says what differs, and in which voxel."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep._version import __version__
from monai_mriprep.demo.phantoms import make_demo_dataset
from monai_mriprep.errors import DiskFullError, OutputError
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.proof import again
from monai_mriprep.proof.again import _unequal, reproduce
from monai_mriprep.proof.arrays import array_facts
from monai_mriprep.proof.lock_file import read_lock
from monai_mriprep.proof.reproduce import order_of
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Result
from monai_mriprep.run.engines import ThisMachine
from tests.proof.locks import HERE, edited, made_again, told, write_lock
from tests.runs import write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")

BOTH = ("case_0", "case_1")


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def changed_voxel(path: Path) -> None:
    """One voxel of a scan of `write_case` gets another value; the file has the same size where it is not compressed."""
    rng = np.random.default_rng(0)
    voxels = rng.integers(1, 900, (4, 8, 9), np.int16)
    voxels[:, :2] = 0
    voxels[2, 5, 5] += 1
    write_metaimage(path, voxels, (3.0, 1.0, 1.0))


def test_all_bits_are_the_same_wherever_the_dataset_lies(place):
    found = made_again(place / "data.lock", place / "dataset")
    assert (found.exact, found.close, found.differ, found.unlike) == (BOTH, (), (), ())
    assert found.to_the_bit
    assert found.is_proven
    assert made_again(place / "data.lock", place / "dataset", against=place / "out").is_proven


def test_a_changed_voxel_of_a_source_is_named_by_its_file(place):
    changed_voxel(place / "dataset/ImagesTr/case_0.mha")
    found = made_again(place / "data.lock", place / "dataset")
    assert found.exact == ("case_1",)
    (((kind, subject, problem),),) = told(found).values()
    assert (kind, subject) == ("source", "ImagesTr/case_0.mha")
    assert problem.startswith(("has changed: its SHA-256", "has 7"))


def test_a_source_that_is_changed_after_it_was_hashed_is_named(place, monkeypatch):
    process = again.process_case

    def changed(job, case):
        changed_voxel(case.sources["image"][0])
        return process(job, case)

    monkeypatch.setattr(again, "process_case", changed)
    found = told(made_again(place / "data.lock", place / "dataset", cases=["case_0"]))["case_0"]
    assert found[0][:2] == ("source", "case_0")
    assert found[0][2].endswith("while it was read")


def test_a_missing_case_is_named_by_its_files(place):
    for folder in ("ImagesTr", "LabelsTr"):
        (place / "dataset" / folder / "case_1.mha").unlink()
    found = told(made_again(place / "data.lock", place / "dataset"))
    assert found == {
        "case_1": [("source", f"{folder}/case_1.mha", "is missing") for folder in ("ImagesTr", "LabelsTr")]
    }


def test_a_source_that_is_changed_and_entered_into_the_lock_gives_another_array(place):
    """Who knows the format can give the lock any hash: the array is what the recipe makes of the source."""
    changed_voxel(place / "dataset/ImagesTr/case_0.mha")
    other = place / "other"
    preprocess(place / "dataset", other, Recipe(target_spacing=(2.0, 1.0, 1.0)), workers=0, report=False)
    (source,) = read_lock(write_lock(other, place / "other.lock")).case("case_0").sources["image"]

    def change(facts):
        if facts.get("case") == "case_0":
            facts["sources"]["image"] |= {"size": source.size, "sha256": source.sha256}

    found = told(made_again(edited(place / "data.lock", change), place / "dataset", against=place / "out"))
    kinds = [kind for kind, _, _ in found["case_0"]]
    assert kinds == ["record", "record", "record", "record", "image"]
    before, now = (np.load(folder / "imagesTr/case_0.npz")["arr_0"] for folder in (place / "out", other))
    at = tuple(map(int, np.argwhere(before != now)[0]))
    assert f"{at}, c z y x, is {now[at]!s}; the lock has {before[at]!s}" in found["case_0"][-1][2]


@pytest.mark.parametrize("whole", [False, True])
def test_a_changed_voxel_of_an_output_is_named_by_its_place(place, whole):
    """A folder of arrays that somebody has changed, and locked with the changed ones."""
    path = place / "out/imagesTr/case_0.npz"
    with np.load(path) as stored:
        array, spacing = stored["arr_0"].copy(), stored["spacing"]
    array[0, 3, 4, 5] += 0.5
    np.savez(path, array, spacing=spacing)

    if whole:
        found = told(made_again(place / "data.lock", place / "dataset", cases=["case_0"], against=place / "out"))
        assert [one[:2] for one in found["case_0"]] == [("against", "imagesTr/case_0.npz")]

    def change(facts):
        if facts.get("case") == "case_0":
            facts["outputs"]["image"] |= array_facts(array).model_dump(mode="json")

    against = place / "out" if whole else None
    found = told(made_again(edited(place / "data.lock", change), place / "dataset", against=against))
    (((kind, subject, problem),),) = found.values()
    assert (kind, subject) == ("image", "imagesTr/case_0.npz")
    if whole:
        assert problem.startswith(f"1 of {array.size} voxels differ: (0, 3, 4, 5), c z y x, is ")
    else:  # a sample may miss it
        assert "differ: (0, 3, 4, 5)" in problem or "its SHA-256 is not that of the lock" in problem


def test_a_recipe_that_was_changed_with_its_fingerprint_is_named_by_the_setting(place):
    other = Recipe(target_spacing=(2.0, 1.0, 1.0), order=1)
    preprocess(place / "dataset", place / "other", other, workers=0, report=False)
    head = read_lock(write_lock(place / "other", place / "other.lock")).head

    def change(facts):
        if "lock" in facts:
            facts |= {"recipe": head.recipe, "fingerprint": head.fingerprint}

    found = made_again(edited(place / "data.lock", change), place / "dataset", against=place / "out")
    for differences in told(found).values():
        assert ("recipe", "trace.steps.1.order", "is 1; the lock has 3") in differences
        assert any(kind == "image" for kind, _, _ in differences)
    assert [tuple(one) for one in found.differences] == [("recipe", str(place / "out"), "order: 1 -> 3")]


def test_other_packages_or_another_processor_are_named_and_only_images_may_differ_then(place, monkeypatch):
    def change(facts):
        for made in facts.get("made", ()):
            made["versions"]["torch"] = "1.0"
            made["processor"] = "abacus"

    edited(place / "data.lock", change)
    found = made_again(place / "data.lock", place / "dataset")
    assert not found.to_the_bit
    assert found.exact == BOTH
    assert any(text.startswith("torch 1.0 in the lock, ") for text in found.unlike)
    assert any(text.startswith("processor abacus in the lock, ") for text in found.unlike)

    read = again.read_npz

    def noisy(path):
        volume = read(path)
        noise = 1 + 1e-7 if volume.array.dtype == np.float32 else 1
        volume.array[...] = volume.array * np.float32(noise)
        return volume

    monkeypatch.setattr(again, "read_npz", noisy)
    for against in (None, place / "out"):
        found = made_again(place / "data.lock", place / "dataset", against=against)
        assert (found.exact, found.close) == ((), BOTH)
        assert 0 < found.deviation < 2e-6
    found = made_again(place / "data.lock", place / "dataset", cases=["case_1"])
    assert found.close == ("case_1",)


def test_what_another_version_records_besides_is_no_difference_on_other_packages(place):
    def change(facts):
        for made in facts.get("made", ()):
            made["versions"]["monai-mriprep"] = "0.8.0"
        if "classes" in facts:
            facts["classes"] = "0" * 64
            if facts["case"] == "case_0":
                del facts["trace"]["steps"][1]["boundary"]
            else:  # 0.1.0 has recorded none
                facts["trace"] = None

    lock = edited(place / "data.lock", change)
    assert made_again(lock, place / "dataset").exact == BOTH

    def as_here(facts):
        for made in facts.get("made", ()):
            made["versions"]["monai-mriprep"] = __version__

    found = told(made_again(edited(lock, as_here), place / "dataset"))["case_0"]
    assert [subject for _, subject, _ in found] == ["trace.steps.1", "classes"]


def test_on_the_same_packages_the_last_digit_counts(place, monkeypatch):
    read = again.read_npz

    def off_by_a_bit(path):
        volume = read(path)
        volume.array.reshape(-1)[7:8].view(np.uint8)[0] ^= 1
        return volume

    monkeypatch.setattr(again, "read_npz", off_by_a_bit)
    found = told(made_again(place / "data.lock", place / "dataset", against=place / "out"))
    assert [[kind for kind, _, _ in differences] for differences in found.values()] == [["image", "label"]] * 2


@pytest.mark.stress
def test_the_folder_to_compare_with_must_be_that_of_the_lock(place):
    other = Recipe(target_spacing=(2.0, 1.0, 1.0), clip=True)
    preprocess(place / "dataset", place / "other", other, workers=0, report=False)
    found = made_again(place / "data.lock", place / "dataset", against=place / "other")
    assert [one.problem for one in found.differences] == ["clip: False -> True"]
    assert {kind for differences in told(found).values() for kind, _, _ in differences} == {"against"}
    (place / "out/imagesTr/case_0.npz").unlink()
    found = told(made_again(place / "data.lock", place / "dataset", against=place / "out"))
    assert [(kind, subject) for kind, subject, _ in found["case_0"]] == [("against", "imagesTr/case_0.npz")]


def test_numbers_are_compared_in_six_digits_and_counts_to_the_last():
    before = {"mean": 450.0, "zero": 0.0, "whole": 2, "count": 10**7, "list": [1.0, 2.0]}

    def unequal(tolerance: float, **now: object) -> list[tuple[str | int, ...]]:
        return [place for place, _ in _unequal(before, before | now, tolerance)]

    assert unequal(2e-6, mean=450.0001, zero=1e-9, whole=2.0000001, more=1) == []
    assert unequal(2e-6, mean=450.01, zero=1e-3, list=[1.0, 2.1]) == [("mean",), ("zero",), ("list", 1)]
    assert unequal(2e-6, count=10**7 + 1, list=[1.0]) == [("count",), ("list",)]
    assert unequal(0.0, mean=450.0 + 1e-12) == [("mean",)]
    assert unequal(0.0, more=1) == [()]


def test_what_goes_to_a_worker_can_be_pickled(place):
    order = order_of(place / "data.lock", place / "dataset")
    assert pickle.loads(pickle.dumps(order.cases)) == order.cases
    assert pickle.loads(pickle.dumps(order.cases))[0].line == order.cases[0].line


def test_a_case_that_fails_here_says_why(place, monkeypatch):
    """Also where whoever watches it fails."""
    failed, seen = Result("case_0", "failed", "no luck", ("beware",)), []

    def watch(result, *_):
        seen.extend(result.warnings)
        raise ValueError

    monkeypatch.setattr(again, "process_case", lambda *_: failed)
    found = reproduce(order_of(place / "data.lock", place / "dataset", cases=["case_0"]), HERE, observe=watch)
    assert told(found) == {"case_0": [("failed", "case_0", "no luck")]}
    assert seen == ["beware"]


def test_an_error_of_ours_is_one_case_that_fails(place, monkeypatch):
    def broken(*_):
        msg = "no luck"
        raise RuntimeError(msg)

    monkeypatch.setattr(again, "judged", broken)
    assert told(made_again(place / "data.lock", place / "dataset", cases=["case_0"])) == {
        "case_0": [("failed", "case_0", "unexpected RuntimeError: no luck")]
    }


def test_a_full_disk_ends_it_and_names_the_folder(place, monkeypatch):
    full = Result("case_0", "failed", "no space left", facts={"disk_full": True})
    monkeypatch.setattr(again, "process_case", lambda job, case: full)
    with pytest.raises(DiskFullError, match="no space left; or give another folder by --scratch"):
        made_again(place / "data.lock", place / "dataset")

    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(again, "make_store", no_room)
    with pytest.raises(DiskFullError, match="No space left on device; or give another folder by --scratch"):
        made_again(place / "data.lock", place / "dataset")


def test_the_scratch_folder_is_removed_also_when_it_is_interrupted(place, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    order = order_of(place / "data.lock", place / "dataset")
    seen = []
    reproduce(order, HERE, scratch, lambda *_: seen.append(names_in(scratch)))
    assert [len(names) for names in seen] == [1, 1]
    assert names_in(scratch) == []

    class Stopped(BaseException):
        pass

    def stop(*_):
        raise Stopped

    with pytest.raises(Stopped):
        reproduce(order, HERE, scratch, stop)
    assert names_in(scratch) == []
    with pytest.raises(OutputError, match="give another one by --scratch"):
        reproduce(order, HERE, tmp_path / "none")


def locked_and_made_again(dataset: Path, recipe: Recipe | None = None, **given: object):
    """A run, its lock, and what comes of making it again from a copy of the dataset."""
    root = dataset.parent
    preprocess(dataset, root / "out", recipe, workers=0, report=False, **given)
    lock = write_lock(root / "out", root / "data.lock")
    return read_lock(lock), made_again(lock, shutil.copytree(dataset, root / "copy"))


def test_several_channels(tmp_path):
    for case in range(2):
        write_case(tmp_path / "dataset", f"case_{case}_t1", seed=case)
        write_case(tmp_path / "dataset", f"case_{case}_t2", seed=case + 7)
        (tmp_path / f"dataset/LabelsTr/case_{case}_t1.mha").rename(tmp_path / f"dataset/LabelsTr/case_{case}.mha")
        (tmp_path / f"dataset/LabelsTr/case_{case}_t2.mha").unlink()
    lock, found = locked_and_made_again(tmp_path / "dataset", Recipe(channels=("t1", "t2")))
    assert [source.path for source in lock.case("case_0").sources["image"]] == [
        "ImagesTr/case_0_t1.mha",
        "ImagesTr/case_0_t2.mha",
    ]
    assert lock.case("case_0").outputs["image"].shape[0] == 2
    assert (found.exact, found.is_proven) == (BOTH, True)


@pytest.mark.stress
def test_merged_labels_a_crop_and_another_orientation(tmp_path):
    recipe = Recipe(
        label_map={2: 1, 1: 1}, crop="nonzero", orientation="RAS", target_spacing=(2.0, 1.5, 1.0), grid="nnunet"
    )
    _, found = locked_and_made_again(write_cases(tmp_path / "dataset", 1), recipe)
    assert found.exact == ("case_0",)


def test_a_test_set(place):
    images = shutil.copytree(place / "dataset/ImagesTr", place / "tests")
    preprocess(images, place / "test_out", like=place / "out", workers=0, report=False)
    lock = write_lock(place / "test_out", place / "test.lock")
    assert read_lock(lock).head.is_test
    assert read_lock(lock).case("case_0").sources["image"][0].path == "case_0.mha"
    assert made_again(lock, images, against=place / "test_out").exact == BOTH


@pytest.mark.stress
def test_excluded_cases_are_not_in_it(tmp_path):
    (tmp_path / "exclude.txt").write_text("case_0  # moved\n")
    dataset = write_cases(tmp_path / "dataset", 2)
    lock, found = locked_and_made_again(dataset, exclude=tmp_path / "exclude.txt")
    assert (lock.head.cases, lock.head.left_out, found.exact) == (("case_1",), (), ("case_1",))


def test_a_virtual_folder_is_compared_by_its_records(tmp_path):
    lock, found = locked_and_made_again(write_cases(tmp_path / "dataset", 2), virtual=True)
    assert lock.head.virtual
    assert lock.case("case_0").outputs == {}
    assert (found.exact, found.is_proven) == (BOTH, True)

    def change(facts):
        if "foreground" in facts:
            facts["foreground"]["mean"] += 1e-9
            facts["labels"]["after"]["1"] += 1

    told_now = told(made_again(edited(lock.path, change), tmp_path / "copy"))
    assert [subject for _, subject, _ in told_now["case_1"]] == ["foreground.mean", "labels.after.1"]

    def elsewhere(facts):
        for made in facts.get("made", ()):
            made["processor"] = "abacus"
        if "labels" in facts:
            facts["labels"]["after"]["1"] -= 1
        if facts.get("case") == "case_0":
            facts["foreground"]["mean"] -= 1e-9
        if facts.get("case") == "case_1":
            facts["foreground"]["mean"] += 1e-4
            assert facts["target_grid"]["affine"][0][0] == 0
            facts["target_grid"]["affine"][0][0] = 1e-9

    found = made_again(edited(lock.path, elsewhere), tmp_path / "copy")
    assert (found.exact, found.close, found.is_proven) == (("case_0",), ("case_1",), True), "of six digits"


def test_sources_with_files_of_voxels_beside_them_and_behind_links(tmp_path):
    dataset, voxels = tmp_path / "dataset", np.arange(288, dtype=np.int16).reshape(4, 8, 9)
    write_case(dataset, "case_0")
    (dataset / "ImagesTr/case_0.mha").unlink()
    store = tmp_path / "store"
    store.mkdir()
    header = "ObjectType = Image\nNDims = 3\nDimSize = 9 8 4\nElementSpacing = 1 1 3\nElementType = MET_SHORT\n"
    (store / "case_0.mhd").write_text(f"{header}ElementDataFile = case_0.raw\n")
    (store / "case_0.raw").write_bytes(voxels.tobytes())
    (dataset / "ImagesTr/case_0.mhd").symlink_to(store / "case_0.mhd")
    preprocess(dataset, tmp_path / "out", workers=0, report=False)
    lock = write_lock(tmp_path / "out", tmp_path / "data.lock")
    (source,) = read_lock(lock).case("case_0").sources["image"]
    assert [file.name for file in source.data] == ["case_0.raw"]
    assert made_again(lock, dataset).exact == ("case_0",)
    voxels[1, 1, 1] += 1
    (store / "case_0.raw").write_bytes(voxels.tobytes())
    assert told(made_again(lock, dataset)) == {
        "case_0": [("source", "ImagesTr/case_0.raw", "has changed: its SHA-256 is another one")]
    }


@pytest.mark.stress
def test_the_demo_and_the_mixed_scans_have_all_bits(scans, tmp_path):
    """By workers, from a copy, both as locked and against the folder."""
    make_demo_dataset(tmp_path / "demo")
    for dataset in (tmp_path / "demo", scans / "mixed"):
        out = tmp_path / f"{dataset.name}-out"
        preprocess(dataset, out, workers=2, report=False)
        lock = write_lock(out, tmp_path / f"{dataset.name}.lock")
        copy = shutil.copytree(dataset, tmp_path / f"{dataset.name}-copy")
        for against in (None, out):
            found = reproduce(order_of(lock, copy, against=against), ThisMachine.limited(2))
            assert found.to_the_bit
            assert found.exact == read_lock(lock).head.cases
            assert found.is_proven


@pytest.mark.stress
def test_a_worker_that_dies_is_one_case_that_differs(place, monkeypatch):
    def die(job, case):
        os._exit(9)

    monkeypatch.setattr(again, "process_case", die)
    found = told(reproduce(order_of(place / "data.lock", place / "dataset"), ThisMachine(1, 2**40)))
    assert [differences[0][0] for differences in found.values()] == ["failed", "failed"]
    assert json.dumps(found)
    assert not [name for name in names_in(Path(tempfile.gettempdir())) if name.startswith("mriprep-reproduce-")]
