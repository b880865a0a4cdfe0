"""The page on the format: a reader made of it alone reads real folders, and it names all that is written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from monai_mriprep import preprocess
from monai_mriprep.formats.comment import FIRST_LEFT_OUT, LARGEST
from monai_mriprep.formats.sealed import CHANNELS, FORMAT_VERSION
from monai_mriprep.recipe import Recipe
from monai_mriprep.store import description, layout, record_parts, records
from monai_mriprep.store.attempts import Attempt
from monai_mriprep.store.provenance import Provenance
from tests.runs import FOLDER_OF_0_1_0, done_records, write_case, write_cases
from tests.test_docs import ROOT, blocks_of

PAGE = ROOT / "docs" / "format.md"
TEXT = PAGE.read_text(encoding="utf-8")
RELEASED = {path.name: path / "out" for path in sorted(FOLDER_OF_0_1_0.parent.glob("folder_of_*"))}

READ = """
import json, sys
sys.path.insert(0, sys.argv[1])
from read_folder import done_cases, read_volume
root, found = sys.argv[2], {}
for case, record in done_cases(root).items():
    for role, file in record["outputs"].items():
        voxels, shape, spacing, comment = read_volume(f"{root}/{file['path']}")
        found[file["path"]] = [case, role, voxels.tolist(), shape, spacing, comment, record]
print(json.dumps(found))
"""


@pytest.fixture
def reader(tmp_path) -> Path:
    """The page's own module."""
    (block,) = (block for block in blocks_of(PAGE) if block.file_name == "read_folder.py")
    place = tmp_path / "reader"
    place.mkdir()
    (place / "read_folder.py").write_text(block.text, encoding="utf-8")
    return place


def read(reader: Path, root: Path) -> dict[str, list]:
    """What it reads, in a Python that sees nothing but the standard library."""
    argv = [sys.executable, "-I", "-S", "-c", READ, str(reader), str(root)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("format")
    recipe = Recipe(orientation="LPI", crop="nonzero", target_spacing=(2.0, 1.0, 0.8))
    preprocess(write_cases(root / "dataset", 3), root / "out", recipe, workers=0)
    return root / "out"


def assert_read(found: dict[str, list], out: Path) -> None:
    known = done_records(out)
    assert sorted(found) == sorted(file.path for record in known.values() for file in record.outputs.values())
    for path, (case, role, voxels, shape, spacing, comment, record) in found.items():
        with np.load(out / path) as arrays:
            assert arrays["arr_0"].shape == tuple(shape)
            assert arrays["arr_0"].ravel().tolist() == voxels
            assert arrays["spacing"].tolist() == spacing == list(known[case].spacing)
        assert comment["affine"] == known[case].target_grid.affine.tolist() == record["target_grid"]["affine"]
        assert record["outputs"][role]["path"] == path
        assert comment.get("trace", record.get("trace")) == known[case].recorded_trace


def test_a_reader_made_of_the_page_alone_reads_a_folder(reader, out):
    found = read(reader, out)
    assert len(found) == 6
    assert_read(found, out)
    assert {comment["role"] for *_, comment, _ in found.values()} == {"image", "label"}


@pytest.mark.parametrize("folder", RELEASED.values(), ids=RELEASED)
def test_it_reads_the_folders_of_released_versions(reader, folder):
    found = read(reader, folder)
    assert len(found) == 4
    assert_read(found, folder)


def test_it_reads_what_shards_have_done_before_it_is_merged(reader, tmp_path):
    dataset, out = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    recipe = Recipe(target_spacing=(2.0, 1.0, 0.8))
    for number in (2, 1, 2):  # the last one finds a source that has changed
        preprocess(dataset, out, recipe, workers=0, shard=f"{number}/2")
        write_case(dataset, "case_1", seed=9)
    assert json.loads((out / "run.json").read_text())["version"] == description.SHARED
    found = read(reader, out)
    assert len(found) == 6
    assert_read(found, out)


def test_it_notices_a_flipped_bit(reader, out, tmp_path):
    text = (out / "manifest.jsonl").read_bytes()
    (tmp_path / "manifest.jsonl").write_bytes(text.replace(b'"done", "case": "case_1"', b'"done", "case": "case_3"'))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import read_folder; print(*read_folder.done_cases(sys.argv[2]))"
    )
    argv = [sys.executable, "-I", "-S", "-c", code, str(reader), str(tmp_path)]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "case_0 case_2\n"


def models() -> list[type[BaseModel]]:
    found = [getattr(module, name) for module in (records, record_parts, description) for name in dir(module)]
    models = [one for one in found if isinstance(one, type) and issubclass(one, BaseModel)]
    return [*dict.fromkeys(models), Provenance]


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_the_page_names_every_key(model):
    named = set(re.findall(r"`(\w+)`", TEXT))
    assert {field.alias or name for name, field in model.model_fields.items()} <= named


def test_the_page_names_every_file_and_folder_and_the_current_version():
    for name in (*layout.FILES, *layout.FOLDERS, layout.RETIRED, layout.SET_ASIDE):
        assert name in TEXT
    table = TEXT.split("## 1.")[0]
    assert f"| {CHANNELS} | 0.5.0 |" in table
    assert f"| {description.SHARED} | 0.8.0 |" in table
    assert f"| {FORMAT_VERSION} | 0.9.0 |" in table
    assert f"| {description.VIRTUAL} | 0.9.0 |" in table
    assert Attempt.of("manifest.ATTEMPT.I-of-N.jsonl".replace("ATTEMPT", "0001").replace("I-of-N", "3-of-8"))
    assert f"{LARGEST:,} bytes" in TEXT
    first, *others = FIRST_LEFT_OUT
    assert ", then ".join([f"`{first}` is left out", *(f"`{name}`" for name in others)]) in TEXT


def test_the_page_names_every_step_and_its_settings(out):
    rows = {row.split("`")[1]: row for row in re.findall(r"^\| `.*$", TEXT.split("### 4.3")[1].split("## 5")[0], re.M)}
    for record in done_records(out).values():
        for step in record.recorded_trace["steps"]:
            row = rows[step["step"]]
            assert {f"`{name}`" for name in step if name not in ("step", "params")} <= set(re.findall(r"`\w+`", row))
