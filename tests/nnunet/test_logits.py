"""Logits that are resampled when it is known what is wanted of them: nnU-Net's label maps, but for ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (the extra nnunet)")

from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from monai_mriprep.nnunet.configuration import Configuration
from monai_mriprep.nnunet.logits import LaterResampling, PendingLogits

BEFORE, AFTER = (7, 20, 22), (11, 31, 27)
SPACINGS = {"one grid": ([3.0, 1.0, 1.0], [1.9, 0.7, 0.9]), "slices apart": ([6.0, 1.0, 1.0], [3.8, 0.7, 0.9])}


def smooth(channels: int, dtype: type, seed: int = 0) -> np.ndarray:
    """Logits as a network gives them: smooth, and of half precision by nature."""
    coarse = np.random.default_rng(seed).normal(0, 3, (channels, 3, 5, 5))
    grown = torch.nn.functional.interpolate(torch.from_numpy(coarse)[None], BEFORE, mode="trilinear")[0]
    return grown.numpy().astype(dtype)


@pytest.fixture
def both(planned):
    """nnU-Net's configuration and ours, on the same plans."""
    stock = PlansManager(planned.plans).get_configuration("3d_fullres")
    return stock, Configuration(stock.configuration)


@pytest.fixture
def fused(monkeypatch):
    """Refuse nnU-Net's own resampling, so that what passes is ours."""

    def refuse(self):
        msg = "this is to be fused"
        raise AssertionError(msg)

    monkeypatch.setattr(PendingLogits, "computed", refuse)


def only_ties(stock: np.ndarray, ours: np.ndarray, resampled: np.ndarray) -> None:
    """At most 1 of 10,000 voxels differs, and there both classes have the same score in half precision."""
    differ = np.argwhere(stock != ours)
    assert len(differ) <= 1e-4 * stock.size
    for place in differ:
        one, other = (float(resampled[(labels[tuple(place)], *place)]) for labels in (stock, ours))
        assert abs(one - other) <= np.spacing(np.float16(max(abs(one), abs(other))))


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("name", SPACINGS)
def test_the_highest_class_is_nnunets(both, fused, name, dtype, as_tensor):
    logits = smooth(5, dtype)
    given = torch.from_numpy(logits) if as_tensor else logits
    stock, ours = (one.resampling_fn_probabilities(given, AFTER, *SPACINGS[name]) for one in both)
    assert ours.shape == stock.shape == (5, *AFTER)
    labels = LabelManager({"background": 0, "a": 1, "b": 2, "c": 3, "d": 4}, None)
    highest = [np.asarray(labels.convert_logits_to_segmentation(one)) for one in (stock, ours)]
    assert len(np.unique(highest[0])) == 5
    only_ties(*highest, np.asarray(stock))


@pytest.mark.parametrize("name", SPACINGS)
def test_regions_are_nnunets_one_channel_at_a_time(both, fused, name):
    logits = smooth(3, np.float16)
    stock, ours = (one.resampling_fn_probabilities(logits, AFTER, *SPACINGS[name]) for one in both)
    labels = LabelManager({"background": 0, "all": [1, 2, 3], "some": [2, 3], "core": [3]}, [1, 2, 3])
    found = [np.asarray(labels.convert_logits_to_segmentation(one)) for one in (stock, ours)]
    assert set(np.unique(found[0])) == {0, 1, 2, 3}
    assert np.count_nonzero(found[0] != found[1]) <= 1e-4 * found[0].size


def test_more_classes_than_a_byte_counts(both, fused):
    logits = smooth(300, np.float16)
    stock, ours = (one.resampling_fn_probabilities(logits, AFTER, *SPACINGS["one grid"]) for one in both)
    labels = LabelManager({"background": 0, **{f"c{n}": n for n in range(1, 300)}}, None)
    highest = [np.asarray(labels.convert_logits_to_segmentation(one)) for one in (stock, ours)]
    only_ties(*highest, np.asarray(stock))


def convert(planned, configuration, logits, dataset=None, probabilities=False):
    manager = PlansManager(planned.plans)
    labels = manager.get_label_manager(dataset or planned.dataset)
    facts = {
        "spacing": [1.9, 0.7, 0.9],
        "shape_after_cropping_and_before_resampling": AFTER,
        "shape_before_cropping": (15, 40, 30),
        "bbox_used_for_cropping": [[2, 13], [4, 35], [0, 27]],
    }
    threads = torch.get_num_threads()
    done = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, manager, configuration, labels, facts, probabilities
    )
    assert torch.get_num_threads() == threads
    return done


def test_nnunets_own_export_of_a_label_map(planned, both, fused):
    stock, ours = (convert(planned, one, smooth(3, np.float16)) for one in both)
    assert (stock.shape, stock.dtype) == (ours.shape, ours.dtype) == ((15, 40, 30), np.uint8)
    assert np.count_nonzero(stock != ours) <= 1e-4 * stock.size


@pytest.mark.parametrize("regions", [False, True])
def test_probabilities_are_nnunets_to_the_bit(planned, both, regions):
    names = {"background": 0, "whole": [1, 2], "core": [2]} if regions else {"background": 0, "a": 1, "b": 2}
    dataset = {"labels": names, "regions_class_order": [1, 2]}
    logits = smooth(3 - regions, np.float16)
    stock, ours = (convert(planned, one, logits, dataset, probabilities=True) for one in both)
    for one, other in zip(stock, ours, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_nothing_is_postponed_where_nothing_is_resampled(both):
    logits = smooth(3, np.float16)
    for one in both:
        assert one.resampling_fn_probabilities(logits, BEFORE, [1, 1, 1], [1, 1, 1]) is logits


@pytest.mark.parametrize(
    "use",
    [
        torch.softmax,
        lambda one, dim: one[1:, 2:5].sum(dim),
        lambda one, dim: torch.cat([one, one], dim),
        lambda one, dim: np.asarray(one).max(dim),
        lambda one, dim: one.numpy().max(dim),
        lambda one, dim: one.numpy().argmax(),
        lambda one, dim: one.numpy().argmax(axis=dim + 1),
        lambda one, dim: one.float()[0],
        lambda one, dim: one[-1],
        lambda one, dim: one[0, 1],
        lambda one, dim: torch.amax(input=one, dim=dim),
        lambda one, dim: one.dtype,
        lambda one, dim: one.float().numpy().argmax(dim),
        lambda one, dim: repr(one),
        lambda one, dim: one.argmax(dim=dim),
    ],
)
def test_whatever_else_is_asked_gets_nnunets_own(both, use):
    logits = smooth(4, np.float32)
    stock, ours = (one.resampling_fn_probabilities(logits, AFTER, *SPACINGS["one grid"]) for one in both)
    expected, found = use(torch.from_numpy(stock), 0), use(ours, 0)
    if isinstance(expected, torch.Tensor):
        torch.testing.assert_close(found, expected, atol=5e-6, rtol=0)
        assert type(found) is torch.Tensor
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


def test_types_that_are_not_nnunets_stay(planned):
    stock = ConfigurationManager(planned.plans["configurations"]["3d_fullres"]).resampling_fn_probabilities
    found = LaterResampling(stock)(smooth(2, np.float64), AFTER, *SPACINGS["one grid"])
    assert type(found) is np.ndarray


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_what_is_not_finite_stays_nnunets_and_spoils_no_more_voxels_than_there(both, value):
    logits = smooth(3, np.float16)
    logits[1, 3, 7, 9] = value
    stock, ours = (one.resampling_fn_probabilities(logits, AFTER, *SPACINGS["one grid"]) for one in both)
    assert 0 < np.count_nonzero(~np.isfinite(stock)) < 100
    np.testing.assert_array_equal(np.asarray(ours), stock)
    labels = LabelManager({"background": 0, "a": 1, "b": 2}, None)
    found = [np.asarray(labels.convert_logits_to_segmentation(one)) for one in (stock, ours)]
    np.testing.assert_array_equal(*found)
