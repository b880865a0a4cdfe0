"""Our preprocessor beside nnU-Net's own: the same arrays, labels, properties and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (the extra nnunet)")

from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from monai_mriprep.errors import MriprepWarning
from monai_mriprep.nnunet.configuration import Configuration
from monai_mriprep.nnunet.preprocessor import Preprocessor
from tests.nnunet.raw import CAMPAIGN
from tests.nnunet.same import assert_same_arrays, assert_same_case, assert_same_properties

CASES = ("case_0", "case_1", "case_2")
FORWARD, BACKWARD = [2, 0, 1], [1, 2, 0]


def turned(plans: dict) -> None:
    """Another axis first."""
    plans["transpose_forward"], plans["transpose_backward"] = FORWARD, BACKWARD
    configuration = plans["configurations"]["3d_fullres"]
    for key in ("spacing", "patch_size"):
        configuration[key] = [configuration[key][axis] for axis in FORWARD]


def with_settings(**settings):
    return lambda plans: plans["configurations"]["3d_fullres"].update(settings)


VARIANTS = {
    "as planned": lambda plans: None,
    "finer": with_settings(spacing=[1.3, 0.8, 0.7]),
    "coarser": with_settings(spacing=[4.1, 2.0, 1.9]),
    "slices apart": with_settings(spacing=[6.0, 1.0, 1.1]),
    "transposed": turned,
    "no mask": with_settings(use_mask_for_norm=[False]),
    "of CT": with_settings(normalization_schemes=["CTNormalization"]),
    "cascade": with_settings(previous_stage="3d_lowres"),
}


def managers(planned, change=lambda plans: None, name="3d_fullres"):
    """The plans with a change, and nnU-Net's and our configuration of this name."""
    plans = planned.plans
    change(plans)
    manager = PlansManager(plans)
    stock = manager.get_configuration(name)
    return manager, stock, Configuration(stock.configuration)


def assert_same_files(planned, folder, cases, *managed):
    manager, stock, ours = managed
    for who, configuration in (("stock", stock), ("ours", ours)):
        (folder / who).mkdir(parents=True)
        preprocessor = configuration.preprocessor_class(verbose=False)
        assert type(preprocessor) is {"stock": DefaultPreprocessor, "ours": Preprocessor}[who]
        for case in cases:
            sources = planned.files(case), planned.label(case), manager, configuration, planned.dataset
            preprocessor.run_case_save(str(folder / who / case), *sources)
    for case in cases:
        assert_same_case(folder / "stock", folder / "ours", case)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_files_of_a_case_are_those_of_nnunet(planned, tmp_path, variant):
    assert_same_files(planned, tmp_path, CASES, *managers(planned, VARIANTS[variant]))


def test_in_two_dimensions_too(planned, tmp_path):
    change = lambda plans: plans["configurations"]["2d"].update(spacing=[0.9, 1.3])  # noqa: E731
    assert_same_files(planned, tmp_path, CASES, *managers(planned, change, "2d"))


@pytest.mark.parametrize("variant", ["as planned", "finer", "transposed"])
def test_regions_channels_and_an_ignore_label_too(regions, tmp_path, variant):
    assert_same_files(regions, tmp_path, CASES, *managers(regions, VARIANTS[variant]))


@pytest.mark.timeout(900)
def test_the_real_scans_too(shared, tmp_path):
    cases = [path.name.removesuffix(".mha") for path in (shared.raw / "labelsTr").iterdir()]
    cases = cases if CAMPAIGN else sorted(cases)[::3]
    assert_same_files(shared, tmp_path / "own", cases, *managers(shared))
    assert_same_files(shared, tmp_path / "forced", cases, *managers(shared, with_settings(spacing=[2.4, 1.3, 1.1])))


@pytest.mark.parametrize("variant", ["as planned", "slices apart", "transposed"])
def test_a_case_without_a_label_is_the_same(planned, variant):
    manager, *both = managers(planned, VARIANTS[variant])
    given = planned.files("case_3"), None, manager
    facts = str(planned.done / "dataset.json")
    found = [one.preprocessor_class(verbose=False).run_case(*given, one, facts) for one in both]
    stock, ours = found
    assert_same_arrays(stock[:2], ours[:2])
    assert_same_properties(stock[2], ours[2])
    assert "class_locations" not in ours[2]


def arrays_of(planned, change=lambda plans: None, **arrays):
    manager, *both = managers(planned, change)
    for configuration in both:
        given = {key: None if value is None else value.copy() for key, value in arrays.items()}
        kept = {key: None if value is None else value.copy() for key, value in given.items()}
        preprocessor = configuration.preprocessor_class(verbose=False)
        facts = {"spacing": [2.0, 1.1, 1.3]}
        yield preprocessor.run_case_npy(given["data"], given["seg"], facts, manager, configuration, planned.dataset)
        for key, value in given.items():
            np.testing.assert_array_equal(value, kept[key])


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("label", [None, np.float32, np.int16, np.int32])
def test_arrays_are_the_same_and_not_written_to(planned, dtype, label):
    rng = np.random.default_rng(5)
    data = rng.integers(-50, 900, (1, 12, 20, 22)).astype(dtype)
    data[:, :2] = data[:, :, 5:9, 7:9] = 0
    seg = None if label is None else rng.choice([0, 1, 2, 200], (1, 12, 20, 22)).astype(label)
    stock, ours = arrays_of(planned, data=data, seg=seg)
    assert_same_arrays(stock[:2], ours[:2])
    assert_same_properties(stock[2], ours[2])


def test_a_picture_is_the_same(planned):
    rng = np.random.default_rng(7)
    data, seg = rng.integers(0, 255, (1, 1, 40, 50)), rng.choice([0, 1, 2], (1, 1, 40, 50))
    manager, *both = managers(planned, lambda plans: plans["configurations"]["2d"].update(spacing=[0.9, 1.3]), "2d")
    stock, ours = (
        one.preprocessor_class(verbose=False).run_case_npy(
            data, seg, {"spacing": [999, 1.0, 1.0]}, manager, one, planned.dataset
        )
        for one in both
    )
    assert stock[0].shape == (1, 1, 44, 38)
    assert_same_arrays(stock[:2], ours[:2])
    assert_same_properties(stock[2], ours[2])


def test_an_image_that_is_zero_everywhere_is_the_same(planned):
    seg = np.ones((1, 6, 8, 9), np.int16)
    stock, ours = arrays_of(planned, with_settings(use_mask_for_norm=[False]), data=np.zeros((1, 6, 8, 9)), seg=seg)
    assert_same_arrays(stock[:2], ours[:2])
    assert_same_properties(stock[2], ours[2])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_with_holes_in_its_numbers_is_nnunets(planned, value):
    data = np.random.default_rng(8).normal(size=(1, 8, 9, 10))
    data[0, 3, 4, 5] = value
    stock, ours = arrays_of(planned, data=data, seg=None)
    for one, other in zip(stock[:2], ours[:2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_label_between_whole_numbers_is_nnunets(planned):
    rng = np.random.default_rng(6)
    data, seg = rng.random((1, 8, 9, 10)), rng.choice([0, 0.5, 1], (1, 8, 9, 10))
    stock, ours = arrays_of(planned, data=data, seg=seg)
    assert_same_arrays(stock[:2], ours[:2])


def test_a_label_of_another_shape_is_refused_in_nnunets_words(planned):
    data, seg = np.ones((1, 8, 9, 10)), np.ones((1, 8, 9, 11))
    with pytest.raises(AssertionError, match="Shape mismatch"):
        list(arrays_of(planned, data=data, seg=seg))[1:]
    manager, _, ours = managers(planned)
    with pytest.raises(AssertionError, match="Shape mismatch"):
        ours.preprocessor_class(verbose=False).run_case_npy(
            data, seg, {"spacing": [1, 1, 1]}, manager, ours, planned.dataset
        )


def test_an_error_names_the_case(regions, tmp_path):
    image, *_ = regions.files("case_0")
    broken = tmp_path / "broken_0000.nii.gz"
    broken.write_bytes(Path(image).read_bytes()[:2000])
    manager, _, ours = managers(regions)
    refused = pytest.raises(RuntimeError, match=f"the case of {broken}: EOFError: Compressed file ended")
    with pytest.warns(MriprepWarning, match="the compressed voxels are damaged"), refused:
        ours.preprocessor_class(verbose=False).run_case([str(broken)] * 2, None, manager, ours, regions.dataset)
