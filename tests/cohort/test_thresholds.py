"""The page on suspects names every kind and every threshold, with its value."""

from __future__ import annotations

import re

from monai_mriprep.cohort import thresholds
from monai_mriprep.cohort.suspects import KINDS
from tests.test_docs import ROOT

PAGE = (ROOT / "docs" / "suspects.md").read_text(encoding="utf-8")


def test_the_table_of_thresholds_is_that_of_the_code():
    told = re.findall(r"^\| `([A-Z_]+)` \| ([\d.]+) \|", PAGE, re.MULTILINE)
    assert {name: float(value) for name, value in told} == {
        name: getattr(thresholds, name) for name in thresholds.__all__
    }


def test_the_table_of_kinds_is_that_of_the_code():
    assert re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE) == list(KINDS)
