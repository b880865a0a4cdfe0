"""nnU-Net's commands with our code in them, then its own training and prediction on what came out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (the extra nnunet)")

from tests.nnunet.programs import CONFIGURATION, OURS, preprocess_by_both, run, script
from tests.nnunet.raw import CAMPAIGN
from tests.nnunet.same import assert_same_case

CASES = ("case_0", "case_1", "case_2")
TEST_CASES = ("case_3", "case_4")


def test_preprocess_writes_the_files_that_nnunet_writes(preprocessed):
    for folder in preprocessed.values():
        names = {path.name for path in folder.iterdir()}
        assert names == {f"{case}{ending}" for case in CASES for ending in (".b2nd", "_seg.b2nd", ".pkl")}
    for case in CASES:
        assert_same_case(preprocessed["stock"], preprocessed["ours"], case)


@pytest.mark.timeout(900)
@pytest.mark.skipif(not CAMPAIGN, reason="the full campaign alone runs both commands on the real scans")
def test_preprocess_writes_the_same_of_real_scans(shared):
    both = preprocess_by_both(shared)
    cases = [path.name.removesuffix(".mha") for path in (shared.raw / "labelsTr").iterdir()]
    assert len(list(both["ours"].iterdir())) == 3 * len(cases)
    for case in cases:
        assert_same_case(both["stock"], both["ours"], case)


def test_nnunet_trains_and_validates_on_them(trained):
    fold = trained / "fold_all"
    assert (fold / "checkpoint_final.pth").exists()
    assert {path.name for path in (fold / "validation").iterdir()} == {
        *(f"{case}.mha" for case in CASES),
        "summary.json",
    }


def predict(planned, out: Path, *command, model=("-d", 1, "-c", "3d_fullres", "-tr", "TinyTrainer"), options=()):
    places = ("-i", planned.raw / "imagesTs", "-o", out)
    devices = ("-device", "cpu", "-npp", 1, "-nps", 1, "--disable_tta", "--disable_progress_bar")
    done = run(planned, *command, *places, *model, "-f", "all", *devices, *options)
    assert "is nnU-Net's own" not in done.stderr
    return out


@pytest.fixture(scope="module")
def predicted(planned, trained) -> dict[str, Path]:
    """What nnU-Net's command and ours have predicted, with probabilities."""
    commands = {"stock": (script("nnUNetv2_predict"),), "ours": (*OURS, "predict")}
    return {who: predict(planned, planned.folder / f"by_{who}", *command) for who, command in commands.items()}


@pytest.mark.parametrize("case", TEST_CASES)
def test_predict_writes_the_label_maps_that_nnunet_writes(planned, predicted, case):
    stock, ours = (SimpleITK.ReadImage(str(folder / f"{case}.mha")) for folder in predicted.values())
    source = SimpleITK.ReadImage(planned.files(case)[0])
    for part in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection", "GetPixelID"):
        assert getattr(stock, part)() == getattr(ours, part)()
    assert source.GetSize() == ours.GetSize()
    one, other = map(SimpleITK.GetArrayFromImage, (stock, ours))
    assert len(np.unique(one)) > 1
    assert np.count_nonzero(one != other) <= 1e-4 * one.size


def test_a_model_folder_predicts_the_same_and_probabilities_are_nnunets(planned, trained, predicted, tmp_path):
    out = predict(planned, tmp_path, *OURS, "predict", model=("-m", trained), options=("--save_probabilities",))
    for case in TEST_CASES:
        label, before = (
            SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(f / f"{case}.mha"))) for f in (out, predicted["ours"])
        )
        assert np.count_nonzero(label != before) <= 1e-4 * label.size
        probabilities = np.load(out / f"{case}.npz")["probabilities"]
        np.testing.assert_array_equal(probabilities.argmax(0), label)


def test_what_stays_nnunets_own_is_said_and_an_error_of_a_worker_reaches_the_user(planned, tmp_path):
    """A damaged scan, by a plan of which a part is not ours."""
    folder = tmp_path / "nnunet"
    shutil.copytree(planned.folder / "raw", folder / "raw")
    shutil.copytree(planned.done, folder / "done" / planned.done.name, ignore=shutil.ignore_patterns("*.b2nd"))
    other = type(planned)(folder)
    plans = other.done / "nnUNetPlans.json"
    plans.write_text(
        plans.read_text().replace(
            '"resampling_fn_probabilities": "resample_data_or_seg_to_shape"',
            '"resampling_fn_probabilities": "resample_torch_fornnunet"',
        )
    )
    scan = Path(other.files("case_1")[0])
    scan.write_bytes(scan.read_bytes()[:-100])
    done = run(other, *OURS, "preprocess", "-d", 1, "-c", "3d_fullres", "-np", 1, "--no_pbar", status=1)
    assert (
        "nnunet: 3d_fullres: the export is nnU-Net's own: resampling_fn_probabilities is resample_torch" in done.stderr
    )
    assert "RuntimeError" in done.stderr
    assert "case_1_0000.mha" in done.stderr
    assert not (other.done / CONFIGURATION / "case_1.b2nd").exists()
