"""Cases that something is wrong with are found among others, and the others are left alone."""

from __future__ import annotations

import base64
import time
from dataclasses import replace

import numpy as np
import pytest

from monai_mriprep.cohort.case import CohortCase, Suspect
from monai_mriprep.cohort.suspects import KINDS, find_suspects
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.measures.case import measure_case
from monai_mriprep.measures.thumbnail import read_thumbnail
from tests.cohort.cohorts import case_of, kinds_of, phantom
from tests.measures.bodies import SHAPE, grid_of, patient, turned


@pytest.fixture(scope="module")
def untouched():
    return [phantom(number) for number in range(12)]


def in_air(label):
    moved = np.zeros_like(label)
    moved[1:4, 1:6, 1:6] = 1
    moved[1:4, 7:9, 1:6] = 2
    return moved


def z_scores(image):
    tissue = image[image != 0]
    return np.where(image != 0, (image - tissue.mean()) / tissue.std(), 0)


def planted(untouched):
    """Twelve phantoms, of which ten are wrong in some way; 0 and 1 are not, nor is 10, of which 11 is a copy."""
    return [
        untouched[0],
        untouched[1],
        phantom(2, grid_of((11, *SHAPE[1:]), (7.5, 1.2, 1.2))),
        phantom(3, image=lambda voxels: 30 * voxels),
        phantom(4, label=in_air),
        phantom(5, label=np.zeros_like),
        phantom(6, label=lambda label: np.where(label == 2, 0, label)),
        CohortCase("case 07", error="label and image differ in size\nimage ...\nlabel ..."),
        CohortCase("case 08", error="case 08.mha: cannot be decoded"),
        CohortCase("case 09", grid_of(), error="the label lies on another grid"),
        untouched[10],
        case_of("case 11", *(patient(10)[0] * 0.5, patient(10)[1]), untouched[10].grid),
    ]


def test_what_was_planted_is_found_and_nothing_else(untouched):
    assert kinds_of(planted(untouched)) == {
        "case 02": ["spacing"],
        "case 03": ["intensity"],
        "case 04": ["label_volume", "label_outside"],
        "case 05": ["label_empty"],
        "case 06": ["label_class_missing"],
        "case 07": ["failed"],
        "case 08": ["failed"],
        "case 09": ["failed"],
        "case 10": ["near_duplicate"],
        "case 11": ["near_duplicate"],
    }


def test_untouched_phantoms_are_no_suspects(untouched):
    assert find_suspects(untouched) == ()


def test_a_permuted_copy_in_other_units_is_a_near_duplicate(untouched):
    image, grid = turned(z_scores(patient(3)[0]), untouched[3].grid, "PIR")
    label, _ = turned(patient(3)[1], untouched[3].grid, "PIR")
    copy = case_of("copy", image, label, grid)
    found = kinds_of([*untouched, copy])
    assert found["case 03"] == ["near_duplicate"]
    assert "near_duplicate" in found["copy"]
    failed = CohortCase("copy", measures=copy.measures, error="no")
    found = kinds_of([*untouched, failed])
    assert found["case 03"] == ["near_duplicate"]
    assert "near_duplicate" in found["copy"]


def test_suspects_come_in_the_order_of_cases_then_of_kinds(untouched):
    twice = [phantom(n, image=lambda v: v, label=np.zeros_like, error="first\nsecond") for n in (2, 1)]
    found = find_suspects([*untouched[3:], *twice])
    assert [(one.case, one.kind) for one in found] == [
        (case, kind) for case in ("case 02", "case 01") for kind in ("failed", "label_empty")
    ]
    assert found[0] == Suspect("case 02", "failed", "first")


def test_all_reasons_of_one_kind_are_in_one_sentence():
    cases = [CohortCase(f"{n}", grid_of()) for n in range(9)]
    (found,) = find_suspects([*cases, CohortCase("odd", grid_of((11, 48, 80), (7.5, 1.2, 0.6)))])
    median = "the median of all cases is"
    assert (
        found.reason
        == f"the spacing along z is 7.5 mm; {median} 3.3 mm; the spacing along x is 0.6 mm; {median} 1.2 mm"
    )


def test_nothing_is_known():
    assert find_suspects([]) == ()
    assert find_suspects([CohortCase(f"case {n}") for n in range(20)]) == ()
    assert next(iter(KINDS)) == "failed"


@pytest.mark.parametrize("extreme", [1.7e308, 5e-324, 0.0, -1e200], ids=str)
def test_any_numbers_that_a_record_can_hold(untouched, extreme):
    """Records can be edited by anybody."""
    image = untouched[0].image[0]
    odd = image.model_copy(update={"percentiles": (-extreme, extreme, extreme, -extreme, 0.0, -extreme, extreme)})
    same = image.model_copy(update={"percentiles": (-extreme,) * 3 + (extreme,) * 4, "thumbnail": "\u00e4no base64"})
    huge = grid_of(SHAPE, (1e100, 1e100, 1e100))
    for grid in (huge, untouched[0].grid):
        changes = {"grid": grid, "before": {0: 1, 1: 2**62}, "measures": with_image(untouched[0], odd)}
        cases = [*(replace(case, **changes) for case in untouched[:8]), untouched[9], untouched[10]]
        cases[8] = replace(cases[8], measures=with_image(cases[8], same))
        assert all(isinstance(suspect, Suspect) for suspect in find_suspects(cases))


def with_image(case, image):
    return case.measures.model_copy(update={"image": (image,)})


def test_real_scans_of_eight_body_parts_are_no_suspects(shared_data):
    """The bar allows one; there is none."""
    cases = []
    for path in sorted((shared_data / "mixed/LabelsTr").iterdir()):
        (scan,) = (shared_data / "mixed/ImagesTr").glob(path.name.replace("_seg.mha", "_*"))
        image, label = (read_voxels(read_header(file)) for file in (scan, path))
        cases.append(case_of(path.stem, image, label, read_header(scan).grid))
    assert len(cases) == 8
    assert find_suspects(cases) == ()


def test_one_head_in_five_files_is_found(shared_data):
    files = sorted((shared_data / "traps/axis_codes").glob("*.nii.gz"))
    headers = [read_header(file) for file in files]
    cases = [CohortCase(h.path.name, h.grid, measure_case([read_voxels(h)], h.grid)) for h in headers]
    assert [one.case for one in find_suspects(cases) if one.kind == "near_duplicate"] == [file.name for file in files]


@pytest.mark.stress
def test_ten_thousand_cases_take_seconds(untouched):
    rng = np.random.default_rng(0)
    cases = [
        replace(untouched[n % 12], name=f"{n}", measures=with_noise(untouched[n % 12], rng)) for n in range(10_000)
    ]
    start = time.perf_counter()
    find_suspects(cases)
    assert time.perf_counter() - start < 30


def with_noise(case, rng):
    blocks = read_thumbnail(case.image[0].thumbnail).astype(int) + rng.integers(-20, 21, (8, 8, 8))
    thumbnail = base64.b64encode(blocks.clip(0, 255).astype(np.uint8).tobytes()).decode()
    return with_image(case, case.image[0].model_copy(update={"thumbnail": thumbnail}))
