"""Pictures of scans: to scale, through the label, the right way up."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from monai_mriprep.demo.pictures import (
    CAPTION,
    LABEL_COLOURS,
    LABEL_OPACITY,
    MARGIN,
    PIXELS_PER_MM,
    Scan,
    save_comparison,
)

SHAPE, SPACING = (10, 40, 60), (8.0, 2.0, 1.5)
DEPTH, HEIGHT, WIDTH = (round(n * s * PIXELS_PER_MM) for n, s in zip(SHAPE, SPACING, strict=True))


def scan_with(image=None, label=None, shape=SHAPE, spacing=SPACING) -> Scan:
    zeros = np.zeros(shape, np.int16)
    return Scan("a scan", zeros if image is None else image, zeros if label is None else label, spacing)


@pytest.fixture
def drawn(tmp_path):
    def draw(*scans):
        save_comparison(tmp_path / "pictures" / "p.png", scans)
        return np.asarray(Image.open(tmp_path / "pictures" / "p.png"))

    return draw


def planes_of(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axial, coronal and sagittal plane of a picture of one scan of `SHAPE`."""
    top, left = CAPTION + MARGIN, MARGIN
    coronal, sagittal = left + WIDTH + MARGIN, left + 2 * (WIDTH + MARGIN)
    return (
        picture[top : top + HEIGHT, left : left + WIDTH],
        picture[top : top + DEPTH, coronal : coronal + WIDTH],
        picture[top : top + DEPTH, sagittal : sagittal + HEIGHT],
    )


def test_planes_are_as_large_as_in_the_patient(drawn):
    picture = drawn(scan_with(np.full(SHAPE, 5, np.int16)), scan_with(np.full(SHAPE, 5, np.int16)))
    row = max(HEIGHT, DEPTH) + CAPTION + 2 * MARGIN
    assert picture.shape == (2 * row, 2 * WIDTH + HEIGHT + 4 * MARGIN, 3)


def test_another_sampling_of_the_same_patient_has_the_same_size(drawn):
    fine = drawn(scan_with(shape=(20, 80, 60), spacing=(4.0, 1.0, 1.5)))
    assert fine.shape == drawn(scan_with()).shape


def test_each_plane_goes_through_the_middle_of_the_label(drawn):
    label = np.zeros(SHAPE, np.int16)
    label[2:5, 10:13, 50:53] = 1
    image = np.zeros(SHAPE, np.int16)
    image[3], image[:, 11], image[:, :, 51] = 1, 1, 1
    for plane in planes_of(drawn(scan_with(image, label))):
        assert (plane.max(axis=2) > 100).all(), "the slice that is bright everywhere is the one through the label"


def test_the_head_is_up_and_the_front_is_up(drawn):
    image = np.zeros(SHAPE, np.int16)
    image[-2:] = 9  # the head: z is the first axis
    _, coronal, sagittal = planes_of(drawn(scan_with(image)))
    for plane in (coronal, sagittal):
        assert plane[2].min() > 200
        assert plane[-2].max() == 0
    image = np.zeros(SHAPE, np.int16)
    image[:, :4] = 9  # the front: y runs to the back
    axial, _, _ = planes_of(drawn(scan_with(image)))
    assert axial[2].min() > 200
    assert axial[-2].max() == 0


def test_a_label_is_blended_over_the_image(drawn):
    label = np.zeros(SHAPE, np.int16)
    label[4:6, 18:22, 28:32] = 2
    axial, *_ = planes_of(drawn(scan_with(np.zeros(SHAPE, np.int16), label)))
    assert np.unique(axial.reshape(-1, 3), axis=0).tolist() == [
        [0, 0, 0],
        (LABEL_COLOURS[2] * LABEL_OPACITY).astype(np.uint8).tolist(),
    ]
