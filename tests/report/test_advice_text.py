"""What an advice says in a terminal."""

from __future__ import annotations

from monai_mriprep.report.advice_text import ABOUT, advice_text, lost_text
from tests.advice.values import advice


def test_a_table_and_what_was_compared():
    assert list(advice_text(advice())) == [
        "spacing mm     voxels  Dice    Dice 1  Dice 2  lost  size z y x  worst                what",
        "3 0.4 0.8   *  2       0.9885  0.9890  0.9880  0/10  30x400x200  0.494 (2 in case_1)  finest of each axis",
        "3 0.8 0.8   *  1       0.9485  0.9490  0.9480  0/10  30x200x200  0.474 (2 in case_1)  default",
        "3 1.6 0.8      0.5     0.8985  0.8990  0.8980  2/10  30x100x200  0.449 (2 in case_1)  in-plane x1.5",
        "",
        f"{ABOUT}.",
        "*: nothing keeps more for as few voxels. voxels: those of the default, times. lost: lesions without a voxel.",
        "target spacing (3, 0.8, 0.8) mm (z y x): set by the recipe",
        "problem: b: b.mha: is damaged",
        "no class in the label of 1 case: nothing_1",
        "/data/scans: 3 spacings compared by the labels of 4 of 5 cases: 2 classes, 10 lesions",
    ]


def test_of_one_class_the_mean_is_its_own_and_of_many_the_lowest_is_told():
    assert next(advice_text(advice(1))).split()[:5] == ["spacing", "mm", "voxels", "Dice", "lost"]
    heading, row, *_ = advice_text(advice(7))
    assert "lowest" in heading
    assert "0.9830 (7)" in row


def test_in_a_narrow_terminal_the_losses_stay():
    lines = list(advice_text(advice(6), 60))
    assert max(map(len, lines[:4])) <= 60
    assert "lost" in lines[0]
    assert "no room for worst, size z y x, Dice 1" in lines[4]


def test_lost_lesions_are_told_with_the_largest():
    finest, _, coarsest = advice().candidates
    assert lost_text(finest) == "0"
    assert lost_text(coarsest) == "2, up to 6.5 mm3"
