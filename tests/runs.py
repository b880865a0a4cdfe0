"""Runs for the tests of `run/` and the stress tests: small datasets, and what a run left behind."""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
import zipfile
from pathlib import Path

import numpy as np

from monai_mriprep.formats.sealed import seal
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Case, Job
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.record_lines import append_lines
from monai_mriprep.store.records import Done, Record, read_record
from monai_mriprep.store.store import open_store

ROLE_FOLDERS = {"image": "imagesTr", "label": "labelsTr"}
FOLDER_OF_0_1_0 = Path(__file__).parent / "folder_of_0_1_0"
OUTPUT_FOLDERS = tuple(ROLE_FOLDERS.values())


def write_case(root: Path, name: str, shape=(4, 8, 9), spacing=(3.0, 1.0, 1.0), seed: int = 0) -> None:
    """One pair of `root/ImagesTr` and `root/LabelsTr`: noise in a frame of zeros, and three labels."""
    rng = np.random.default_rng(seed)
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    image = rng.integers(1, 900, shape, np.int16)
    image[:, :2] = 0
    write_metaimage(root / "ImagesTr" / f"{name}.mha", image, spacing)
    write_metaimage(root / "LabelsTr" / f"{name}.mha", rng.integers(0, 3, shape, np.int16), spacing)


def write_cases(root: Path, count: int, shape=(4, 8, 9), spacing=(3.0, 1.0, 1.0)) -> Path:
    """`count` pairs, ``case_0`` and so on."""
    for index in range(count):
        write_case(root, f"case_{index}", shape, spacing, seed=index)
    return root


def write_troubled_cases(root: Path) -> Path:
    """Three pairs, the label of one with negative voxels, the image of another cut short; and an image alone."""
    write_cases(root, 3)
    label = np.full((4, 8, 9), -1, np.int16)
    write_metaimage(root / "LabelsTr" / "case_1.mha", label, (3.0, 1.0, 1.0))
    cut_short = root / "ImagesTr" / "case_2.mha"
    cut_short.write_bytes(cut_short.read_bytes()[:-20])
    write_metaimage(root / "ImagesTr" / "lonely.mha", label, (3.0, 1.0, 1.0))
    return root


def job_of(output: Path, target=(3.0, 1.0, 1.0)) -> Job:
    """A run's job, with the folders that a session makes."""
    job = Job(Recipe(), target, output)
    for folder in (output, output / ".partial", *(output / name for name in OUTPUT_FOLDERS)):
        folder.mkdir(parents=True, exist_ok=True)
    return job


def case_of(root: Path, name: str, memory_bytes: int = 0) -> Case:
    """A case of `write_case`."""
    sources = (root / folder / f"{name}.mha" for folder in ("ImagesTr", "LabelsTr"))
    return case_from(name, *sources, memory_bytes)


def case_from(name: str, image: Path, label: Path, *costs: int) -> Case:
    """A case of these two files; `costs` are its bytes and voxels."""
    outputs = {role: f"{folder}/{name}.npz" for role, folder in ROLE_FOLDERS.items()}
    return Case(name, {"image": (image,), "label": (label,)}, outputs, *costs)


def done_line(name: str = "a", **changes) -> dict:
    """The line of a finished case, as version 0.1.0 wrote it: turned, 2 mm to 1 mm along z; with other values."""
    source = {"shape": [3, 4, 5], "affine": [[0, 0, -1, 0], [0, -1, 0, 0], [2, 0, 0, 7], [0, 0, 0, 1]]}
    target = {"shape": [5, 4, 5], "affine": [[0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 7], [0, 0, 0, 1]]}
    files = {role: {"size": 9, "mtime_ns": 1, "sha256": "0" * 64} for role in ROLE_FOLDERS}
    line = {
        "event": "done",
        "case": name,
        "error": None,
        "warnings": [],
        "fingerprint": "f",
        "sources": {role: {"path": f"/data/{name}_{role}.nii.gz", **file} for role, file in files.items()},
        "outputs": {
            role: {"path": f"{ROLE_FOLDERS[role]}/{name}.npz", **file, "crc32": 5} for role, file in files.items()
        },
        "source_grid": {**source, "spacing": [2.0, 1.0, 1.0]},
        "target_grid": {**target, "spacing": [1.0, 1.0, 1.0]},
        "spacing": [1.0, 1.0, 1.0],
        "foreground": {"mean": 1.5, "std": 0.5, "voxels": 100},
        "labels": {"before": {"0": 52, "2": 8}, "after": {"0": 90, "2": 10}},
        "seconds": {"load": 0.25, "write": 0.5},
        "peak_mib": 400.5,
        "time": 1700000000.0,
    }
    return line | changes


def record_of(line: dict) -> Record:
    """What is read of a line."""
    return read_record(json.dumps(line))


def append_record(output: Path, line: dict) -> None:
    """Add a line to the manifest, sealed as a run does it; with the time of now, if it has none."""
    with open_store(output) as store:
        append_lines(store.root, [seal({**line, "time": line.get("time", time.time())})])


def done_records(output: Path) -> dict[str, Done]:
    """The last record of success of each case."""
    with open_store(output) as store:
        return {record.case: record for record in read_index(store.root).all_done()}


def left_over(output: Path) -> list[str]:
    """What is still in the folder of temporary files."""
    return sorted(str(path.relative_to(output / ".partial")) for path in (output / ".partial").rglob("*"))


def image_of(case: Case) -> Path:
    """The source of its image."""
    (path,) = case.sources["image"]
    return path


def outputs(output: Path) -> dict[str, str]:
    """Every file of the two output folders, with the hash of its bytes."""
    files = (path for folder in OUTPUT_FOLDERS for path in (output / folder).iterdir())
    return {f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def counts(text: str) -> dict[str, int]:
    """What the table at the end of a run counts, warnings apart."""
    rows = re.findall(r"^(done|already done|failed|no partner|excluded|retired) +(\d+)", text, re.MULTILINE)
    return {heading: int(count) for heading, count in rows}


def assert_complete(content: bytes) -> None:
    """An archive whose entries pass their checksums, with exactly the two arrays of the format."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["arr_0", "spacing"]
        assert arrays["arr_0"].ndim == 4


def events(output: Path) -> list[dict]:
    """Lines of the manifest that are whole, about a case; without their seal."""
    found, path = [], output / "manifest.jsonl"
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            facts = json.loads(line)
        except ValueError:
            continue
        found.append({key: value for key, value in facts.items() if key not in ("version", "digest")})
    return [facts for facts in found if "case" in facts]


def events_of(output: Path, kind: str) -> list[str]:
    """Names of the cases with an event of this kind, in order, once for each event."""
    return [event["case"] for event in events(output) if event["event"] == kind]


def errors_of(output: Path) -> dict[str, str]:
    """The cases whose last event is a failure, with its message."""
    last = {event["case"]: event for event in events(output)}
    return {name: event["error"] for name, event in last.items() if event["event"] == "failed"}


def broken(*_: object) -> None:
    """In place of a method of a step that does not work."""
    msg = "no luck"
    raise RuntimeError(msg)
