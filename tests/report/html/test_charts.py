"""Charts: dots lie where their values are."""

from __future__ import annotations

import pytest

from monai_mriprep.report.html.axes import counting
from monai_mriprep.report.html.charts import LINKED_CASES, Row, Value, ranked, strips

LEFT, RIGHT = 48.0, 390.0


def test_a_dot_lies_in_its_row_at_its_value():
    rows = [Row("z", [Value(1, 10.0, "ten")], 5.0), Row("y", [Value(2, 0.0, "none")])]
    chart = strips("Count", "", ["", ""], rows, counting(10))
    ten, none = chart.dots
    assert (none.x, ten.case, ten.said) == (LEFT, 1, "ten")
    assert ten.x == pytest.approx(LEFT + (RIGHT - LEFT) / 1.04, abs=0.1)
    assert [label.text for label in chart.rows] == ["z", "y"]
    assert [abs(dot.y - label.place) < 2 for dot, label in zip((ten, none), chart.rows, strict=True)] == [True, True]
    ((x, top, bottom),) = chart.marks
    assert x == pytest.approx(LEFT + (RIGHT - LEFT) / 1.04 / 2, abs=0.1)
    assert top < chart.rows[0].place < bottom < chart.rows[1].place


def test_ticks_lie_where_their_values_are():
    chart = strips("Count", "", [""], [Row("z", [Value(1, 10.0, "")])], counting(10))
    places = {label.text: label.place for label in chart.columns}
    assert places["10"] == chart.dots[0].x
    assert places["0"] == LEFT


def test_equal_values_of_many_cases_are_set_apart_within_their_row():
    chart = strips("Spacing", "", [""] * 40, [Row("z", [Value(n, 3.0, "") for n in range(1, 41)]), Row("y", [])])
    places = {dot.y for dot in chart.dots}
    assert len(places) > 30
    assert max(abs(y - chart.rows[0].place) for y in places) < (chart.rows[1].place - chart.rows[0].place) / 2


def test_what_deserves_a_look_lies_above_the_rest():
    rows = [Row("z", [Value(n, float(n), "") for n in (1, 2, 3, 4)])]
    chart = strips("Spacing", "", ["failed", "", "suspect", "warning"], rows)
    ranks = ranked("Intensity", "", ["failed", "", "suspect", "warning"], rows[0].values)
    for dots in (chart.dots, ranks.dots):
        assert [(dot.case, dot.kind) for dot in dots] == [(2, ""), (4, "warning"), (3, "suspect"), (1, "failed")]


def test_values_are_ranked_from_the_smallest_to_the_largest():
    values = [Value(1, 30.0, "", (20.0, 40.0)), Value(2, 10.0, ""), Value(3, 20.0, "")]
    chart = ranked("Intensity", "", ["", "", ""], values)
    assert [dot.case for dot in sorted(chart.dots, key=lambda dot: dot.x)] == [2, 3, 1]
    highest = next(dot for dot in chart.dots if dot.case == 1)
    low, high = highest.ends
    assert high < highest.y < low  # the drawing counts from the top
    places = {label.text: label.place for label in chart.rows}
    assert (low, highest.y, high) == (places["20"], places["30"], places["40"])


def test_many_dots_become_one_path_of_each_kind():
    count = LINKED_CASES + 1
    values = [Value(n, float(n), "", (0.0, 1.0)) for n in range(1, count + 1)]
    kinds = ["failed", *[""] * (count - 1)]
    chart = ranked("Intensity", "", kinds, values)
    assert not chart.is_linked
    assert {kind: points.count("h0") for kind, (points, _) in chart.paths.items()} == {"": count - 1, "failed": 1}
    assert [lines.count("V") for _, lines in chart.paths.values()] == [count - 1, 1]
    assert strips("Spacing", "", kinds[:-1], [Row("z", values[:-1])]).is_linked


def test_a_chart_of_many_classes_becomes_paths_too():
    def chart(rows):
        values = [Value(n, float(n), "") for n in range(1, 601)]
        return strips("Label volume", "", [""] * 600, [Row(str(row), values) for row in range(rows)])

    assert [chart(rows).is_linked for rows in (8, 9)] == [True, False]  # 4800 and 5400 dots


def test_a_path_goes_through_its_dots_and_from_end_to_end():
    chart = ranked("Intensity", "", ["", ""], [Value(1, 10.0, ""), Value(2, 30.0, "", (20.0, 40.0))])
    one, other = chart.dots
    (points, lines) = chart.paths[""]
    assert points == f"M{one.x} {one.y}h0M{other.x} {other.y}h0"
    assert lines == f"M{other.x} {other.ends[0]}V{other.ends[1]}"


def test_what_values_are_compared_with_lies_on_the_axis():
    chart = strips("Spacing", "", ["", ""], [Row("z", [Value(1, 3.0, ""), Value(2, 4.0, "")], 1.0)])
    assert chart.marks[0][0] == next(label.place for label in chart.columns if label.text == "1") > LEFT
