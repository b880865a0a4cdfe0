"""What is done with a case, by its record and the state of its files; no run is made here."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Case, Job, output_paths
from monai_mriprep.run.decide import Decision, decide
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.store.records import Done, Failed, Record, Started
from monai_mriprep.store.store import open_store
from tests.runs import case_from, done_line, record_of

FILES = {
    "image": lambda job, case: case.sources["image"][0],
    "label": lambda job, case: case.sources["label"][0],
    "image_npz": lambda job, case: output_paths(job.output_root, case)["image"],
    "label_npz": lambda job, case: output_paths(job.output_root, case)["label"],
}


def facts_of(path: Path) -> dict:
    """What is recorded of a file; nobody compares its hash here."""
    status = path.stat()
    return {"path": str(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": ""}


def line_of(job: Job, case: Case, **changes) -> dict:
    """The line of a case whose files are as they are now."""
    sources = {role: facts_of(path) for role, (path,) in case.sources.items()}
    outputs = {}
    for role, path in output_paths(job.output_root, case).items():
        with zipfile.ZipFile(path) as archive:
            checksum = archive.getinfo("arr_0.npy").CRC
        relative = f"{path.parent.name}/{path.name}"
        outputs[role] = {**facts_of(path), "path": relative, "crc32": checksum}
    return done_line(case.name, fingerprint=job.fingerprint, sources=sources, outputs=outputs) | changes


def decided(job: Job, case: Case, record: Record | None) -> Decision:
    with open_store(job.output_root) as store:
        return decide(job, case, record, store)


@pytest.fixture
def job(tmp_path) -> Job:
    return Job(Recipe(), (3.0, 1.0, 1.0), tmp_path / "out")


@pytest.fixture
def case(job, tmp_path) -> Case:
    """Its files are there: numpy has written the outputs."""
    case = case_from("a", tmp_path / "a_image.mha", tmp_path / "a_label.mha")
    for (source,), output in zip(case.sources.values(), output_paths(job.output_root, case).values(), strict=True):
        source.write_bytes(b"not read")
        output.parent.mkdir(parents=True)
        np.savez(output, np.arange(24.0).reshape(1, 2, 3, 4))
    return case


@pytest.fixture
def record(job, case) -> Done:
    return record_of(line_of(job, case))


def test_done_is_skipped(job, case, record):
    assert decided(job, case, record).action == "skip"


def test_the_output_may_move(job, case, record, tmp_path):
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert decided(replace(job, output_root=tmp_path / "elsewhere"), case, record).action == "skip"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "no record"),
        (Started(case="a", time=0.0), "interrupted before"),
        (Failed(case="a", time=0.0, error="why"), "failed before"),
    ],
    ids=["nothing", "started", "failed"],
)
def test_what_was_never_finished_is_run(job, case, found, reason):
    decision = decided(job, case, found)
    assert (decision.action, decision.reason) == ("run", reason)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("change", ["touched", "longer", "gone"])
def test_a_changed_file_is_redone_and_named(job, case, record, file, change):
    path = FILES[file](job, case)
    if change == "touched":
        os.utime(path, ns=(1, 1))
    elif change == "longer":
        status = path.stat()
        path.write_bytes(path.read_bytes() + b"x")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        path.unlink()
    decision = decided(job, case, record)
    assert decision.action == "redo"
    assert str(path) in decision.reason


@pytest.mark.parametrize("role", ["image", "label"])
def test_other_voxels_of_the_same_size_and_time_are_redone(job, case, record, role):
    """The checksum that the archive states is the third witness."""
    path = output_paths(job.output_root, case)[role]
    status = path.stat()
    np.savez(path, np.arange(1.0, 25.0).reshape(1, 2, 3, 4))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    decision = decided(job, case, record)
    assert (decision.action, str(path) in decision.reason) == ("redo", True)


def test_an_output_that_is_no_archive_is_redone(job, case, record):
    path = output_paths(job.output_root, case)["image"]
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert decided(job, case, record).action == "redo"


def test_an_archive_without_the_array_is_redone(job, case, record):
    path = output_paths(job.output_root, case)["label"]
    status = path.stat()
    np.savez(path, arr_1=np.arange(24.0).reshape(1, 2, 3, 4))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert decided(job, case, record).action == "redo"


@pytest.mark.parametrize("place", ["beside", "linked", "inside"])
@pytest.mark.parametrize("as_list", [True, False], ids=["a list", "as 0.1.0 recorded it"])
def test_changed_voxels_in_a_file_of_their_own_are_redone(job, case, tmp_path, place, as_list):
    """Beside the header, beside what that links to, or in the folder that holds the slices."""
    (header,) = case.sources["image"]
    data = {"beside": tmp_path / "a.raw", "linked": tmp_path / "store" / "a.raw", "inside": header / "a.raw"}[place]
    if place != "beside":
        header.unlink()
        data.parent.mkdir()
    if place == "linked":
        (data.parent / "a.mhd").write_bytes(b"header")
        header.symlink_to(data.parent / "a.mhd")
    data.write_bytes(b"voxels")
    line = line_of(job, case)
    line["sources"]["image"]["data"] = [facts_of(data)] if as_list else facts_of(data)
    assert decided(job, case, record_of(line)).action == "skip"
    os.utime(data, ns=(1, 1))
    decision = decided(job, case, record_of(line))
    assert (decision.action, decision.reason) == ("redo", f"source image changed: {header}")


@pytest.mark.parametrize("change", [{"recipe": Recipe(order=1)}, {"target": (3.0, 1.0, 1.1)}])
def test_another_recipe_or_target_is_redone(job, case, record, change):
    decision = decided(replace(job, **change), case, record)
    assert decision.action == "redo"
    assert "recipe" in decision.reason


def test_a_setting_that_changes_no_voxel_is_skipped(job, case, record):
    assert decided(replace(job, recipe=Recipe(pattern="(?P<case>.*)")), case, record).action == "skip"


def test_where_all_cases_are_done_again_those_of_before_are_redone(job, case, record):
    again = replace(job, redo=2)
    before = record.model_copy(update={"redo": 1})
    assert decided(again, case, before) == Decision("redo", "all cases are done again")
    for redo in (2, 3):
        assert decided(again, case, record.model_copy(update={"redo": redo})).action == "skip"


def test_a_case_of_other_roles_is_redone(job, case, record):
    images = replace(case, sources={"image": case.sources["image"]}, outputs={"image": case.outputs["image"]})
    assert decided(job, images, record).reason == "it was made of image and label; now it is image"


def test_each_channel_counts_and_so_does_their_order(job, case, tmp_path):
    (first,), second = case.sources["image"], tmp_path / "b_image.mha"
    second.write_bytes(b"not read either")
    both = replace(case, sources={**case.sources, "image": (first, second)})
    swapped = replace(case, sources={**case.sources, "image": (second, first)})
    line = line_of(job, case)
    of_one = record_of(line)
    line["sources"]["image"] = [facts_of(first), facts_of(second)]
    of_both = record_of(line)

    assert decided(job, both, of_both).action == "skip"
    assert decided(job, swapped, of_both) == Decision("redo", f"source image changed: {second}")
    assert decided(job, case, of_both).reason == "source image was of 2 channels; now it has 1"
    assert decided(job, both, of_one).reason == "source image was of 1 channel; now it has 2"
    os.utime(second, ns=(1, 1))
    assert decided(job, both, of_both) == Decision("redo", f"source image changed: {second}")


def test_a_rebuilt_record_is_redone_for_it_does_not_know_its_sources(job, case):
    decision = decided(job, case, record_of(line_of(job, case, repaired=True)))
    assert decision.action == "redo"
    assert decision.reason.startswith("its record was rebuilt from its files")


@pytest.fixture
def copy(case) -> Case:
    """A case whose files are copies of objects, and are not here yet."""
    origins = {str(path): Origin(f"s3://b/{path.name}", path.name, 8, 5) for (path,) in case.sources.values()}
    for path in origins:
        Path(path).unlink()
    return replace(case, origins=origins)


def line_of_copy(job: Job, copy: Case) -> dict:
    """The line of a case that was made of objects."""
    (image,), (label,) = copy.sources.values()
    for path in (image, label):
        path.write_bytes(b"copy")
    line = line_of(job, copy)
    for path, role in ((image, "image"), (label, "label")):
        origin = copy.origins[str(path)]
        line["sources"][role] |= {"path": origin.address, "etag": origin.etag, "size": origin.size, "mtime_ns": 5}
        path.unlink()
    return line


def test_a_copy_is_known_by_what_the_store_says_of_its_object(job, copy):
    record = record_of(line_of_copy(job, copy))
    assert decided(job, copy, record).action == "skip"


@pytest.mark.parametrize("change", [{"etag": "other"}, {"size": 9}])
def test_a_replaced_object_is_redone_and_named(job, copy, change):
    record = record_of(line_of_copy(job, copy))
    (label,) = copy.sources["label"]
    replaced = replace(copy, origins={**copy.origins, str(label): copy.origins[str(label)]._replace(**change)})
    assert decided(job, replaced, record) == Decision("redo", "source label changed: s3://b/a_label.mha")


def test_an_object_written_again_with_the_same_content_is_skipped(job, copy):
    record = record_of(line_of_copy(job, copy))
    later = {path: origin._replace(modified_ns=77) for path, origin in copy.origins.items()}
    assert decided(job, replace(copy, origins=later), record).action == "skip"


def test_the_files_of_its_voxels_are_known_by_their_objects_too(job, copy):
    (image,) = copy.sources["image"]
    voxels = image.with_suffix(".raw")
    line = line_of_copy(job, copy)
    data = {"path": "s3://b/a_image.raw", "size": 3, "mtime_ns": 5, "sha256": "", "etag": "v"}
    line["sources"]["image"]["data"] = [data]
    record = record_of(line)
    assert decided(job, copy, record).action == "redo"  # nobody knows an object of it
    for etag, action in (("v", "skip"), ("w", "redo")):
        origins = {**copy.origins, str(voxels): Origin("s3://b/a_image.raw", etag, 3, 5)}
        assert decided(job, replace(copy, origins=origins), record).action == action


def test_an_output_that_lies_elsewhere_is_known_by_what_is_told_of_it(job, case):
    line = line_of(job, case)
    for role, file in line["outputs"].items():
        file["etag"] = role
        output_paths(job.output_root, case)[role].unlink()
    record = record_of(line)
    there = {file["path"]: Origin("s3://b/x", role, file["size"], 0) for role, file in line["outputs"].items()}
    for elsewhere, action in (
        (there, "skip"),
        ({**there, "labelsTr/a.npz": there["labelsTr/a.npz"]._replace(etag="other")}, "redo"),
        ({"imagesTr/a.npz": there["imagesTr/a.npz"]}, "redo"),
    ):
        with open_store(job.output_root, elsewhere=elsewhere) as store:
            assert decide(job, case, record, store).action == action
            assert [store.holds(path) for path in there] == [path in elsewhere for path in there]
