"""What lies outside of the body."""

from __future__ import annotations

import pytest
import torch
from monai.transforms.utility.dictionary import MapLabelValued
from monai.transforms.utils import map_binary_to_indices

from monai_mriprep.errors import MriprepWarning, ResamplingError
from monai_mriprep.steps import Volumes, backward, forward
from monai_mriprep.steps.label_cast import OutsideLabelCast
from monai_mriprep.steps.label_outside import LabelOutside
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL, PREDICTION
from monai_mriprep.volume.geometry import Grid
from tests.oracles import affine_of

GRID = Grid((1, 1, 4), affine_of((1, 1, 1)))
INSIDE = torch.tensor([True, True, False, False]).reshape(1, 1, 1, 4)
LABELS = torch.tensor([0, 2, 0, 2]).reshape(1, 1, 1, 4)


def marked(label: torch.Tensor, **others: torch.Tensor) -> Volumes:
    return forward([LabelOutside()], Volumes({LABEL: label, FOREGROUND: INSIDE}), GRID)[0]


SIGNED = {torch.uint8: torch.int16} | {dtype: dtype for dtype in (torch.int8, torch.int16, torch.int64, torch.float32)}


@pytest.mark.parametrize(("dtype", "signed"), SIGNED.items(), ids=map(str, SIGNED))
def test_background_outside_becomes_minus_one_and_a_label_there_counts_as_inside(dtype, signed):
    done = marked(LABELS.to(dtype))
    assert done.by_role[LABEL].dtype == signed
    assert done.by_role[LABEL].flatten().tolist() == [0, 2, -1, 2]
    assert done.by_role[FOREGROUND].flatten().tolist() == [True, True, False, True]


def test_what_is_below_minus_one_is_no_class_and_is_told():
    label = torch.tensor([0, -3, -1, 2]).reshape(1, 1, 1, 4)
    with pytest.warns(MriprepWarning, match="1 negative label voxel below -1 became 0"):
        done, _ = forward([OutsideLabelCast()], Volumes({LABEL: label}), GRID)
    assert done.by_role[LABEL].flatten().tolist() == [0, 0, -1, 2]


def test_without_a_label_the_mask_stays():
    image = torch.ones(1, 1, 1, 4)
    done, _ = forward([LabelOutside()], Volumes({IMAGE: image, FOREGROUND: INSIDE}), GRID)
    assert torch.equal(done.by_role[FOREGROUND], INSIDE)


def test_without_a_mask_it_is_refused():
    with pytest.raises(ResamplingError, match="needs its mask: put the step 'filled_crop' before"):
        forward([LabelOutside()], Volumes({LABEL: LABELS}), GRID)


def test_the_way_back_has_no_class_minus_one_and_leaves_logits_alone():
    volumes = Volumes({LABEL: LABELS, FOREGROUND: INSIDE})
    done, trace = forward([LabelOutside(), OutsideLabelCast()], volumes, GRID)
    label = done.by_role[LABEL]
    assert label.dtype == torch.int8
    assert backward(trace, label, LABEL)[0].flatten().tolist() == [0, 2, 0, 2]
    assert backward(trace, label)[0].flatten().tolist() == [0, 2, 0, 2]
    assert backward(trace, label.float(), LABEL)[0].flatten().tolist() == [0, 2, 0, 2]
    assert torch.equal(backward(trace, label, IMAGE)[0], label)
    unsigned = LABELS.to(torch.uint16)
    assert torch.equal(backward(trace, unsigned)[0], unsigned)
    logits = torch.tensor([-3.0, 1.0, -1.0, 0.5]).reshape(1, 1, 1, 4)
    assert torch.equal(backward(trace, logits)[0], logits)
    assert torch.equal(backward(trace, logits, IMAGE)[0], logits)
    assert backward(trace, logits, PREDICTION)[0].min() < 0


def test_monai_takes_it_for_foreground_until_it_is_made_background_as_the_recipes_page_says():
    label = torch.tensor([-1, 0, 2, -1], dtype=torch.int8).reshape(1, 1, 1, 4)
    assert map_binary_to_indices(label)[0].tolist() == [0, 2, 3]
    mapped = MapLabelValued("label", [-1], [0], dtype=torch.int16)({"label": label})["label"]
    assert map_binary_to_indices(mapped)[0].tolist() == [2]
    assert mapped.dtype == torch.int16
