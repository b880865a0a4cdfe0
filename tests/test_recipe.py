"""The recipe: defaults, files, overrides, and one clear message for whatever is wrong."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import Normalization, Recipe, commented_yaml, load_recipe, model, presets
from monai_mriprep.recipe.extensions import NamedSettings, register

CONFIGS = Path(__file__).parents[1] / "configs"


def short(value: object) -> str:
    """Name a test by the first characters of its text."""
    return ascii(value)[:40]


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# --- Defaults and shipped files -------------------------------------------------------------------------------------


def test_defaults():
    assert load_recipe().as_dict() == {
        "preset": "default",
        "pattern": None,
        "statistics": None,
        "statistics_row": None,
        "axis_order": None,
        "target_rule": "published",
        "target_spacing": None,
        "geometry": "strict",
        "orientation": "keep",
        "crop": "none",
        "crop_margin": 0.0,
        "grid": "monai",
        "boundary": "nearest",
        "order": 3,
        "clip": False,
        "normalization": {"foreground": "carried", "epsilon": 0.0},
        "steps": [],
    }


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_the_yaml_of_a_preset_is_its_recipe_and_names_every_key(preset):
    path = CONFIGS / f"{preset}.yaml"
    assert load_recipe(path) == Recipe(preset=preset)
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == Recipe(preset=preset).as_dict()


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_the_yaml_of_a_preset_is_what_the_command_prints(preset, tmp_path):
    """Should it differ: the file's third line makes it anew."""
    text = (CONFIGS / f"{preset}.yaml").read_text(encoding="utf-8")
    command = next(line.partition("Made by    ")[2].split(" > ")[0] for line in text.splitlines() if "Made by" in line)
    code = (
        "import sys\nfrom monai_mriprep.cli import main\n"
        f"sys.argv = {command.split()!r}\n"
        "try:\n    main()\n"
        "finally:\n    print({'torch', 'monai', 'numpy', 'itk', 'pandas', 'scipy'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == text == commented_yaml(Recipe(preset=preset))
    assert done.stderr.strip() == "set()"
    assert max(map(len, text.splitlines())) <= 120


@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "preset": st.sampled_from(sorted(presets.PRESETS)),
            "pattern": st.sampled_from(
                ["(?P<case>a)", '^\'(?P<case>\\d+)#: "x" é\n*', "(?P<case>null)", "(?P<case>1) - "]
            ),
            "statistics": st.text(min_size=1, max_size=20).filter(lambda text: text.strip() and "\0" not in text),
            "statistics_row": st.integers(0, 10**9),
            "target_spacing": st.tuples(*[st.floats(1e-300, 1e300)] * 3),
            "order": st.one_of(st.integers(0, 3), st.tuples(*[st.integers(0, 3)] * 3)),
            "clip": st.booleans(),
            "normalization": st.fixed_dictionaries({}, optional={"epsilon": st.floats(0, 1e300)}),
        },
    )
)
def test_any_recipe_printed_is_read_back(values, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "printed.yaml"
    recipe = Recipe(**values)
    path.write_text(commented_yaml(recipe), encoding="utf-8")
    assert load_recipe(path) == recipe


@pytest.mark.parametrize("key", [*Recipe.model_fields, *Normalization.model_fields])
def test_default_yaml_comments_every_key(key):
    lines = (CONFIGS / "default.yaml").read_text(encoding="utf-8").splitlines()
    (number,) = (n for n, line in enumerate(lines) if line.strip().startswith(f"{key}:"))
    assert lines[number - 1].strip().startswith("# Allowed: ")
    assert lines[number - 2].strip().startswith("# ")


@pytest.mark.parametrize(("model", "key"), [(m, k) for m in (Recipe, Normalization) for k in m.model_fields])
def test_every_key_is_described_and_classified(model, key):
    info = model.model_fields[key]
    assert "Allowed: " in info.description
    assert info.json_schema_extra["voxels"] in (True, False)


def test_panther_yaml_reverses_the_table_and_nothing_else():
    assert load_recipe(CONFIGS / "panther.yaml") == Recipe(axis_order="xyz")


# --- What is accepted -----------------------------------------------------------------------------------------------


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


def test_integers_become_floats_and_lists_become_tuples():
    spacing = Recipe(target_spacing=[3, 1, 1]).target_spacing
    assert spacing == (3.0, 1.0, 1.0)
    assert [type(value) for value in spacing] == [float] * 3


@pytest.mark.parametrize(("order", "orders"), [(1, (1, 1, 1)), ((0, 3, 3), (0, 3, 3))])
def test_orders(order, orders):
    assert Recipe(order=order).orders == orders


# --- What is refused ------------------------------------------------------------------------------------------------

REFUSED_VALUES = [
    ("grid: foo", ["line 1", "grid", "monai, nnunet or itk", "'foo'"]),
    ("\n\ngrid: $1+1", ["line 3", "'$1+1'"]),
    ("order: '3'", ["order", "remove the quotes around 3"]),
    ("order: 3.0", ["order", "an integer 0 to 3", "3.0"]),
    ("order: 4", ["order", "an integer 0 to 3"]),
    ("order: -1", ["order", "an integer 0 to 3"]),
    ("order: true", ["order", "True"]),
    ("order: [3, 3]", ["order", "three of them [z, y, x]"]),
    ("order: [3, 3, true]", ["order", "True"]),
    ("order: 1e0", ["order", "write 1.0e+0"]),
    ("clip: 1", ["clip", "true or false"]),
    ("clip: 'true'", ["clip", "true or false"]),
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
        ["normalization.foreground", "carried, resampled, resampled_positive or native"],
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
    assert len(message) < 500 + len(str(path))
    assert time.process_time() - start < 1.5


def test_all_problems_are_in_one_message(write):
    with pytest.raises(RecipeError) as caught:
        load_recipe(write("order: 7\nclp: true\ngrid: q"), ["boundary=x"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "4 problems"
    found = {re.search(r"(line \d|--set boundary=x): '?(\w+)", line).groups() for line in lines[1:]}
    assert found == {("line 1", "order"), ("line 2", "clp"), ("line 3", "grid"), ("--set boundary=x", "boundary")}


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
        ("grid=foo", ["--set grid=foo", "monai, nnunet or itk"]),
        ("grid=", ["grid", "not None"]),
        ("grid.x=1", ["--set grid.x=1", "grid: must be"]),
        ("normalization.foo=1", ["--set normalization.foo=1", "did you mean normalization.foreground?"]),
        (
            "normalization.foreground.x=1",
            ["normalization.foreground", "carried, resampled, resampled_positive or native"],
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


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Recipe(order=7), "recipe: order: must be an integer 0 to 3"),
        (lambda: Recipe(gird="monai"), "'gird' is not a key of the recipe; did you mean grid"),
        (lambda: Recipe(normalization={"foreground": "x"}), "normalization.foreground: must be"),
        (lambda: Recipe.model_validate(3), "must be a mapping"),
        (lambda: Recipe.model_validate({1: 2}), "'1' is not a key"),
    ],
)
def test_python_gets_the_same_error(make, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        make()


def test_frozen():
    recipe = Recipe()
    with pytest.raises(ValueError, match="frozen"):
        recipe.order = 1
    with pytest.raises(ValueError, match="frozen"):
        recipe.normalization.foreground = "native"


# --- Presets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def half_pixel(monkeypatch):
    """A preset that sets a key and a key of a section."""
    preset = {"grid": "nnunet", "clip": True, "normalization": {"foreground": "native"}}
    monkeypatch.setattr(presets, "PRESETS", {"default": {}, "half_pixel": preset})
    monkeypatch.setattr(model, "PRESETS", presets.PRESETS)
    return preset


def test_a_preset_sets_keys_and_the_users_keys_win(half_pixel, write):
    expected = {"preset": "half_pixel", "clip": False, "grid": "nnunet", "normalization": {"foreground": "carried"}}
    text = "preset: half_pixel\nclip: false\nnormalization: {foreground: carried}"
    assert Recipe(preset="half_pixel").as_dict() == Recipe(**half_pixel).as_dict() | {"preset": "half_pixel"}
    assert load_recipe(write(text)).as_dict() == Recipe(**expected).as_dict()
    assert load_recipe(write(text)) == Recipe(**expected)


@pytest.mark.parametrize("order", [1, -1])
def test_a_preset_and_keys_may_be_set_in_any_order(half_pixel, order):
    settings = ["preset=half_pixel", "clip=false", "normalization.foreground=resampled"]
    recipe = load_recipe(overrides=settings[::order])
    assert (recipe.grid, recipe.clip, recipe.normalization.foreground) == ("nnunet", False, "resampled")


def test_a_preset_fills_a_section_made_in_python(half_pixel):
    assert Recipe(preset="half_pixel", normalization=Normalization()).normalization.foreground == "native"
    given = Normalization(foreground="carried")  # its default, but set
    assert Recipe(preset="half_pixel", normalization=given).normalization.foreground == "carried"


@pytest.mark.parametrize("changed", [{}, {"clip": False}, {"normalization": {"foreground": "carried"}}])
def test_a_recipe_under_a_preset_round_trips(half_pixel, changed):
    recipe = Recipe(preset="half_pixel", **changed)
    assert Recipe.model_validate(json.loads(json.dumps(recipe.as_dict()))) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_the_fingerprint_is_that_of_the_keys_whoever_set_them(half_pixel):
    assert Recipe(preset="half_pixel").fingerprint() == Recipe(**half_pixel).fingerprint()
    assert Recipe(preset="half_pixel").fingerprint() != Recipe().fingerprint()
    reverted = Recipe(preset="half_pixel", grid="monai", clip=False, normalization={"foreground": "carried"})
    assert reverted.fingerprint() == Recipe().fingerprint()


def test_what_is_wrong_beside_a_preset_is_said_of_the_users_key(half_pixel, write):
    with pytest.raises(RecipeError, match=r"line 2: normalization: must be a section .* not 'native'"):
        load_recipe(write("preset: half_pixel\nnormalization: native"))


def test_panther2025_sets_these_keys():
    changed = {
        "preset": "panther2025",
        "grid": "itk",
        "boundary": "mirror",
        "normalization": {"foreground": "resampled_positive", "epsilon": 1e-6},
    }
    assert Recipe(preset="panther2025").as_dict() == Recipe().as_dict() | changed
    assert load_recipe(overrides=["normalization.epsilon=0.0", "preset=panther2025"]).normalization == Normalization(
        foreground="resampled_positive", epsilon=0.0
    )


def test_presets_are_frozen():
    for mapping in (presets.PRESETS, *presets.PRESETS.values(), presets.PRESETS["panther2025"]["normalization"]):
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping["grid"] = "monai"


# --- As data --------------------------------------------------------------------------------------------------------

OTHER = {
    "preset": "default",
    "pattern": "(?P<case>a)",
    "statistics": "table.csv",
    "statistics_row": 1,
    "axis_order": "xyz",
    "target_rule": "nnunet",
    "target_spacing": (3.0, 1.0, 1.0),
    "geometry": "resample_label",
    "orientation": "RAS",
    "crop": "nonzero",
    "crop_margin": 2.5,
    "grid": "nnunet",
    "boundary": "mirror",
    "order": (0, 3, 3),
    "clip": True,
    "normalization": {"foreground": "native"},
    "steps": ({"step": "doubling", "times": 3},),
}


@register
class Doubling(NamedSettings):
    """Stands for a step: a recipe only needs its name and its settings."""

    name = "doubling"
    times: int = 2


def test_round_trips():
    recipe = Recipe(**OTHER)
    assert Recipe.model_validate(json.loads(json.dumps(recipe.as_dict()))) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert hash(recipe) == hash(Recipe(**OTHER))


def test_repr_states_order_and_unit():
    text = repr(Recipe(target_spacing=(3, 1, 1)))
    assert "target_spacing=(3.0, 1.0, 1.0)" in text
    assert text.endswith("# triples in z, y, x; spacing in mm")
    assert eval(text) == Recipe(target_spacing=(3, 1, 1))


@pytest.mark.parametrize("key", Recipe.model_fields)
def test_fingerprint_covers_what_decides_the_voxels(key):
    changed = Recipe(**{key: OTHER[key]}).fingerprint() != Recipe().fingerprint()
    about_files = {"preset", "pattern", "statistics", "statistics_row", "axis_order", "target_rule", "target_spacing"}
    assert changed == (key not in about_files)


def test_a_younger_key_enters_the_fingerprint_where_it_differs_from_its_default():
    assert Recipe(normalization={"epsilon": 0.0}).fingerprint() == Recipe().fingerprint()
    assert Recipe(normalization={"epsilon": 1e-6}).fingerprint() != Recipe().fingerprint()


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR", "PIL"])
def test_orientations(codes):
    assert Recipe(orientation=codes).orientation == codes


@pytest.mark.parametrize("codes", ["ras", "RAX", "RLS", "RA", "RASS", ""])
def test_what_is_no_orientation_is_refused(codes):
    with pytest.raises(RecipeError, match="is no orientation; it must be keep, or three letters"):
        Recipe(orientation=codes)


def test_a_default_recipe_has_the_fingerprint_of_version_0_1_0():
    assert Recipe(order=(3, 3, 3)).fingerprint() == Recipe().fingerprint()
    assert Recipe().fingerprint() == "8779050f388240d86512fbb5d9a5ecdcd7f7ec6b843508dcfbff591f1ed2cc5e"


def test_import_is_light():
    code = "import sys, monai_mriprep.recipe; print({'torch', 'monai', 'numpy', 'itk'} & set(sys.modules) or 'light')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "light"
