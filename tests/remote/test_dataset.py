"""A dataset in an object store: stubs to plan with, and files that are fetched whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_mriprep.errors import DatasetError, RemoteError
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.remote.dataset import HEADER_BYTES, RemoteDataset
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.process import process_case
from tests.formats.dicom_series import ORIGIN, ROTATION, SPACING, write_series
from tests.runs import job_of, write_cases

LARGE = (16, 64, 64)
"""Voxels of an image whose file is longer than what is fetched of it for its header."""


def put_folder(store, folder: Path) -> None:
    """Upload a dataset."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(str(path.relative_to(folder)), path)


@pytest.fixture
def dataset(store, tmp_path):
    """Three cases, the first of which is large, in the store; their files in ``local``."""
    write_cases(tmp_path / "local", 3)
    image = np.arange(np.prod(LARGE), dtype=np.int16).reshape(LARGE)
    for folder in ("ImagesTr", "LabelsTr"):
        write_metaimage(tmp_path / "local" / folder / "case_0.mha", image % 3, (3.0, 1.0, 1.0))
    put_folder(store, tmp_path / "local")
    (tmp_path / "scratch").mkdir()
    return RemoteDataset(store, tmp_path / "scratch")


def write_mixed(root: Path) -> Path:
    """Two cases: the image of one is a DICOM series, and that of the other has its voxels in a file of their own."""
    stack = np.random.default_rng(0).integers(1, 200, (5, 6, 7)).astype(np.int16)
    image = SimpleITK.GetImageFromArray(stack)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(ROTATION.ravel().tolist())
    (root / "LabelsTr").mkdir(parents=True)
    write_series(root / "ImagesTr" / "series", stack)
    (root / "ImagesTr" / "series" / ".hidden").write_bytes(b"no slice")
    SimpleITK.WriteImage(image, str(root / "ImagesTr" / "detached.mhd"))
    for name in ("series", "detached"):
        SimpleITK.WriteImage(image > 99, str(root / "LabelsTr" / f"{name}.mha"))
    return root


def plan_of(dataset: RemoteDataset, output: Path):
    """The plan, and an output folder as a session makes it."""
    dataset.read_headers()
    job_of(output)
    return dataset.planned(plan_run(dataset.root, output))


def test_a_plan_is_that_of_the_files(dataset, tmp_path):
    plan, local = plan_of(dataset, tmp_path / "out"), plan_run(tmp_path / "local", tmp_path / "out")
    assert (plan.job, plan.derivation) == (local.job, local.derivation)
    facts = [[(case.name, case.memory_bytes, dict(case.outputs)) for case in one.cases] for one in (plan, local)]
    assert facts[0] == facts[1]
    assert plan.dataset_name == "memory://bucket/scans"


def test_of_a_large_file_the_header_alone_is_fetched(dataset, tmp_path):
    dataset.read_headers()
    stub, local = dataset.root / "ImagesTr" / "case_0.mha", tmp_path / "local" / "ImagesTr" / "case_0.mha"
    assert read_header(stub).grid == read_header(local).grid
    assert stub.stat().st_size == local.stat().st_size
    assert stub.read_bytes()[HEADER_BYTES:].strip(b"\0") == b""
    assert dataset.objects.requests == {"list": 1, "read": 6, "write": 6, "look": 6}


def test_no_stub_is_left_when_the_work_begins_and_no_source_was_one(dataset, tmp_path):
    dataset.read_headers()
    stubs = {path.relative_to(dataset.root): path for path in dataset.root.rglob("*.mha")}
    plan = dataset.planned(plan_run(dataset.root, tmp_path / "out"))
    sources = [path for case in plan.cases for paths in case.sources.values() for path in paths]
    assert len(sources) == len(stubs) == 6
    assert not any(path.exists() for path in (*stubs.values(), *sources))


def test_a_case_that_was_not_fetched_fails_by_name_and_is_never_zeros(dataset, tmp_path):
    plan = plan_of(dataset, tmp_path / "out")
    case = plan.cases[0]
    result = process_case(plan.job, case)
    assert (result.case, result.status) == (case.name, "failed")
    assert f"{case.name}.mha: the file cannot be found" in result.error


def test_a_case_is_fetched_whole_and_dropped(dataset, tmp_path):
    plan = plan_of(dataset, tmp_path / "out")
    for case in plan.cases:
        dataset.fetch(case)
        for folder, (path,) in zip(("ImagesTr", "LabelsTr"), case.sources.values(), strict=True):
            assert path.read_bytes() == (tmp_path / "local" / folder / path.name).read_bytes()
        dataset.drop(case)
        assert not any(path.exists() for (path,) in case.sources.values())


def test_origins_say_where_a_source_comes_from(dataset, tmp_path):
    case = next(case for case in plan_of(dataset, tmp_path / "out").cases if case.name == "case_1")
    (image,), stored = case.sources["image"], dataset.objects.look("ImagesTr/case_1.mha")
    assert case.origins[str(image)] == (
        "memory://bucket/scans/ImagesTr/case_1.mha",
        stored.etag,
        stored.size,
        stored.modified_ns,
    )


def test_the_files_of_a_header_go_with_it(store, tmp_path):
    write_cases(tmp_path / "local", 1)
    image = tmp_path / "local" / "ImagesTr" / "case_0.mha"
    header, voxels = image.read_bytes().split(b"ElementDataFile = LOCAL\n")
    image.unlink()
    image.with_suffix(".mhd").write_bytes(header + b"ElementDataFile = case_0.raw\n")
    image.with_suffix(".raw").write_bytes(voxels)
    put_folder(store, tmp_path / "local")
    (case,) = plan_of(RemoteDataset(store, tmp_path), tmp_path / "out").cases
    assert sorted(Path(path).name for path in case.origins) == ["case_0.mha", "case_0.mhd", "case_0.raw"]
    assert store.requests["read"] == 2  # of the voxels nothing


def test_a_series_is_fetched_slice_by_slice_and_fails_where_one_was_replaced(store, tmp_path):
    local = write_mixed(tmp_path / "local")
    put_folder(store, local)
    dataset = RemoteDataset(store, tmp_path)
    cases = {case.name: case for case in plan_of(dataset, tmp_path / "out").cases}
    store.requests.clear()
    for case in cases.values():
        dataset.fetch(case)
        for path in (Path(path) for path in case.origins):
            (found,) = local.rglob(path.name)
            assert [file.read_bytes() for file in files_of(path)] == [file.read_bytes() for file in files_of(found)]
    assert store.requests == {"read": 5 + 1 + 3, "look": 5 + 1 + 3}
    store.put("ImagesTr/series/002.dcm", b"other")
    with pytest.raises(RemoteError, match=r"scans/ImagesTr/series/002.dcm: was replaced since it was listed"):
        dataset.fetch(cases["series"])


def files_of(place: Path) -> list[Path]:
    """A file, or the slices in a folder."""
    return sorted(place.glob("[!.]*")) if place.is_dir() else [place]


def test_texts_are_fetched_whole(store, tmp_path):
    text = b"a,b\n" * HEADER_BYTES
    store.put("mri_statistics.csv", text)
    dataset = RemoteDataset(store, tmp_path)
    dataset.read_headers()
    assert (dataset.root / "mri_statistics.csv").read_bytes() == text


def test_a_text_names_addresses_and_not_this_machine(dataset, tmp_path):
    plan = plan_of(dataset, tmp_path / "out")
    (path,) = next(case for case in plan.cases if case.name == "case_1").sources["image"]
    assert dataset.told(f"{path}: bad") == "memory://bucket/scans/ImagesTr/case_1.mha: bad"
    assert dataset.told(f"{dataset.root / 'x'}: bad") == "memory://bucket/scans/x: bad"


def test_an_empty_address_and_hidden_objects_are_no_dataset(store, tmp_path):
    store.put(".hidden/a.mha", b"1")
    with pytest.raises(DatasetError, match="memory://bucket/scans: there is no object below this address"):
        RemoteDataset(store, tmp_path).read_headers()


def test_a_header_that_cannot_be_fetched_stops_the_plan(dataset):
    listed = dataset.objects.list
    dataset.objects.list = lambda: listed() | {"ImagesTr/gone.mha": listed()["ImagesTr/case_0.mha"]}
    with pytest.raises(RemoteError, match=r"ImagesTr/gone.mha: cannot read it"):
        dataset.read_headers()


def test_an_output_is_of_the_voxels_of_the_store(dataset, tmp_path):
    job_of(tmp_path / "other")
    plan, local = plan_of(dataset, tmp_path / "out"), plan_run(tmp_path / "local", tmp_path / "other")
    for case in plan.cases:
        dataset.fetch(case)
        result = process_case(plan.job, case)
        assert result.facts["sources"]["image"]["path"] == f"memory://bucket/scans/ImagesTr/{case.name}.mha"
        assert result.facts["sources"]["image"]["etag"] == dataset.objects.look(f"ImagesTr/{case.name}.mha").etag
    for case in local.cases:
        assert "etag" not in process_case(local.job, case).facts["sources"]["image"]
    for path in sorted((tmp_path / "other").glob("*Tr/*.npz")):
        assert path.read_bytes() == (tmp_path / "out" / path.parent.name / path.name).read_bytes()


@pytest.mark.parametrize(
    "begin",
    [
        b"\0" * 128 + b"DICM" + b"private",
        b"NRRD0005\nDWMRI_gradient_0000:=1 0 0\n",
        b"ObjectType = Image\nComment = long\n",
    ],
)
def test_an_object_whose_header_is_longer_than_most_is_fetched_whole(dataset, store, begin):
    content = begin + b"x" * HEADER_BYTES + b"\n\n\xe0\x7f\x10\x00ElementDataFile = LOCAL\n" + b"voxels"
    store.put("ImagesTr/long", content)
    dataset.read_headers()
    assert (dataset.root / "ImagesTr" / "long").read_bytes() == content


@pytest.mark.parametrize("name", ["ImagesTr/" + "x" * 256, "ImagesTr/case_0.mha/x"])
def test_an_object_that_cannot_be_a_file_here_is_named(dataset, store, name):
    store.fs.store[f"/bucket/scans/{name}"] = store.fs.store["/bucket/scans/ImagesTr/case_0.mha"]
    with pytest.raises(RemoteError, match=r"memory://bucket/scans/ImagesTr/.*: cannot be a file on this machine"):
        dataset.read_headers()
