"""The facts of a page."""

from __future__ import annotations

from monai_mriprep.report.html.facts import count_of, looks, worst_first
from tests.report.html.pages import case, page


def test_a_case_can_be_several_things():
    assert case(error="broken", suspicions=("size",), warnings=("w",)).kinds == ("failed", "suspect", "warning")
    assert case().kinds == ()


def test_a_failure_is_no_suspicion_of_its_own():
    failed = case(error="broken", suspicions=("failed",))
    assert (failed.kinds, failed.reasons) == (("failed",), ())


def test_the_worst_come_first_and_names_in_natural_order():
    cases = [
        case("case_10"),
        case("case_9"),
        case("warned", warnings=("w",)),
        case("suspect", suspicions=("size",), warnings=("w",)),
        case("failed", error="broken"),
        case("failed_and_suspect", error="broken", suspicions=("size",)),
    ]
    names = [one.name for one in worst_first(cases)]
    assert names == ["failed", "failed_and_suspect", "suspect", "warned", "case_9", "case_10"]


def test_suspects_of_a_rare_kind_come_before_what_is_said_of_nearly_all():
    cases = [case(f"case_{i}", suspicions=("label_undeclared",)) for i in range(3)]
    cases += [case("case_3", suspicions=("label_undeclared", "size")), case("case_4", suspicions=("spacing",))]
    assert [one.name for one in worst_first(cases)] == ["case_3", "case_4", "case_0", "case_1", "case_2"]


def test_what_a_reason_says_is_not_said_again_as_a_warning():
    one = case("a", suspicions=("size",), warnings=("a: its size is unlike the others'", "another"))
    assert one.other_warnings == ("another",)
    assert "warning" in one.kinds


def test_so_few_cases_that_none_is_compared_are_not_called_inconspicuous():
    assert looks([case()] * 4) == "Fewer than 5 cases are not compared with one another."
    assert looks([case()] * 5) == "None stands out."
    assert looks([case(), case(suspicions=("label_empty",))]) == "One deserves a look."


def test_counts_are_of_everything_that_a_case_is():
    cases = [case("a", error="broken", suspicions=("size",)), case("b", suspicions=("size",)), case("c")]
    counts = {kind: count_of(cases, kind) for kind in ("done", "failed", "suspect", "warning")}
    assert counts == {"done": 2, "failed": 1, "suspect": 2, "warning": 0}


def test_a_failure_without_a_word_is_one():
    assert case(error="").kinds == ("failed",)


def test_a_page_has_results_where_one_case_was_preprocessed():
    assert page(case("a", error="broken"), case("b")).has_results
    assert not page(case("a", error="broken")).has_results
