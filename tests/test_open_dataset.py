"""From a folder and a recipe to a training loop: what a run would do, and not one key of the recipe less."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset

from monai_mriprep import OpenedDataset, build_transforms, open_dataset, preprocess
from monai_mriprep.errors import DatasetError, MriprepError, MriprepWarning, PairingError, RecipeError, StatisticsError
from monai_mriprep.formats.npz import read_npz
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.model import all_keys
from monai_mriprep.run.check import check_dataset
from monai_mriprep.steps import Params, Step, register_step
from monai_mriprep.types import Role
from monai_mriprep.volume.geometry import Grid
from tests.runs import done_records
from tests.test_docs import ROOT, blocks_of, run_python


@register_step
class Squared(Step):
    """A step that the package does not know."""

    name: ClassVar[str] = "squared"

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        return volume.float() ** 2 if role.kind == "image" else volume


SPACINGS = {"10_01": (2.9, 0.9, 0.9), "10_02": (3.1, 1.1, 1.1), "11_01": (3.5, 1.0, 1.0)}
SHAPE = (9, 22, 20)
TABLES = {
    "mri_statistics.csv": "[3.1 1.0 1.0],[2.94 0.92 0.92]",
    "other.csv": "[2.5 1.2 1.2],[2.5 1.2 1.2]",
    "reversed.csv": "[1.0 1.0 3.1],[0.92 0.92 2.94]",
    "two_rows.csv": "[3.1 1.0 1.0],[2.94 0.92 0.92]\n[2.0 1.0 1.0],[2.0 1.0 1.0]",
}


def table(rows: str) -> str:
    return f"median_spacing,10th_percentile_spacing\n{rows}\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Three pairs of unlike spacings, the third with a label that is mirrored; an image alone; tables of every kind."""
    root = tmp_path_factory.mktemp("dataset")
    rng = np.random.default_rng(5)
    for name in ("ImagesTr", "LabelsTr"):
        (root / name).mkdir()
    for case, spacing in SPACINGS.items():
        image = rng.integers(1, 900, SHAPE).astype(np.int16)
        image[:, :6] = 0
        label = np.zeros(SHAPE, np.int16)
        label[2:7, 8:15, 5:16] = rng.integers(1, 3)
        mirrored = np.diag([1.0, 1.0, 1.0]) @ np.fliplr(np.eye(3))
        direction = mirrored * [1, -1, 1] if case == "11_01" else mirrored
        write_metaimage(root / "ImagesTr" / f"{case}_t2.mha", image, spacing, direction=mirrored)
        write_metaimage(root / "LabelsTr" / f"{case}_seg.mha", label, spacing, direction=direction)
    write_metaimage(root / "ImagesTr" / "lonely.mha", image, (3.0, 1.0, 1.0))
    for name, rows in TABLES.items():
        (root / name).write_text(table(rows))
    return root


# --- Every key of a recipe --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KeyCase:
    """A value of a key that changes something, and the recipe that it is compared with; `{root}` is the dataset."""

    value: Any
    base: dict[str, Any] = field(default_factory=dict)


EXACT = {"grid": "nnunet_exact", "target_spacing": (4.0, 0.9, 0.9)}
KEY_CASES = {
    "preset": KeyCase("panther2025"),
    "pattern": KeyCase(r"^(?P<case>10_\d+)"),
    "statistics": KeyCase("{root}/other.csv"),
    "statistics_row": KeyCase(1, {"statistics": "{root}/two_rows.csv", "statistics_row": 0}),
    "axis_order": KeyCase("xyz", {"statistics": "{root}/reversed.csv", "axis_order": "zyx"}),
    "orientation": KeyCase("LPS"),
    "transpose": KeyCase((1, 0, 2)),
    "crop": KeyCase("nonzero"),
    "crop_margin": KeyCase(3.0, {"crop": "nonzero"}),
    "channels": KeyCase(["t2"]),
    "steps": KeyCase([{"step": "squared"}]),
    "target_rule": KeyCase("nnunet"),
    "target_spacing": KeyCase((2.0, 1.5, 1.5)),
    "label_map": KeyCase({1: 2, 2: 1}),
    "geometry": KeyCase("resample_label"),
    "grid": KeyCase("nnunet"),
    "boundary": KeyCase("mirror"),
    "order": KeyCase((1, 3, 3)),
    "separate_axis": KeyCase("auto", EXACT),
    "separate_threshold": KeyCase(30.0, {**EXACT, "separate_axis": "auto"}),
    "clip": KeyCase(True),
    "label": KeyCase("linear", {**EXACT, "target_spacing": (1.3, 0.7, 0.7)}),
    "label_outside": KeyCase(-1, {"crop": "nonzero_filled", "crop_margin": 3.0}),
    "intensity": KeyCase("percentile"),
    "normalization.foreground": KeyCase("native"),
    "normalization.epsilon": KeyCase(5.0),
}


def recipe_of(root: Path, values: dict[str, Any]) -> Recipe:
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *sections, key = name.split(".")
        place = nested.setdefault(sections[0], {}) if sections else nested
        place[key] = value.format(root=root) if isinstance(value, str) else value
    return Recipe.model_validate(nested)


Outcome = dict[str, Any]
"""Of each case: its image's, its label's bytes, shapes and affines; or the message of its error."""


def computed(root: Path, recipe: Recipe) -> Outcome:
    opened = open_dataset(root, recipe)
    channel = "" if recipe.channels is None else f"_{recipe.channels[0]}"
    names = [Path(item["image"]).name.removesuffix(f"{channel}.mha") for item in opened.items]
    return {name: attempt(opened.transforms, item) for name, item in zip(names, opened.items, strict=True)}


def attempt(transforms: Callable[[Any], Any], item: dict[str, str]) -> Any:
    try:
        volumes = transforms(item)
    except RuntimeError as error:  # MONAI's, around ours
        return str(error.__cause__)
    return [
        (v.numpy().tobytes(), tuple(v.shape), v.affine.tolist(), v.meta["target_spacing"].tolist())
        for v in (volumes["image"], volumes["label"])
    ]


def written(root: Path, output: Path, recipe: Recipe) -> Outcome:
    summary = preprocess(root, output, recipe, workers=0)
    found: Outcome = {result.case: result.error for result in summary.failed}
    for record in done_records(output).values():
        volumes = [read_npz(output / file.path) for file in record.outputs.values()]
        found[record.case] = [
            (v.array.tobytes(), v.array.shape, v.affine.tolist(), v.spacing.tolist()) for v in volumes
        ]
    return found


def test_every_key_has_a_case():
    assert set(KEY_CASES) == set(all_keys())


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize("key", all_keys())
def test_every_key_changes_what_it_changes_in_a_run(key, root, tmp_path):
    case = KEY_CASES[key]
    before, after = (recipe_of(root, values) for values in (case.base, {**case.base, key: case.value}))
    opened = computed(root, after)
    assert opened == written(root, tmp_path / "out", after)
    assert any(isinstance(volumes, list) for volumes in opened.values())
    assert opened != computed(root, before)


@pytest.mark.filterwarnings("ignore:.*is skipped")
def test_the_default_recipe_fails_the_same_case_as_a_run(root, tmp_path):
    opened = computed(root, Recipe())
    assert opened == written(root, tmp_path / "out", Recipe())
    assert "image and label differ in" in opened["11_01_t2"]


# --- What it gives and what it says -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*is skipped")
def test_items_transforms_derivation(root):
    opened = open_dataset(root)
    assert isinstance(opened, OpenedDataset)
    items, transforms, derivation = opened
    folders = (root / "ImagesTr", root / "LabelsTr")
    assert items[0] == {"image": str(folders[0] / "10_01_t2.mha"), "label": str(folders[1] / "10_01_seg.mha")}
    assert derivation.spacing == (2.94, 1.0, 1.0)
    assert "z/x = 3.1 >= 3, anisotropic" in derivation.text
    assert len(derivation.warnings) == 1
    (batch,) = DataLoader(Dataset(items[:1], transforms), batch_size=1)
    assert batch["label"].shape == batch["image"].shape


@pytest.mark.filterwarnings("ignore:.*is skipped")
def test_what_follows_and_inference(root):
    opened = open_dataset(root, stage="inference", then=[lambda data: {**data, "seen": True}])
    found = opened.transforms({"image": opened.items[0]["image"]})
    assert set(found) == {"image", "seen"}


def test_what_is_skipped_is_warned_of_and_logged(root, caplog):
    with caplog.at_level(logging.INFO, "monai_mriprep"), pytest.warns(MriprepWarning, match="'lonely.mha' is skipped"):
        derivation = open_dataset(root).derivation
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [*derivation.warnings]
    assert derivation.text in caplog.text


def test_an_unreadable_case_is_named_and_raises_where_it_is_read(root, tmp_path):
    for name in ("ImagesTr", "LabelsTr"):
        (tmp_path / name).mkdir()
        for path in (root / name).glob("1*"):
            os.link(path, tmp_path / name / path.name)
    broken = tmp_path / "ImagesTr" / "10_01_t2.mha"
    broken.unlink()
    broken.write_bytes(b"ObjectType = Image\n")
    with pytest.warns(MriprepWarning) as caught:
        opened = open_dataset(tmp_path)
    assert any(str(broken) in str(w.message) and "raises when it is read" in str(w.message) for w in caught)
    assert len(opened.items) == 3
    assert str(broken) in attempt(opened.transforms, opened.items[0])


def emptied(root: Path) -> None:
    for path in (root / "LabelsTr").iterdir():
        path.unlink()


REFUSED = {
    "no folder": (lambda root: (root / "LabelsTr").rmdir(), DatasetError),
    "no pair": (lambda root: (root / "ImagesTr" / "a.mha").touch(), DatasetError),
    "two labels": (
        lambda root: [(root / f / n).touch() for f, n in (("ImagesTr", "1_2_a.mha"), *TWO_LABELS)],
        PairingError,
    ),
    "a table that is none": (lambda root: write_pair(root, "median_spacing\n"), StatisticsError),
    "a table of no spacings": (lambda root: write_pair(root, table("[3e-7 1e-7 1e-7],[3e-7 1e-7 1e-7]")), DatasetError),
    "a reversed table": (lambda root: write_pair(root, table("[1 1 3],[1 1 3]")), StatisticsError),
    "no header": (lambda root: write_pair(root, None, b"nonsense"), MriprepError),
}
TWO_LABELS = (("LabelsTr", "1_2_b.mha"), ("LabelsTr", "1_2_c.mha"))


def write_pair(root: Path, text: str | None, header: bytes | None = None) -> None:
    for name in ("ImagesTr", "LabelsTr"):
        write_metaimage(root / name / "case.mha", np.ones((4, 8, 8), np.int16), (3.0, 1.0, 1.0))
        if header is not None:
            (root / name / "case.mha").write_bytes(header)
    if text is not None:
        (root / "mri_statistics.csv").write_text(text)


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_run_refuses_is_refused_with_the_same_words(name, tmp_path):
    prepare, kind = REFUSED[name]
    for folder in ("ImagesTr", "LabelsTr"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    prepare(tmp_path / "data")
    with pytest.raises(kind) as of_run:
        preprocess(tmp_path / "data", tmp_path / "out", workers=0)
    with pytest.raises(kind) as of_loop:
        open_dataset(tmp_path / "data")
    assert str(of_loop.value) == str(of_run.value)


# --- The loop of README -----------------------------------------------------------------------------------------------


def test_the_loop_of_readme_refuses_a_reversed_table(root, tmp_path, monkeypatch):
    """The only published table of this kind is in x y z order; a loop that took it trained on 3 mm pixels."""
    page = ROOT / "README.md"
    (loop,) = (block for block in blocks_of(page) if "open_dataset" in block.text and block.language == "python")
    data = tmp_path / "DATASET_ROOT"
    data.mkdir()
    for name in ("ImagesTr", "LabelsTr"):
        (data / name).symlink_to(root / name)
    (data / "mri_statistics.csv").write_text((root / "reversed.csv").read_text())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StatisticsError, match=r"the table is in x y z order.*Set `axis_order: xyz`"):
        run_python(page, loop, {})


# --- build_transforms alone -------------------------------------------------------------------------------------------

NEEDS_FOLDER = {"pattern": "(?P<case>.+)", "statistics": "table.csv", "statistics_row": 1, "axis_order": "xyz"}


@pytest.mark.parametrize("key", NEEDS_FOLDER)
def test_build_transforms_names_the_keys_that_need_the_folder(key):
    with pytest.raises(RecipeError, match=rf"(?s)\b{key}\b.*open_dataset"):
        build_transforms(Recipe(**{key: NEEDS_FOLDER[key]}))


def test_build_transforms_takes_a_target_that_replaces_them():
    recipe = Recipe(**{key: NEEDS_FOLDER[key] for key in ("statistics", "statistics_row", "axis_order")})
    build_transforms(recipe, target=(3, 1, 1))


def test_build_transforms_does_not_pair_and_says_so():
    recipe = Recipe(target_spacing=(3.0, 1.0, 1.0), pattern="(?P<case>.+)")
    with pytest.warns(MriprepWarning, match=r"pattern.*open_dataset"):
        build_transforms(recipe)
    build_transforms(recipe, stage="inference")
    build_transforms(recipe, target=(3, 1, 1))


@pytest.mark.parametrize("given", ["recipe.yaml", Path("recipe.yaml"), {"grid": "nnunet"}])
@pytest.mark.parametrize(
    "use", [open_dataset, check_dataset, lambda root, recipe: preprocess(root, root / "out", recipe)]
)
def test_a_path_or_a_mapping_in_place_of_a_recipe_is_named(root, use, given):
    with pytest.raises(RecipeError, match=r"must be a Recipe or None, not .*load_recipe reads one"):
        use(root, given)
    with pytest.raises(RecipeError, match="load_recipe reads one"):
        build_transforms(given, (3, 1, 1))
