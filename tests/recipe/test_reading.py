"""Recipes from files and overrides, and one clear message for what is wrong with one."""

from __future__ import annotations

import os
import re
import time

import pytest

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import Recipe, load_recipe


def short(value: object) -> str:
    """Name a test by the first characters of its text."""
    return ascii(value)[:40]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# only a comment\n", {}),
        ("{}", {}),
        ("\ufeffgrid: nnunet", {"grid": "nnunet"}),
        ("---\ngrid: nnunet\n...\n", {"grid": "nnunet"}),
        ("target_spacing: [3, 0.8, 1.0e-1]", {"target_spacing": (3.0, 0.8, 0.1)}),
        ("order: 0", {"order": 0}),
        ("order: [0, 1, 3]", {"order": (0, 1, 3)}),
        ("clip: yes", {"clip": True}),
        ("pattern: '^(?P<case>\\d+)_'", {"pattern": r"^(?P<case>\d+)_"}),
        ("statistics: 2020-13-45", {"statistics": "2020-13-45"}),
        ("statistics_row: 0", {"statistics_row": 0}),
        ("normalization: {foreground: native}", {"normalization": {"foreground": "native"}}),
        ("normalization:\n  foreground: resampled", {"normalization": {"foreground": "resampled"}}),
    ],
)
def test_file(write, text, expected):
    assert load_recipe(write(text)) == Recipe(**expected)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["grid=nnunet"], {"grid": "nnunet"}),
        ("grid=nnunet", {"grid": "nnunet"}),
        ([" grid = nnunet "], {"grid": "nnunet"}),
        (["order=1", "order=2"], {"order": 2}),
        (["target_spacing=[3, 1, 1]"], {"target_spacing": (3.0, 1.0, 1.0)}),
        (["axis_order=null"], {"boundary": "mirror"}),
        (["axis_order="], {"boundary": "mirror"}),
        (["normalization.foreground=native"], {"normalization": {"foreground": "native"}}),
        (["normalization={foreground: native}"], {"normalization": {"foreground": "native"}}),
        (["pattern=(?P<case>a=b)"], {"pattern": "(?P<case>a=b)"}),
    ],
)
def test_overrides_change_single_keys_of_a_file(write, overrides, expected):
    base = {"boundary": "mirror"} if "axis_order" in overrides[0] else {"axis_order": "xyz", "boundary": "mirror"}
    assert load_recipe(write("axis_order: xyz\nboundary: mirror"), overrides) == Recipe(**(base | expected))


REFUSED_VALUES = [
    ("grid: foo", ["line 1", "grid", "monai, nnunet, itk or nnunet_exact", "'foo'"]),
    ("\n\ngrid: $1+1", ["line 3", "'$1+1'"]),
    ("order: '3'", ["order", "remove the quotes around 3"]),
    ("order: 3.0", ["order", "an integer 0 to 3", "3.0"]),
    ("order: 4", ["order", "an integer 0 to 3"]),
    ("order: -1", ["order", "an integer 0 to 3"]),
    ("order: true", ["order", "True"]),
    ("order: [3, 3]", ["order", "three of them [z, y, x]"]),
    ("order: [3, 3, true]", ["order", "True"]),
    ("order: 1e0", ["order", "write 1.0e+0"]),
    ("clip: 1", ["clip", "true, false or slice"]),
    ("clip: 'true'", ["clip", "true, false or slice"]),
    ("target_spacing: 1.0", ["target_spacing", "[z, y, x] in mm"]),
    ("target_spacing: [1e-3, 1, 1]", ["target_spacing", "write 1.0e-3"]),
    ("target_spacing: [1.5e3, 1, 1]", ["target_spacing", "write 1.5e+3"]),
    ("target_spacing: ['1.0', 1, 1]", ["target_spacing", "remove the quotes around 1.0"]),
    ("target_spacing: [true, 1, 1]", ["target_spacing", "three positive numbers"]),
    ("target_spacing: [0, 1, 1]", ["target_spacing", "three positive numbers"]),
    ("target_spacing: [-1, 1, 1]", ["target_spacing", "three positive numbers"]),
    ("target_spacing: [.nan, 1, 1]", ["target_spacing", "nan"]),
    ("target_spacing: [.inf, 1, 1]", ["target_spacing", "inf"]),
    ("target_spacing: [1, 1]", ["target_spacing", "three positive numbers"]),
    ("target_spacing: [1, 1, 1, 1]", ["target_spacing", "three positive numbers"]),
    ("target_spacing: [010, 1, 1]", ["target_spacing", "'010'", "plain decimal"]),
    ("target_spacing: [1:30, 1, 1]", ["target_spacing", "'1:30'", "plain decimal"]),
    ("statistics_row: 1_0", ["statistics_row", "'1_0'", "plain decimal"]),
    (f"statistics_row: {'9' * 5000}", ["statistics_row", "plain decimal"]),
    ("statistics_row: -1", ["statistics_row", "an integer from 0"]),
    ("statistics: ''", ["statistics", "path"]),
    ("statistics: 5", ["statistics", "path"]),
    ("axis_order: zxy", ["axis_order", "zyx, xyz or null"]),
    ("pattern: '(?<case>a)'", ["pattern", "does not compile", "(?P<case>"]),
    ("pattern: abc", ["pattern", "no group named case"]),
    ("pattern: '(?P<case>a{99999999999})'", ["pattern", "does not compile"]),
    ("normalization: native", ["normalization", "a section with the keys foreground and epsilon"]),
    ("normalization:", ["normalization", "a section with the keys foreground and epsilon"]),
    ("preset: panther", ["line 1", "preset", "'panther' is not a preset", "it must be default or panther2025"]),
    ("preset: [default]", ["preset", "must be default or panther2025", "not ['default']"]),
    ("preset:", ["preset", "must be default or panther2025", "not None"]),
    (
        "normalization: {foreground: all}",
        ["normalization.foreground", "carried, resampled, resampled_positive, native, crop or filled"],
    ),
]
REFUSED_KEYS = [
    ("gird: monai", ["'gird'", "did you mean grid?", "statistics_row"]),
    ("Target-Spacing: [1, 1, 1]", ["did you mean target_spacing?"]),
    ("normalization: {foregrond: native}", ["'normalization.foregrond'", "did you mean normalization.foreground?"]),
    ("foreground: native", ["did you mean normalization.foreground?"]),
    ("_requires_: x", ["'_requires_'", "is not a key"]),
    ("on: 1", ["'on'", "is not a key"]),
    ("? [a, b]\n: 1", ["a key must be a name"]),
    ("<<: {grid: nnunet}", ["'<<'", "is not a key"]),
    ("grid: monai\nclip: true\ngrid: nnunet", ["line 3", "'grid' is set twice", "first in line 1"]),
    (
        "normalization:\n  foreground: native\n  foreground: carried",
        ["line 3", "foreground' is set twice"],
    ),
]
REFUSED_YAML = [
    ("grid: !!python/name:os.system monai", ["line 1", "tag", "python/name:os.system"]),
    ("clip: true\n!!python/object/apply:os.system [ls]: 1", ["line 2", "tag"]),
    ("grid: !!str monai", ["tag"]),
    ("grid: !custom monai", ["tag '!custom'"]),
    ("grid: ! monai", ["tag"]),
    ("grid: &a monai\nboundary: *a", ["line 1", "anchors"]),
    ("grid: *a", ["aliases"]),
    ("grid: monai\n---\ngrid: nnunet", ["line 2", "one YAML document"]),
    ("- grid", ["must hold keys and values"]),
    ("grid", ["must hold keys and values"]),
    ("grid: [monai", ["line 1", "is not valid YAML"]),
    ("grid:\n\tmonai", ["line 2", "is not valid YAML"]),
    ("clip: true\ngrid: mo\x01nai", ["line 2", "control character"]),
    (b"clip: true\ngrid: \xff", ["line 2", "UTF-8"]),
    ("clip: true".encode("utf-16"), ["UTF-8"]),
    ("[" * 1000, ["nested too deeply"]),
    ("a: {" * 1000, ["nested too deeply"]),
    ("[" + "1," * 30_000 + "]", ["more values than any recipe"]),
    ("#" * 70_000, ["larger than 64 KiB"]),
]


@pytest.mark.parametrize(("text", "words"), REFUSED_VALUES + REFUSED_KEYS + REFUSED_YAML, ids=short)
def test_file_is_refused_with_one_message(write, text, words):
    path, start = write(text), time.process_time()
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert [word for word in words if word not in message] == []
    assert "\n" not in message
    assert len(message) < 700 + len(str(path))
    assert time.process_time() - start < 1.5


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device", "endless device"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, kind):
    """A pipe that nobody writes to would be waited for."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    if kind != "pipe":
        path = tmp_path / "linked"
        path.symlink_to({"link to a pipe": tmp_path / "pipe", "device": "/dev/null"}.get(kind, "/dev/zero"))
    with pytest.raises(RecipeError, match=rf"{path}: is no regular file, but a pipe or a device; save the recipe"):
        load_recipe(path)


def test_a_link_to_a_recipe_is_followed(tmp_path, write):
    (tmp_path / "link.yaml").symlink_to(write("clip: yes"))
    assert load_recipe(tmp_path / "link.yaml").clip


@pytest.mark.parametrize(
    ("name", "reason"),
    [("absent.yaml", "No such file"), (".", "Is a directory"), ("a\0b", "null byte")],
)
def test_unreadable_file(tmp_path, name, reason):
    with pytest.raises(RecipeError, match=rf"(?s){re.escape(str(tmp_path))}.*{reason}.*give the path"):
        load_recipe(f"{tmp_path}/{name}")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("grid", ["--set grid", "key=value"]),
        ("=3", ["--set =3", "key=value"]),
        ("a." * 50 + "b=1", ["key=value"]),
        ("gird=monai", ["--set gird=monai", "did you mean grid?"]),
        ("grid=foo", ["--set grid=foo", "monai, nnunet, itk or nnunet_exact"]),
        ("grid=", ["grid", "not None"]),
        ("grid.x=1", ["--set grid.x=1", "grid: must be"]),
        ("normalization.foo=1", ["--set normalization.foo=1", "did you mean normalization.foreground?"]),
        (
            "normalization.foreground.x=1",
            ["normalization.foreground", "carried, resampled, resampled_positive, native, crop or filled"],
        ),
        ("order='3'", ["remove the quotes"]),
        ("pattern=[0-9]+", ["--set pattern=[0-9]+", "not valid YAML", "quote"]),
        ("pattern=*_x", ["aliases", "quote"]),
        ("grid=!!python/none", ["tag"]),
        ("normalization={foreground: native, foreground: carried}", ["set twice"]),
    ],
)
def test_override_is_refused_with_one_message(override, words):
    with pytest.raises(RecipeError) as caught:
        load_recipe(overrides=[override])
    message = str(caught.value)
    assert message.startswith("--set ")
    assert [word for word in words if word not in message] == []
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "override", "place"),
    [
        ("grid: monai", "grid.x=1", "--set grid.x=1"),
        ("normalization: {foreground: x}", "normalization={foreground: y}", "--set normalization"),
        ("normalization: {foreground: x}", "clip=true", "recipe.yaml, line 1"),
    ],
)
def test_message_names_the_place_that_has_the_last_word(write, text, override, place):
    with pytest.raises(RecipeError, match=re.escape(place)):
        load_recipe(write(text), [override])
