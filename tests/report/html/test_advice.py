"""The section on target spacings: where its dots lie, and that nothing of it is taken for markup."""

from __future__ import annotations

from monai_mriprep.advice.model import Worst
from monai_mriprep.report.html.advice import HEIGHT, LEFT, WIDTH, AdviceSection
from tests.advice.values import advice, candidate
from tests.report.html.pages import case, front, page


def test_dots_lie_by_voxels_and_dice_and_the_default_is_on_top():
    section = AdviceSection(advice())
    places = {place.name: place for place in section.places}
    finest, default, coarsest = (places[name] for name in ("3 x 0.4 x 0.8", "3 x 0.8 x 0.8", "3 x 1.6 x 0.8"))
    assert LEFT < coarsest.x < default.x < finest.x < WIDTH
    assert HEIGHT > coarsest.y > default.y > finest.y > 0
    assert section.places[-1].default
    assert section.line == f"M{default.x} {default.y}H{finest.x}V{finest.y}"
    assert {label.text for label in section.columns} >= {"1 x"}


def test_one_candidate_alone_can_be_drawn():
    section = AdviceSection(advice(candidates=(candidate("default", 1.0, {1: 1.0, 2: 1.0}, front=True),)))
    assert len(section.places) == 1
    assert all(float(label.text) <= 1 for label in section.rows)


def test_of_many_classes_those_of_which_least_is_kept_have_a_column():
    section = AdviceSection(advice(40))
    assert section.classes == list(range(29, 41))
    assert AdviceSection(advice(1)).classes == []
    assert all(len(cells) == len(section.headings) for _, cells in section.table)


def test_a_section_has_a_chart_and_a_table():
    html = front(page(case("a"), advice=AdviceSection(advice()))).one("section", "advice")
    assert len(list(html.every("circle"))) == 3 + 1
    assert [row.one("th").text for row in html.one("tbody").every("tr")] == [
        "3 x 0.4 x 0.8",
        "3 x 0.8 x 0.8",
        "3 x 1.6 x 0.8",
    ]
    assert html.one("tr", "default").text.split()[-2:] == ["0.9490", "0.9480"]
    assert not list(front(page(case("a"))).every("section", "advice"))


def test_its_texts_are_no_markup():
    hostile = "<img src=x onerror=alert(1)>\u202e"
    worst = {number: Worst(dice=0.1, case=hostile) for number in (1, 2)}
    one = candidate("default", 1.0, {1: 0.9, 2: 0.8}, front=True, names=(hostile,), worst=worst)
    html = front(page(case("a"), advice=AdviceSection(advice(candidates=(one,)))))
    assert not list(html.every("img", src="x"))
    assert "\\u202e" in html.one("section", "advice").text
