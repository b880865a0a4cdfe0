"""A report on many cases has several files."""

from __future__ import annotations

from monai_mriprep.report.html.parts import address, addresses, parts_of
from tests.report.html.pages import case


def cases(count: int, failed: int = 0) -> list:
    return [case(f"case_{n}", error="broken" if n < failed else None) for n in range(count)]


def test_up_to_1000_cases_are_in_one_file():
    (only,) = parts_of(cases(1000))
    assert (only.file, len(only.cases), only.is_front) == ("report.html", 1000, True)


def test_more_cases_are_in_pages_and_the_worst_on_the_front():
    parts = parts_of(cases(1010, failed=3))
    assert [(part.file, part.first, len(part.cases)) for part in parts] == [
        ("report.html", 1, 3),
        ("report/page-0001.html", 4, 500),
        ("report/page-0002.html", 504, 500),
        ("report/page-0003.html", 1004, 7),
    ]


def test_the_front_is_no_longer_than_a_page():
    front, first, *_ = parts_of(cases(1010, failed=1010))
    assert len(front.cases) < 500 == len(first.cases)


def test_a_report_may_have_another_name_and_its_folder_another_one():
    front, first, *_ = parts_of(cases(1010, failed=3), "check of scans.html", "check of scans_files")
    assert (front.file, first.file) == ("check of scans.html", "check of scans_files/page-0001.html")
    assert address(front, seen_from=first) == "../check%20of%20scans.html"


def test_every_case_has_one_address():
    found = list(addresses(parts_of(cases(1010, failed=3))))
    assert [number for number, _, _ in found] == list(range(1, 1011))
    assert [found[at][2] for at in (0, 3, 1009)] == [
        "#case-1",
        "report/page-0001.html#case-4",
        "report/page-0003.html#case-1010",
    ]


def test_pages_lead_to_each_other():
    front, first, second, _ = parts_of(cases(1010, failed=3))
    assert address(front, seen_from=first) == "../report.html"
    assert address(second, seen_from=first) == "../report/page-0002.html"


def test_suspects_are_on_the_front_too():
    worst = [case("failed", error="broken"), *(case(f"odd_{n}", suspicions=("size",)) for n in range(3))]
    assert len(parts_of([*worst, *cases(1000)])[0].cases) == 4
