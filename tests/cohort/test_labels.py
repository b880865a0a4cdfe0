"""Suspects by their label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_mriprep.cohort import labels
from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.measures.model import CaseMeasures, LabelMeasures
from tests.measures.bodies import grid_of

GRID = grid_of((10, 20, 30), (3, 1, 1))  # voxels of 3 mm^3
COUNTS = {0: 5000, 1: 1000, 2: 200}


def measures(components=None, touches=(), outside=0.0):
    label = LabelMeasures(components=components or {1: 1, 2: 1}, touches=touches, outside=outside, centre=(0, 0, 0.0))
    return CaseMeasures(image=(), label=label)


def cohort(*last, count=11):
    """Cases that nothing is wrong with, and others."""
    case = CohortCase("", GRID, measures(), COUNTS, COUNTS, None, GRID)
    return [replace(case, name=str(i), **changes) for i, changes in enumerate([{}] * count + [*last])]


def test_empty_labels_are_suspects_where_they_are_few():
    assert [i for i, _ in labels.empty(cohort({"before": {0: 99}}, {"before": {0: 9, -1: 3}}))] == [11, 12]
    assert list(labels.empty(cohort(*[{"before": {0: 99}}] * 3))) == []
    assert [i for i, _ in labels.empty(cohort({"before": {0: 99}}, count=1))] == [1], "too few to be compared"
    assert list(labels.empty(cohort({"before": None}))) == []


def test_empty_labels_are_told_of_where_they_are_many():
    empty = {"before": {0: 99}}
    assert list(labels.many_empty(cohort(*[empty] * 4))) == [
        "4 of 15 labels hold no class, only background: 11, 12, 13 and 1 more"
    ]
    assert list(labels.many_empty(cohort(empty))) == [], "a suspect"
    assert list(labels.many_empty(cohort())) == []


def test_undeclared_values():
    declared = {"before": COUNTS | {7: 1}, "declared": (0, 1, 2)}
    assert list(labels.undeclared(cohort(declared, {"declared": (0, 1, 2)}))) == [
        (11, "the label holds 7, which dataset.json does not declare: it has 0, 1, 2")
    ]


def test_a_class_that_nearly_all_others_have():
    found = list(labels.without_a_class(cohort({"before": {0: 9, 1: 9}}, {"before": {0: 9}})))
    assert found == [(11, "class 2 is missing, which 11 of the 11 other labels have")]


@pytest.mark.parametrize(("without", "is_usual"), [(1, True), (2, True), (3, False)])
def test_a_class_that_many_lack_is_not_missed(without, is_usual):
    found = labels.without_a_class(cohort(*[{"before": {0: 9, 1: 9}}] * without, count=20 - without))
    assert len(list(found)) == (without if is_usual else 0)


def test_of_fifty_classes_a_few_are_missing_in_every_case():
    """The classes that fewest lack are looked at, as long as a tenth of the cases at most is named."""
    rng = np.random.default_rng(0)
    lacks = rng.random((200, 50)) < np.linspace(0.001, 0.08, 50)
    before = [{0: 9} | {c + 1: 5 for c in np.flatnonzero(~row).tolist()} for row in lacks]
    found = list(labels.without_a_class(cohort(*({"before": one} for one in before), count=0)))
    assert 5 < len(found) <= 20
    rarest = int(np.argmin(np.where(lacks.any(axis=0), lacks.sum(axis=0), 200)))
    assert {i for i, reason in found} >= set(np.flatnonzero(lacks[:, rarest]).tolist())


def test_of_fifty_classes_a_few_are_large_in_every_case():
    rng = np.random.default_rng(0)
    volumes = np.exp(0.25 * rng.standard_t(2, (200, 50))) * 1000
    before = [{c + 1: int(v) for c, v in enumerate(row)} for row in volumes]
    found = {i for i, _ in labels.unlike_in_volume(cohort(*({"before": one} for one in before), count=0))}
    assert 5 < len(found) <= 20


def test_volumes_are_compared_in_ml():
    large, finer = {"before": {0: 9, 1: 1000, 2: 2000}}, {"before": {0: 9, 1: 8000, 2: 1600}}
    finer |= {"label_grid": grid_of((20, 40, 60), (1.5, 0.5, 0.5))}
    assert list(labels.unlike_in_volume(cohort(large, finer))) == [
        (11, "class 2 has 6 ml; the median of all cases is 0.6 ml")
    ]


def test_parts():
    found = labels.unlike_in_parts(cohort({"measures": measures({1: 1, 2: 40})}, {"measures": measures({1: 3})}))
    assert list(found) == [(11, "class 2 is in 40 separate parts; the median of all cases is 1")]


def test_outside_of_the_body():
    found = labels.outside(cohort({"measures": measures(outside=0.6)}, {"measures": measures(outside=0.2)}))
    assert list(found) == [(11, "60% of the label lies outside of the body, in air or beyond the scan")]
    assert len(list(labels.outside(cohort({"measures": measures(outside=0.6)}, count=0)))) == 1
    assert list(labels.outside(cohort(*[{"measures": measures(outside=0.6)}] * 9, count=0))) == []


def test_edges_that_hardly_any_other_touches():
    usual, rare = {"measures": measures(touches=("S",))}, {"measures": measures(touches=("L", "P", "S"))}
    assert list(labels.at_an_edge(cohort(rare, *[usual] * 5))) == [
        (11, "the label touches the left and the back end of the scan, as hardly any other does")
    ]
    assert list(labels.at_an_edge(cohort(rare, count=3))) == []


def test_six_sides_that_few_touch_make_no_crowd_of_suspects():
    each = [{"measures": measures(touches=(side,))} for side in "LRAPIS" for _ in range(4)]
    assert [i for i, _ in labels.at_an_edge(cohort(*each, count=36))] == [36, 37, 38, 39]


LOSSES = {
    "vanished": (COUNTS | {2: 0}, ["class 2 vanished by resampling: it had 0.6 ml"]),
    "shrank": ({0: 9, 1: 1000, 2: 90}, ["class 2 shrank by resampling, from 0.6 ml to 0.27 ml"]),
    "kept": ({0: 9, 1: 1000, 2: 101}, []),
}


@pytest.mark.parametrize("name", LOSSES)
def test_what_resampling_loses(name):
    after, expected = LOSSES[name]
    assert list(labels.lost(cohort({"after": after}))) == [(11, reason) for reason in expected]


def test_volumes_are_compared_and_not_voxels():
    coarse = grid_of((5, 10, 15), (6, 2, 2))
    assert list(labels.lost(cohort({"after": {1: 125, 2: 25}, "target_grid": coarse}))) == []
    coarser = grid_of((2, 4, 6), (15, 10, 10))
    few = {"before": {0: 9, 1: 1000, 2: 200}, "after": {1: 2, 2: 0}, "target_grid": coarser}
    assert [reason.split()[:3] for _, reason in labels.lost(cohort(few))] == [["class", "2", "vanished"]]


def test_classes_have_their_new_numbers_after_preprocessing():
    renumbered = {"new_numbers": {2: 1, 1: 0}, "after": {0: 6000, 1: 200}}
    assert list(labels.lost(cohort(renumbered))) == []
    assert len(list(labels.lost(cohort(renumbered | {"after": {0: 6200}})))) == 1


def test_nothing_is_known():
    unknown = [CohortCase(str(n), grid=GRID if n % 2 else None) for n in range(9)]
    finders = (labels.lost, labels.outside, labels.at_an_edge, labels.unlike_in_parts, labels.unlike_in_volume)
    for find in (*finders, labels.empty, labels.undeclared, labels.without_a_class):
        assert list(find(unknown)) == []


def test_nine_tenths_of_the_others_and_a_tenth_of_all_are_where_the_bars_lie():
    lacking, touching = {"before": {0: 9, 1: 9}}, {"measures": measures(touches=("L",))}
    assert [i for i, _ in labels.without_a_class(cohort(*[lacking] * 2, count=9))] == [9, 10]
    assert [i for i, _ in labels.at_an_edge(cohort(touching, count=10))] == [10]
    assert list(labels.at_an_edge(cohort(*[touching] * 2, count=18))) == []
    parts = [{"measures": measures({1: count})} for count in (5, 6)]
    assert [i for i, _ in labels.unlike_in_parts(cohort(*parts))] == [12]


def test_of_several_missing_classes_the_rarest_is_counted():
    usual, less, least = ({"before": dict.fromkeys(range(count), 9)} for count in (4, 3, 2))
    found = dict(labels.without_a_class(cohort(*[usual] * 20, less, least, count=0)))
    assert found[21] == "class 2, 3 is missing, which 20 of the 21 other labels have"


@pytest.mark.parametrize(
    ("side", "word"), [("L", "left"), ("R", "right"), ("A", "front"), ("P", "back"), ("I", "lower"), ("S", "upper")]
)
def test_sides_have_the_names_that_people_use(side, word):
    ((_, reason),) = labels.at_an_edge(cohort({"measures": measures(touches=(side,))}))
    assert reason.startswith(f"the label touches the {word} end of the scan")


@pytest.mark.parametrize(("edge", "is_told"), [(4.0, True), (6.0, False)])
def test_what_fills_no_eight_voxels_of_the_target_cannot_shrink(edge, is_told):
    """A class of 600 mm^3 that keeps a third of it."""
    target = grid_of((5, 5, 5), (edge,) * 3)
    after = {1: round(3000 / edge**3), 2: round(200 / edge**3)}
    found = labels.lost(cohort({"after": after, "target_grid": target}))
    assert [reason.split()[:3] for _, reason in found] == [["class", "2", "shrank"]] * is_told
