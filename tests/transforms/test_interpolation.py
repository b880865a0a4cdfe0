"""Which volume is resampled how is declared, or plain from the names; never guessed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_mriprep import AnisotropyAwareSpacingd
from monai_mriprep.errors import ResamplingError
from monai_mriprep.transforms.interpolation import orders_of
from monai_mriprep.transforms.tensors import on_grid
from monai_mriprep.volume.geometry import Grid

GRID = Grid((6, 12, 11), np.diag([3.0, 1.2, 1.1, 1]))
TARGET = (2.0, 0.9, 0.9)


@pytest.mark.parametrize(
    "keys",
    [["image"], ["image", "label"], ["t2", "label"], ["scan", "label", "foreground"], ["adc", "foreground"], [0]],
)
def test_names_that_tell_need_no_declaration(keys):
    assert orders_of(keys) == (3, *(0 for _ in keys[1:]))


@pytest.mark.parametrize(
    "keys",
    [["t2", "adc", "label"], ["t2", "adc"], ["label", "image"], ["img", "seg"], ["image", "mask"], ["image", "Label"]]
    + [[name] for name in ("label", "seg", "mask", "gt", "pred", "y_gt", "segmentation", "ground_truth", "brain_mask")],
)
def test_names_that_do_not_tell_are_an_error_of_the_constructor(keys):
    with pytest.raises(ResamplingError, match="declare it with mode") as error:
        AnisotropyAwareSpacingd(keys, target=TARGET)
    assert all(repr(key) in str(error.value) for key in keys)
    for declaration in ({"mode": "bilinear"}, {"order": 1}, {"mode": [0] * len(keys)}):
        assert AnisotropyAwareSpacingd(keys, target=TARGET, **declaration).keys == tuple(keys)


@pytest.mark.parametrize(
    ("mode", "order"),
    [
        ("bicubic", 3),
        (["bicubic", "bilinear", "nearest"], [3, 1, 0]),
        ([2, "nearest", np.int64(1)], (2, 0, 1)),
        (np.array([3, 1, 0]), [3, 1, 0]),
    ],
)
def test_a_mode_is_an_order(mode, order):
    assert orders_of("abc", mode) == orders_of("abc", order=order)


def test_every_image_is_resampled_as_one():
    """The second used to go by nearest neighbour, whatever it was."""
    volume = on_grid(torch.rand(1, *GRID.shape), GRID)
    spacing = AnisotropyAwareSpacingd(["t2", "adc", "label"], target=TARGET, mode=["bicubic", "bicubic", "nearest"])
    found = spacing({"t2": volume, "adc": 1000 * volume, "label": (volume > 0.5).to(torch.int16)})
    alone = AnisotropyAwareSpacingd(["adc"], target=TARGET)({"adc": 1000 * volume})
    assert torch.equal(found["adc"].as_tensor(), alone["adc"].as_tensor())
    assert found["adc"].unique().numel() > volume.numel()
    assert found["label"].unique().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mode": "nearest", "order": 0}, "either mode or order, not both"),
        ({"mode": "cubic"}, "bicubic.*not 'cubic'"),
        ({"mode": ["bicubic", "nearest", "nearest"]}, "one entry for each of the 2 keys"),
        ({"mode": [(3, 3, 0), 0]}, "mode must be one of"),
        ({"mode": 4}, "0 to 3"),
        ({"mode": 1.5}, "0 to 3"),
        ({"order": 5}, "0 to 3"),
        ({"order": [(1, 2), 0]}, "0 to 3"),
        ({"order": [-1, 0]}, "0 to 3"),
        ({"order": "3"}, "0 to 3"),
        ({"grid": "nnU-Net"}, "grid must be"),
        ({"boundary": "edge"}, "boundary nearest or mirror"),
        ({"target": (1, 0, 1)}, "three positive"),
    ],
)
def test_what_is_wrong_is_said_by_the_constructor(options, match):
    with pytest.raises(ResamplingError, match=match):
        AnisotropyAwareSpacingd(["image", "label"], **{"target": TARGET, **options})


def test_a_key_that_is_named_twice_is_refused():
    with pytest.raises(ResamplingError, match="once"):
        AnisotropyAwareSpacingd(["image", "image"], target=TARGET, mode="bicubic")
