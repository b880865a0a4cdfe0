"""The output folder of a released version, for the tests: ``tests/folder_of_0_2_0/out`` and the like.

The version is checked out and preprocesses the two scans of ``tests/folder_of_0_1_0/scans``. They are copied to
``/data/scans``, which is the path that every such folder records, and have the times that 0.1.0 recorded.

usage, from the repository's root, by root, where there is no /data:
.venv/bin/python -m benchmarks.released_folder 0.2.0 [REVISION]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, BenchmarkError, finish, launch
from benchmarks.release import RELEASE, Version, check_out, this_version

REVISIONS = {
    "0.1.0": RELEASE,
    "0.2.0": "d130ae6",
    "0.3.0": "cdef8ad",
    "0.4.0": "a1e315e",
    "0.5.0": "640c8dc",
    "0.6.0": "de9beed",
    "0.7.0": "36f3fde",
    "0.8.0": "ccc6e1c",
}
"""The commits that were released; without one, the code that stands here is run."""

FIRST = ROOT / "tests" / "folder_of_0_1_0"
RECORDED = Path("/data/scans")
NOT_KEPT = (".lock", ".partial", "report.html")


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", help="its number, such as 0.2.0")
    parser.add_argument("revision", nargs="?", help="by default the one that was released")
    options = parser.parse_args()
    try:
        print(make(options.version, options.revision or REVISIONS.get(options.version)))
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def make(number: str, revision: str | None) -> Path:
    """Run the version, and keep what it has made; returns where.

    Raises
    ------
    BenchmarkError
        If that cannot be done.
    """
    kept = ROOT / "tests" / f"folder_of_{number.replace('.', '_')}" / "out"
    if kept.exists() or RECORDED.parent.exists():
        msg = f"remove {kept} and {RECORDED.parent} first"
        raise BenchmarkError(msg)
    with tempfile.TemporaryDirectory(prefix="mriprep-release-") as folder:
        work = Path(folder)
        version = this_version() if revision is None else check_out(revision, work / "release")
        if revision is not None:
            _name(version, number)
        _run(version, work)
        shutil.copytree(work / "out", kept, ignore=shutil.ignore_patterns(*NOT_KEPT))
    return kept


def _name(version: Version, number: str) -> None:
    """What an installation would say of its version; records name it."""
    facts = version.root / f"monai_mriprep-{number}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: monai-mriprep\nVersion: {number}\n")


def _run(version: Version, work: Path) -> None:
    shutil.copytree(FIRST / "scans", RECORDED)
    try:
        for file in _recorded_files():
            os.utime(file["path"], ns=(file["mtime_ns"], file["mtime_ns"]))
        argv = version.command("run", str(RECORDED), str(work / "out"), "--workers", "0")
        start, process = launch(argv, work / "run.log", version.environment, version.root)
        finish(argv, work / "run.log", start, process)
    finally:
        shutil.rmtree(RECORDED.parent)


def _recorded_files() -> Iterator[Mapping[str, Any]]:
    """Every source file with its time, from the records of 0.1.0."""
    for line in (FIRST / "out" / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        for source in json.loads(line).get("sources", {}).values():
            yield from filter(None, (source, source.get("data")))


if __name__ == "__main__":
    sys.exit(main())
