"""All that is wrong with a file in one message: places, keys, what is allowed, and what to write instead."""

from __future__ import annotations

import re

import pytest
import yaml
from pydantic import Field, ValidationError

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import load_recipe
from monai_mriprep.recipe.sections import PLAIN_NUMBER, Section, explanation, facts_of, keys_of, shown


class Inner(Section):
    depth: int = Field(0, json_schema_extra={"allowed": "a whole number"})


class Outer(Section):
    width: float = Field(1.0, json_schema_extra={"allowed": "a number"})
    inner: Inner = Field(Inner(), json_schema_extra={"allowed": "a section with the key depth"})


SECTIONS = {(): Outer, ("inner",): Inner}


def explained(data: object, **places: str) -> str:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return explanation(caught.value, data, {"": "the file"} | places, SECTIONS, also=["run.depth"])


def test_keys_and_their_facts():
    assert keys_of(SECTIONS) == ["width", "inner.depth"]
    assert facts_of(Inner, "depth") == {"allowed": "a whole number"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"width": "x"}, "width: must be a number; not 'x'"),
        ({"inner": {"depth": 1.5}}, "inner.depth: must be a whole number; not 1.5"),
        ({"inner": 3}, "inner: must be a section with the key depth; not 3"),
        (3, "must be a mapping of keys to values, not 3; the keys are width, inner.depth, run.depth"),
        ({"wdth": 1}, "'wdth' is not a key of the recipe; did you mean width? The keys are width, inner.depth"),
        ({"inner": {"height": 1}}, "'inner.height' is not a key of the recipe; did you mean"),
        ({"depth": 1}, "did you mean inner.depth?"),
        ({"zzz": 1}, "'zzz' is not a key of the recipe; the keys are"),
        ({"width": "1e3"}, "width: must be a number; not '1e3' (YAML takes 1e3 for text: write 1.0e+3)"),
        ({"width": "2.5"}, "width: must be a number; not '2.5' (remove the quotes around 2.5)"),
    ],
)
def test_one_problem_is_one_line(data, message):
    assert explained(data).startswith("the file: ")
    assert message in explained(data)
    assert "\n" not in explained(data)


def test_each_problem_has_the_place_of_its_key_or_of_the_section_around_it():
    data = {"width": "x", "inner": {"depth": "y", "height": 1}}
    lines = explained(data, width="line 1", inner="line 2", **{"inner.height": "line 4"}).splitlines()
    assert lines[0] == "3 problems"
    assert [re.match(r"  (line \d): '?([\w.]+)", line).groups() for line in lines[1:]] == [
        ("line 1", "width"),
        ("line 2", "inner.depth"),
        ("line 4", "inner.height"),
    ]


@pytest.mark.parametrize(
    "text", ["0", "7", "-12", "+3", "1.5", ".5", "5.", "1.0e+3", "-2.5E-4", ".inf", "-.INF", ".nan"]
)
def test_a_plain_number_is_a_number_to_yaml_and_the_same_one(text):
    assert PLAIN_NUMBER.fullmatch(text)
    value = yaml.safe_load(text)
    assert isinstance(value, int | float)
    assert str(value) == str(type(value)(text.lower().replace(".inf", "inf").replace(".nan", "nan")))


@pytest.mark.parametrize(("text", "value"), [("010", 8), ("1_0", 10), ("1:30", 90), ("0x1f", 31), ("0b11", 3)])
def test_what_yaml_reads_as_another_number_is_not_plain(text, value):
    assert yaml.safe_load(text) == value
    assert not PLAIN_NUMBER.fullmatch(text)


@pytest.mark.parametrize("text", ["1e3", "1e-3", "1.5e3"])
def test_what_yaml_takes_for_text_is_not_plain(text):
    assert yaml.safe_load(text) == text
    assert not PLAIN_NUMBER.fullmatch(text)


def test_a_shown_value_is_one_line_of_limited_length():
    assert shown("a\nb") == r"'a\nb'"
    assert shown("x" * 200) == "'" + "x" * 96 + "..."
    assert len(shown(list(range(1000)))) == 100


def test_all_problems_are_in_one_message(write):
    with pytest.raises(RecipeError) as caught:
        load_recipe(write("order: 7\nclp: true\ngrid: q"), ["boundary=x"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "4 problems"
    found = {re.search(r"(line \d|--set boundary=x): '?(\w+)", line).groups() for line in lines[1:]}
    assert found == {("line 1", "order"), ("line 2", "clp"), ("line 3", "grid"), ("--set boundary=x", "boundary")}
