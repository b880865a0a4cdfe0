"""What called the last release calls this version: docs/policy.md promises it."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest

from tests.signatures import broken, public_api


def version_of(path: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", path.stem)))


PROJECT = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
THIS = tuple(map(int, re.search(r'^version = "(\d+)\.(\d+)\.(\d+)"', PROJECT, re.MULTILINE).groups()))
EARLIER = [path for path in Path(__file__).parent.glob("signatures_of_*.json") if version_of(path) < THIS]
LAST_RELEASE = max(EARLIER, key=version_of)
RELEASED = json.loads(LAST_RELEASE.read_text(encoding="utf-8"))


def test_what_called_the_last_release_calls_this_version():
    assert broken(RELEASED, public_api()) == []


def function(*parameters: dict[str, str]) -> dict[str, object]:
    return {"python": {"f": {"kind": "function", "parameters": list(parameters)}}, "commands": {"run": ["--redo"]}}


A = {"name": "a", "kind": "POSITIONAL_OR_KEYWORD"}
B = {"name": "b", "kind": "POSITIONAL_OR_KEYWORD", "default": "1"}
KEYWORD = "KEYWORD_ONLY"


@pytest.mark.parametrize(
    "now",
    [(A, B), (A, B, {"name": "c", "kind": KEYWORD, "default": "2"}), ({**A, "default": "3"}, B)],
    ids=["the-same", "one-more-optional", "optional-now"],
)
def test_what_is_new_and_optional_breaks_nothing(now):
    assert broken(function(A, B), function(*now)) == []


@pytest.mark.parametrize(
    ("now", "problem"),
    [
        ((A,), "b is gone"),
        ((A, {**B, "default": "2"}), "b was 1 by default, is 2"),
        ((A, {"name": "b", "kind": "POSITIONAL_OR_KEYWORD"}), "is to be given"),
        ((A, B, {"name": "c", "kind": KEYWORD}), "c is new and must be given"),
        ((B, A), "another order"),
        ((A, {**B, "kind": KEYWORD}), "by place no more"),
    ],
    ids=["removed", "default", "required", "new-required", "order", "keyword-only"],
)
def test_a_call_that_would_break_is_named(now, problem):
    assert any(problem in found for found in broken(function(A, B), function(*now)))


def test_lost_names_and_options_are_named():
    now = copy.deepcopy(function(A, B))
    now["python"], now["commands"] = {}, {"run": []}
    assert broken(function(A, B), now) == ["f is gone", "monai-mriprep run: --redo is gone"]
