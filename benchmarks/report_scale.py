"""How long a report takes, how large it is, and how quickly a browser shows and filters it, for many cases.

::

    python benchmarks/report_scale.py 300 1000 10000

makes output folders of so many cases, with records and pictures and no voxels, and measures `report` on each: seconds
and milliseconds a case, its size, the highest memory; and where playwright and Chromium are there, the first paint,
until the page is loaded, and a filter. Pictures are noise of 40 KiB, the largest that there are.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from monai_mriprep.formats.sealed import seal
from monai_mriprep.measures.model import BINS, PERCENTILES
from monai_mriprep.recipe import Recipe
from monai_mriprep.report.html.write import write_report
from monai_mriprep.store.description import RunDescription, write_description
from monai_mriprep.store.pictures import picture_name
from monai_mriprep.store.store import make_store, open_store

PICTURE = 40 << 10
"""Bytes."""
CHROMIUM = "/usr/bin/chromium"


def make_folder(root: Path, cases: int, seed: int = 0) -> None:
    """An output folder of `cases` cases: every fiftieth failed, every twentieth with a warning, each with a picture."""
    rng = np.random.default_rng(seed)
    make_store(root)
    with open_store(root) as store:
        store.prepare()
        write_description(store, describe())
        store.leave()
    (root / ".report").mkdir(exist_ok=True)
    pictures = [picture(rng) for _ in range(8)]
    with (root / "manifest.jsonl").open("w") as file:
        opened = {"dataset_root": "/data/scans", "pattern": None, "cases": cases, "warnings": [], "versions": VERSIONS}
        file.write(seal({"event": "opened", **opened, "time": 1.79e9}) + "\n")
        for number in range(cases):
            record = failed(number, rng) if number % 50 == 49 else done(number, rng)
            file.write(seal({**record, "time": 1.79e9 + number}) + "\n")
            (root / ".report" / picture_name(record["case"])).write_bytes(pictures[number % len(pictures)])


VERSIONS = {"python": "3.11.7", "monai-mriprep": "0.6.0", "monai": "1.6.1", "torch": "2.13.0", "numpy": "2.4.6"}


def describe() -> RunDescription:
    """The content of ``run.json``."""
    return RunDescription(
        dataset_root="/data/scans",
        recipe=Recipe().as_dict(),
        target_spacing=(3.0, 0.8, 0.8),
        derivation="target spacing (3, 0.8, 0.8) mm (z y x): median (3.3, 0.8, 0.8), from headers",
        fingerprint="0123456789abcdef",
        algorithm_version=1,
        versions=VERSIONS,
        statistics="computed",
    )


def done(number: int, rng: np.random.Generator) -> dict:
    """The record of a case with three classes."""
    name = f"patient_{number:05}_0001_t2w_axial"
    spacing = np.array([3.3, 0.8, 0.8]) * rng.lognormal(0, 0.1, 3)
    shape = rng.integers([30, 200, 200], [60, 512, 512])
    before = {"0": 10**6, **{str(value): int(rng.lognormal(9, 0.4)) for value in (1, 2, 3)}}
    volume = float(np.prod(spacing) / np.prod([3.0, 0.8, 0.8]))
    return {
        "event": "done",
        "case": name,
        "error": None,
        "warnings": ["2 voxels of the label were negative and became 0"] if number % 20 == 0 else [],
        "fingerprint": "0123456789abcdef",
        "sources": {role: source(name) for role in ("image", "label")},
        "outputs": {role: output(role, name) for role in ("image", "label")},
        "source_grid": grid(shape, spacing),
        "target_grid": grid(np.ceil(shape * spacing / [3.0, 0.8, 0.8]).astype(int), np.array([3.0, 0.8, 0.8])),
        "spacing": [3.0, 0.8, 0.8],
        "foreground": {"mean": float(rng.normal(400, 40)), "std": float(rng.normal(120, 9)), "voxels": 10**6},
        "labels": {"before": before, "after": {value: round(count * volume) for value, count in before.items()}},
        "measures": {"image": [intensities(rng)], "label": label(rng)},
        "seconds": {"load": 0.4, "write": 0.6},
        "peak_mib": 800.0,
    }


def failed(number: int, rng: np.random.Generator) -> dict:
    """The record of a case that could not be preprocessed."""
    name = f"patient_{number:05}_0001_t2w_axial"
    error = (
        f"{name}: image and label do not lie on the same grid\n  image: size (40, 320, 320)\n  label: size (41, 320)"
    )
    measures = {"image": [intensities(rng)], "label": label(rng)}
    where = grid(np.array([40, 320, 320]), np.array([3.3, 0.8, 0.8]))
    return {"event": "failed", "case": name, "error": error, "warnings": [], "source_grid": where, "measures": measures}


def intensities(rng: np.random.Generator) -> dict:
    """Measures of an image."""
    values = rng.gamma(4, 100, 4000) * rng.lognormal(0, 0.1)
    low, *_, high = percentiles = np.percentile(values, PERCENTILES).tolist()
    counts = np.histogram(values, BINS, (low, high))[0].tolist()
    return {"percentiles": percentiles, "histogram": counts, "thumbnail": thumbnail(rng)}


def thumbnail(rng: np.random.Generator) -> str:
    """Noise: no two scans are alike."""
    import base64

    return base64.b64encode(rng.bytes(512)).decode()


def label(rng: np.random.Generator) -> dict:
    """Measures of a label."""
    centre = rng.normal(0, 10, 3).tolist()
    return {"components": {"1": 1, "2": 1, "3": 2}, "touches": [], "outside": 0.0, "centre": centre}


def grid(shape: np.ndarray, spacing: np.ndarray) -> dict:
    """A grid as it is recorded."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing
    affine[3, 3] = 1
    return {"shape": shape.tolist(), "affine": affine.tolist()}


def source(name: str) -> dict:
    """A file that was read."""
    return {"path": f"/data/scans/{name}.nii.gz", "size": 10**7, "mtime_ns": 1, "sha256": "0" * 64, "reader": "nifti"}


def output(role: str, name: str) -> dict:
    """A file that was written."""
    return {"path": f"{role}sTr/{name}.npz", "size": 10**7, "mtime_ns": 1, "sha256": "0" * 64, "crc32": 1}


def picture(rng: np.random.Generator) -> bytes:
    """A picture of nearly 40 KiB."""
    noise = Image.fromarray(rng.integers(0, 255, (48, 96), np.uint8)).resize((840, 420)).convert("RGB")
    contents = (encoded(noise, quality) for quality in range(95, 5, -5))
    return next(content for content in contents if len(content) <= PICTURE)


def encoded(image: Image.Image, quality: int) -> bytes:
    """As WebP."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=quality)
    return file.getvalue()


def measure(cases: int, keep: Path | None) -> dict:
    """Everything about a report on so many cases."""
    root = (keep or Path(tempfile.mkdtemp())) / f"report_of_{cases}"
    shutil.rmtree(root, ignore_errors=True)
    make_folder(root, cases)
    start = time.perf_counter()
    page = write_report(root)
    seconds = time.perf_counter() - start
    files = [root / "report.html", *sorted((root / "report").glob("*.html"))]
    found = {
        "cases": cases,
        "seconds": round(seconds, 2),
        "ms_a_case": round(1000 * seconds / cases, 2),
        "megabytes": round(sum(file.stat().st_size for file in files) / 1e6, 1),
        "front_megabytes": round(files[0].stat().st_size / 1e6, 1),
        "files": len(files),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "suspects": sum(bool(case.reasons) for case in page.cases),
        "in_browser": {file.name: in_browser(file) for file in files[:2]},
    }
    if keep is None:
        shutil.rmtree(root.parent)
    return found


def in_browser(file: Path) -> dict | None:
    """First paint, loaded, and filters, in ms; None without a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if not Path(CHROMIUM).exists():
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(file.as_uri())
        page.wait_for_timeout(500)
        found = {key: round(value) for key, value in page.evaluate(TIMES).items()}
        found |= {
            f"filter_{kind}": round(page.evaluate(FILTER, kind)) for kind in ("suspect", "failed", "warning", "all")
        }
        found["filter_text"] = round(page.evaluate(SEARCH, "00012"))
        browser.close()
    return found


TIMES = """() => ({
  first_paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1,
  loaded: performance.getEntriesByType("navigation")[0].loadEventEnd,
})"""
PAINTED = "await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));"
FILTER = f"""async (kind) => {{
  const start = performance.now();
  document.querySelector(`.controls [value=${{kind}}]`).click();
  {PAINTED}
  return performance.now() - start;
}}"""
SEARCH = f"""async (text) => {{
  const start = performance.now();
  const field = document.querySelector(".controls [name=text]");
  field.value = text;
  field.dispatchEvent(new Event("input", {{ bubbles: true }}));
  {PAINTED}
  return performance.now() - start;
}}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", type=int, nargs="*", default=[300, 1000, 10_000])
    parser.add_argument("--keep", type=Path, help="a folder that the output folders are left in")
    given = parser.parse_args()
    for cases in given.cases:
        json.dump(measure(cases, given.keep), sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
