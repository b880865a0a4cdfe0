"""What is said of a lock and of its cases that were made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from monai_mriprep.proof.reproduce import CaseDiffers, ReproduceReport
from monai_mriprep.proof.sources import Difference
from monai_mriprep.report.proof_text import reproduce_text

FOUND = ReproduceReport(
    Path("data.lock"),
    Path("scans"),
    "0" * 64,
    cases=5,
    unlike=("torch 1 in the lock, 2 here",),
    to_the_bit=False,
    exact=("a", "b"),
    close=("c",),
    deviation=1.25e-7,
    differ=(CaseDiffers("d", (Difference("source", "d.mha", "is missing"),)),),
    differences=(Difference("recipe", "out", "order: 1 -> 3"),),
)


def test_what_differs_comes_first_and_the_counts_last():
    assert list(reproduce_text(FOUND)) == [
        "differs: out: recipe: order: 1 -> 3",
        "differs: d: source: d.mha: is missing",
        "unlike: torch 1 in the lock, 2 here",
        "data.lock: 4 of 5 cases made again from scans",
        "compared: all arrays; asked for: labels to the bit, images within 2e-6 of their range",
        "2 equal to the bit, 1 within 1.2e-07 of the range, 1 NOT as locked",
    ]


def test_another_folder_beside_it_is_no_proof():
    assert replace(FOUND, differ=(), differences=()).is_proven
    assert not replace(FOUND, differ=()).is_proven
    assert not replace(FOUND, differences=()).is_proven


def test_of_a_virtual_folder_no_array_was_compared():
    near, same = (list(reproduce_text(replace(FOUND, virtual=True, to_the_bit=bits, differ=()))) for bits in (0, 1))
    assert near[-2:] == [
        "compared: records alone, for there were no volumes; asked for: numbers in six digits",
        "2 equal to the bit, 1 in six digits",
    ]
    assert same[-2] == "compared: records alone, for there were no volumes; asked for: to the bit"


def test_what_a_lock_of_a_part_lacks_is_said():
    lines = list(reproduce_text(replace(FOUND, unfinished=3)))
    assert lines[3] == "data.lock: 4 of 5 cases made again from scans; 3 more were not finished, and are not in it"


def test_a_lock_cannot_put_a_line_of_its_own_there():
    forged = replace(FOUND, unlike=("torch 1\n5 equal to the bit in the lock, 2 here",))
    assert r"unlike: 'torch 1\n5 equal to the bit in the lock, 2 here'" in list(reproduce_text(forged))
