"""A folder of each released version: it is finished, verifies, and gives predictions back.

``tests/folder_of_0_1_0/out`` and the like hold what that version made of the two scans in ``tests/folder_of_0_1_0``,
which lay in ``/data/scans``: an oblique ``.mha``, and a ``.mhd`` beside its ``.raw``, flipped along one axis. Git keeps
no times, so each file gets its recorded one here. `benchmarks.released_folder` makes them.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from scipy.ndimage import map_coordinates

from monai_mriprep import preprocess, restore
from monai_mriprep.errors import OutputError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.merge import merge
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.session import open_session
from monai_mriprep.verify.audit import verify_output
from tests.runs import FOLDER_OF_0_1_0, done_records, events, outputs, write_case

SCANS = FOLDER_OF_0_1_0 / "scans"
RELEASED = {path.name: path for path in sorted(SCANS.parents[1].glob("folder_of_*"))}

SOURCES = {"10001_0001_0000": "10001_0001_0000.mha", "10002_0001_0000": "10002_0001_0000.mhd"}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*mri_statistics:monai_mriprep.errors.MriprepWarning"),
    pytest.mark.filterwarnings("ignore:the images are stored in:monai_mriprep.errors.MriprepWarning"),
]


@pytest.fixture(params=RELEASED.values(), ids=RELEASED)
def folder(request, tmp_path) -> Path:
    """A copy beside its scans, with the times of all files as they are recorded."""
    root = shutil.copytree(request.param, tmp_path / "folder", ignore=shutil.ignore_patterns("scans"))
    shutil.copytree(SCANS, root / "scans")
    for line in (event for event in events(root / "out") if event["event"] == "done"):
        for file in line["outputs"].values():
            set_time(root / "out" / file["path"], file)
        for source in line["sources"].values():
            for file in (source, *data_files(source)):
                set_time(root / "scans" / Path(file["path"]).relative_to("/data/scans"), file)
    return root


def data_files(source: dict) -> list[dict]:
    """The other files of its voxels; 0.1.0 recorded one at most, and no list."""
    data = source.get("data", [])
    return [data] if isinstance(data, dict) else data


def set_time(path: Path, file: dict) -> None:
    os.utime(path, ns=(file["mtime_ns"], file["mtime_ns"]))


def test_there_is_a_folder_of_each_version_and_it_is_small():
    assert {"folder_of_0_1_0", "folder_of_0_2_0", "folder_of_0_3_0", "folder_of_0_4_0"} <= RELEASED.keys()
    for folder in RELEASED.values():
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 100 * 2**10


def test_it_resumes_with_nothing_to_do(folder):
    before, records = outputs(folder / "out"), (folder / "out/manifest.jsonl").read_bytes()
    with open_session(plan_run(folder / "scans", folder / "out")) as session:
        assert [decision.reason for _, decision in session.decisions] == ["done before"] * 2
    assert outputs(folder / "out") == before
    (opened,) = (folder / "out/manifest.jsonl").read_bytes().removeprefix(records).splitlines()
    assert json.loads(opened)["dataset_root"] == str(folder / "scans"), "the scans are no more in /data/scans"


def test_shards_go_on_with_it_and_leave_it_as_it_is(folder):
    out = folder / "out"
    before, records = outputs(out), (out / "manifest.jsonl").read_bytes()
    for number in (1, 2):
        assert preprocess(folder / "scans", out, workers=0, shard=f"{number}/2").done == ()
    assert (out / "manifest.jsonl").read_bytes() == records, "shards write their own files"
    found = merge(out)
    assert (found.files, found.done, found.is_complete) == (2, 2, True)
    assert outputs(out) == before
    assert (out / "manifest.jsonl").read_bytes().startswith(records)


def test_what_it_derives_for_others_is_the_same(folder):
    names = ("manifest.csv", "dataset.json", "mri_statistics.csv")
    before = [(folder / "out" / name).read_text() for name in names]
    assert sorted(preprocess(folder / "scans", folder / "out", workers=0).skipped) == sorted(SOURCES)
    assert [(folder / "out" / name).read_text() for name in names] == before


def arrays(root: Path) -> dict[str, np.ndarray]:
    return {path.name: np.load(path)["arr_0"] for path in sorted(root.glob("*Tr/*.npz"))}


@pytest.mark.parametrize("changed", ["scans/ImagesTr/10002_0001_0000.raw", "out/labelsTr/10002_0001.npz"])
def test_a_changed_file_is_done_again_to_the_same_voxels(folder, changed):
    before = arrays(folder / "out")
    os.utime(folder / changed, ns=(1, 1))
    summary = preprocess(folder / "scans", folder / "out", workers=0)
    assert [result.case for result in summary.done] == ["10002_0001_0000"]
    for name, array in arrays(folder / "out").items():
        np.testing.assert_allclose(array, before[name], rtol=0, atol=1e-5, err_msg=name)  # bytes differ between CPUs
    assert done_records(folder / "out")["10002_0001_0000"].sources["image"][0].reader


def test_another_recipe_stops_until_all_is_to_be_done_again(folder):
    before = outputs(folder / "out")
    with pytest.raises(OutputError, match=r"2 cases are finished there, .*order: 3 -> 1"):
        preprocess(folder / "scans", folder / "out", Recipe(order=1), workers=0)
    assert outputs(folder / "out") == before
    assert len(preprocess(folder / "scans", folder / "out", Recipe(order=1), workers=0, redo=True).done) == 2


def test_its_target_stays_though_scans_are_added(folder):
    write_case(folder / "scans", "10003_0001", spacing=(5.0, 2.0, 2.0))
    with pytest.warns(match=r"stays \(3.06, 1, 0.925\) mm, with which 2 cases are finished"):
        assert len(preprocess(folder / "scans", folder / "out", workers=0).done) == 1
    files = (folder / "out").glob("*Tr/*.npz")
    assert {tuple(np.load(path)["spacing"].tolist()) for path in files} == {(3.06, 1.0, 0.925)}


def test_it_verifies(folder):
    report = verify_output(folder / "out")
    assert (report.findings, sorted(report.intact)) == ((), sorted(SOURCES))


def points_on_target(case: str, line: dict) -> np.ndarray:
    """Where the source's voxels lie on the target grid, shape (3, D, H, W); the source's place is SimpleITK's word."""
    image = SimpleITK.ReadImage(str(SCANS / "ImagesTr" / SOURCES[case]))
    steps = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()  # columns x y z, LPS
    index = np.indices(image.GetSize()[::-1])[::-1].reshape(3, -1)
    world = np.diag([-1, -1, 1]) @ (steps @ index + np.reshape(image.GetOrigin(), (3, 1)))
    affine = np.array(line["target_grid"]["affine"])
    points = np.linalg.solve(affine[:3, :3], world - affine[:3, 3:])
    return points.reshape(3, *image.GetSize()[::-1])


@pytest.mark.parametrize("case", SOURCES)
@pytest.mark.parametrize("floats", [False, True], ids=["labels", "probabilities"])
def test_predictions_go_back_onto_its_scans(folder, tmp_path, case, floats):
    line = next(event for event in events(folder / "out") if event["case"] == case and event["event"] == "done")
    rng = np.random.default_rng(3)
    shape = line["target_grid"]["shape"]
    prediction = rng.random(shape, np.float32) if floats else rng.integers(0, 5, shape, np.uint8)
    np.savez(tmp_path / f"{case}.npz", prediction[None])
    (restored,) = restore(folder / "out", tmp_path / f"{case}.npz", tmp_path / "back", probabilities=floats).restored

    back, source = (SimpleITK.ReadImage(str(path)) for path in (restored, SCANS / "ImagesTr" / SOURCES[case]))
    assert back.GetSize() == source.GetSize()
    assert back.GetSpacing() == source.GetSpacing()
    assert back.GetOrigin() == source.GetOrigin()
    assert back.GetDirection() == source.GetDirection()
    points, found = points_on_target(case, line), SimpleITK.GetArrayFromImage(back)
    if floats:
        expected = map_coordinates(prediction.astype(np.float64), points, order=1, mode="nearest")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    else:
        z, y, x = (np.clip(np.floor(p + 0.5 + 1e-4), 0, n - 1).astype(int) for p, n in zip(points, shape, strict=True))
        np.testing.assert_array_equal(found, prediction[z, y, x])
