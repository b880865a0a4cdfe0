"""Reports in headless Chromium: built once, one browser, and no page may complain or ask for anything."""

from __future__ import annotations

import pytest

from benchmarks.browser import NoBrowserError, Watched, browsers
from benchmarks.reports import Reports
from tests.conftest import SHARED_DATA


@pytest.fixture(scope="session")
def launch():
    try:
        with browsers() as launch:
            yield launch
    except NoBrowserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def browser(launch):
    return launch()


@pytest.fixture(scope="session")
def report_of(browser, tmp_path_factory):
    """The report of a set, by its name; made when it is first asked for."""
    reports = Reports(tmp_path_factory.mktemp("reports"), SHARED_DATA)

    def report_of(name):
        if name == "mixed" and not SHARED_DATA.is_dir():
            pytest.skip(f"the real scans are not here: {SHARED_DATA}")
        return reports.page(name)

    return report_of


@pytest.fixture
def opened(browser, report_of):
    """Open a report in a context of its own; afterwards the page must have done nothing that it must not do."""
    watched, contexts = [], []

    def opened(name, by=browser, **options):
        contexts.append(by.new_context(**options))
        page = Watched(contexts[-1].new_page())
        watched.append(page)
        page.open(report_of(name))
        return page.page

    yield opened
    problems = [problem for page in watched for problem in page.problems]
    for context in contexts:
        context.close()
    assert problems == []
