"""Damaged and lying input through the real code: no hang, no crash, and every refusal one of our errors.

The corpora are made here from honest files; `SEED` and the index of a mutant make it again.
"""

from __future__ import annotations

import io
import resource
import time
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isal import isal_zlib

from monai_mriprep.dataset.statistics import SpacingStatistics
from monai_mriprep.dataset.target_rules import derive_target
from monai_mriprep.errors import MriprepError, NpzError, RecipeError, StatisticsError
from monai_mriprep.formats.npz import NpzVolume, encode_npz, read_npz
from monai_mriprep.recipe import Recipe, load_recipe
from monai_mriprep.run.cases import output_paths
from monai_mriprep.run.memory import fits
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.process import process_case
from monai_mriprep.transforms import LoadNpzd
from tests.runs import job_of

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]

SEED = 4
MUTANTS = 1000
MEMORY = 1 << 30
SECONDS = 10.0
"""Processor time that a mutant may take; one that waits for ever is ended by the test's own limit."""
MANY = settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def limited_memory():
    """One GiB beyond what the process has now."""
    virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (virtual + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


# --- MetaImage --------------------------------------------------------------------------------------------------------

SHAPE = (4, 9, 8)
HEADER = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "1 2 3",
    "CenterOfRotation": "0 0 0",
    "ElementSpacing": "0.75 0.8 3.25",
    "DimSize": "8 9 4",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}
TYPES = {"MET_SHORT": "<i2", "MET_UCHAR": "u1", "MET_FLOAT": "<f4", "MET_DOUBLE": "<f8", "MET_USHORT": "<u2"}
NUMBERS = "0 1 -1 -0 2 3 8 0.001 1e-7 1e9 1e308 1e-308 nan inf -inf 65536 2147483648 4294967296 99999999999999999999 x"
WORDS = (
    *NUMBERS.split(),
    *TYPES,
    "True",
    "False",
    "LOCAL",
    "LIST",
    "/dev/zero",
    "../../etc/passwd",
    "other.raw",
    "MET_COMPLEX",
    "MET_LONG_LONG",
    "1 2 3 4",
    "0 0 0 0 0 0 0 0 0",
    "",
    "\0",
    "é",
)
KEYS = (*HEADER, "HeaderSize", "CompressedDataSize", "ElementNumberOfChannels", "ElementSize", "Position", "Rotation")


def honest(rng: np.random.Generator, label: bool) -> tuple[dict[str, str], bytes]:
    """Header and body of a file that is read without complaint."""
    kind = str(rng.choice(list(TYPES)))
    voxels = rng.integers(0, 3 if label else 200, SHAPE).astype(TYPES[kind]).tobytes()
    compressed = bool(rng.integers(2))
    header = HEADER | {"ElementType": kind, "CompressedData": str(compressed)}
    return header, zlib.compress(voxels) if compressed else voxels


def damage_header(rng: np.random.Generator, header: dict[str, str]) -> list[str]:
    """The lines of a header after one change to a number, a value, a key or the lines themselves."""
    lines = [f"{key} = {value}" for key, value in header.items()]
    index, kind = int(rng.integers(len(lines))), int(rng.integers(6))
    key, _, value = lines[index].partition(" = ")
    if kind == 0:
        tokens = value.split(" ")
        tokens[rng.integers(len(tokens))] = str(rng.choice(NUMBERS.split()))
        lines[index] = f"{key} = {' '.join(tokens)}"
    elif kind == 1:
        lines[index] = f"{key} = {rng.choice(WORDS)}"
    elif kind == 2:
        lines[index] = f"{rng.choice(KEYS)} = {value}"
    elif kind == 3:
        del lines[index]
    elif kind == 4:
        lines.insert(int(rng.integers(len(lines))), f"{rng.choice(KEYS)} = {rng.choice(WORDS)}")
    else:
        lines.insert(0, lines.pop(index))
    return lines


def damage_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """Flip, cut out, double, insert, overwrite or cut off."""
    start, length = int(rng.integers(len(content) + 1)), int(rng.integers(1, 40))
    head, middle, tail = content[:start], content[start : start + length], content[start + length :]
    noise = rng.bytes(length)
    flipped = bytes(byte ^ (1 << int(rng.integers(8))) for byte in middle[:1]) + middle[1:]
    return [
        head + flipped + tail,
        head + tail,
        head + middle + middle + tail,
        head + noise + middle + tail,
        head + noise + tail,
        head,
    ][rng.integers(6)]


def mutant(index: int) -> tuple[bytes, bytes]:
    """Image and label files, one of them damaged (both in every fifth)."""
    rng = np.random.default_rng([SEED, index])
    files = []
    victims = {0, 1} if index % 5 == 0 else {index % 2}
    for number in range(2):
        header, body = honest(rng, label=number == 1)
        lines = [f"{key} = {value}" for key, value in header.items()]
        if number in victims and rng.integers(3):
            for _ in range(rng.integers(1, 3)):
                lines = damage_header(rng, dict(line.partition(" = ")[::2] for line in lines))
        content = "\n".join(lines).encode() + b"\n" + body
        if number in victims and (rng.integers(3) == 0 or content == body):
            content = damage_bytes(rng, content)
        files.append(content)
    return files[0], files[1]


def preprocess_one(root: Path, output: Path) -> str:
    """A run's own path for one case: plan, memory estimate, work. Returns what became of it."""
    try:
        plan = plan_run(root, output, Recipe(target_spacing=(3.0, 1.0, 1.0)))
    except MriprepError as error:
        return type(error).__name__
    (case,) = plan.cases
    if not fits(case, MEMORY):
        return "too large"
    result = process_case(job_of(output), case)
    assert result.status == "done" or not result.error.startswith("unexpected"), result.facts["traceback"]
    assert "traceback" not in result.facts
    if result.status == "done":
        assert all(read_npz(path).array.size for path in output_paths(output, case).values())
    return result.status


def test_damaged_metaimages(tmp_path):
    root, outcomes, slowest = tmp_path / "dataset", Counter(), 0.0
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir(parents=True)
        (root / folder / "other.raw").write_bytes(bytes(4000))
    for index in range(MUTANTS):
        image, label = mutant(index)
        (root / "ImagesTr" / "a.mha").write_bytes(image)
        (root / "LabelsTr" / "a.mha").write_bytes(label)
        start = time.process_time()
        try:
            outcomes[preprocess_one(root, tmp_path / "out")] += 1
        except Exception as error:
            error.add_note(f"mutant {index} of seed {SEED}:\n{image[:400]!r}\n{label[:400]!r}")
            raise
        slowest = max(slowest, time.process_time() - start)
    assert slowest < SECONDS
    assert outcomes["failed"] > MUTANTS // 3, outcomes
    assert outcomes["done"] > MUTANTS // 20, outcomes
    print(f"\n{MUTANTS} mutants, the slowest {slowest:.2f} s: {outcomes}")  # noqa: T201


# --- Preprocessed files -----------------------------------------------------------------------------------------------


ROIS = (None, (slice(None),) * 3, (slice(1, 2), slice(2), slice(-2, None)))


def npz_corpus() -> list[bytes]:
    """Our own file, with and without its affine, in blocks, and numpy's."""
    rng = np.random.default_rng(SEED)
    array, spacing = rng.normal(size=(1, 3, 4, 5)).astype(np.float32), np.array([3.0, 1.0, 1.0])
    ours = [NpzVolume(array, spacing, affine) for affine in (np.diag([3.0, 1.0, 1.0, 1.0]), None)]
    stream = io.BytesIO()
    np.savez(stream, array, spacing=spacing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_mriprep.formats.blocks.WHOLE", 0)
        patch.setattr("monai_mriprep.formats.blocks.BLOCK", 1 << 8)
        in_blocks = b"".join(encode_npz(ours[0]))
    return [in_blocks, *(b"".join(encode_npz(volume)) for volume in ours), stream.getvalue()]


def test_damaged_npz(tmp_path):
    corpus, path, outcomes = npz_corpus(), tmp_path / "damaged.npz", Counter()
    for index in range(MUTANTS):
        rng = np.random.default_rng([SEED, index])
        content = corpus[index % len(corpus)]
        for _ in range(rng.integers(1, 4)):
            content = damage_bytes(rng, content)
        path.write_bytes(content)
        try:
            LoadNpzd(["image"], roi=ROIS[index % 3])({"image": str(path)})
            outcomes["read"] += 1
        except MriprepError as error:
            outcomes[type(error).__name__] += 1
        except Exception as error:
            error.add_note(f"mutant {index} of seed {SEED}: {content!r}")
            raise
    assert outcomes["NpzError"] > MUTANTS // 2, outcomes
    print(f"\n{outcomes}")  # noqa: T201


def test_bombs(tmp_path, monkeypatch):
    """Two GiB of zeros in two MiB: within what deflate can do, beyond what memory allows."""
    path, header = tmp_path / "bomb.npz", io.BytesIO()
    facts = {"descr": "<f4", "fortran_order": False, "shape": (1, 512, 1024, 1024)}
    np.lib.format.write_array_header_1_0(header, facts)
    monkeypatch.setattr(zipfile, "zlib", isal_zlib)  # sooner done
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("arr_0.npy", "w", force_zip64=True) as file:
            file.write(header.getvalue())
            for _ in range(2048):
                file.write(bytes(1 << 20))
        with archive.open("spacing.npy", "w") as file:
            np.save(file, np.ones(3))
    with pytest.raises(NpzError, match="memory"):
        LoadNpzd(["image"])({"image": str(path)})


# --- Tables and recipes -----------------------------------------------------------------------------------------------

TABLE = "median_spacing,10th_percentile_spacing\n[3.3 0.75 0.5],[3.0 0.5 0.25]\n"
RECIPE = "target_spacing: [3.0, 1.0, 1.0]\norder: 3\ngrid: monai\nnormalization:\n  foreground: native\n"
new_texts = st.text(max_size=5) | st.sampled_from(WORDS)
cuts = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 9), new_texts), max_size=4)


def edited(text: str, changes: list[tuple[int, int, str]]) -> bytes:
    for start, length, new in changes:
        text = text[:start] + new + text[start + length :]
    return text.encode("utf-8", "surrogatepass")


@MANY
@given(cuts)
def test_damaged_tables(tmp_path, changes):
    path = tmp_path / "table.csv"
    path.write_bytes(edited(TABLE, changes))
    try:
        derived = derive_target(SpacingStatistics.from_csv(path))
    except StatisticsError:
        return
    assert all(0 < value < np.inf for value in derived.spacing)


@MANY
@given(cuts)
def test_damaged_recipes(tmp_path, changes):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(edited(RECIPE, changes))
    try:
        recipe = load_recipe(path)
    except RecipeError:
        return
    assert Recipe.model_validate(recipe.as_dict()) == recipe


@pytest.mark.parametrize("value", ["1e-320", "1e-12", "1e300"])
@pytest.mark.parametrize("place", ["table", "recipe"])
def test_spacings_that_no_grid_can_have(tmp_path, value, place):
    """Numbers, positive and finite, but absurd: refused, or each case too large, never a crash."""
    for folder, content in zip(("ImagesTr", "LabelsTr"), mutant_free(), strict=True):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.mha").write_bytes(content)
    (tmp_path / "mri_statistics.csv").write_text(TABLE.replace("3.3 0.75 0.5", " ".join([value] * 3)))
    recipe = Recipe(target_spacing=(float(value),) * 3) if place == "recipe" else Recipe(axis_order="zyx")
    try:
        (case,) = plan_run(tmp_path, tmp_path / "out", recipe).cases
    except MriprepError:
        return
    assert not fits(case, MEMORY) or value == "1e300"


def mutant_free() -> list[bytes]:
    rng = np.random.default_rng(SEED)
    files = (honest(rng, label) for label in (False, True))
    return ["\n".join(f"{k} = {v}" for k, v in header.items()).encode() + b"\n" + body for header, body in files]
