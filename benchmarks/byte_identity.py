"""Whether the default recipe's files still hold the arrays that version 0.1.0 gave them, byte for byte.

Both versions preprocess the same datasets with no, one and two workers. Of every ``.npz`` the entries are compared:
their names, sizes and checksums. The archive's comment is left out, for it says more than it did. The whole files of
this version must have the same bytes with any number of workers.
Exit status: 0 if all are equal, 1 if not, 2 if a version could not be run.

usage, from the repository's root: .venv/bin/python -m benchmarks.byte_identity [--revision REVISION] [DATASET ...]
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT, BenchmarkError, finish, launch, progress
from benchmarks.release import RELEASE, Version, check_out, this_version

REAL_SCANS = ROOT / "../shared/data"
WORKERS = (0, 1, 2)
FINISHED = (0, 1)
"""Exit statuses of a run that has come to its end; 1 says that something needs attention."""
HEADINGS = ("dataset", "workers", "files", "bytes", "arrays of both versions", "bytes of this version")

MAKE_DEMO = """
import pathlib, sys
from monai_mriprep.demo.phantoms import make_demo_dataset
make_demo_dataset(pathlib.Path(sys.argv[1]))
"""


@dataclass(frozen=True)
class Comparison:
    """The files of one dataset, made with one number of workers by both versions.

    Parameters
    ----------
    dataset, workers
        Of what, and with how many.
    files, size
        How many, and their bytes, as this version writes them.
    different
        Those whose arrays are not those of the other version.
    unsteady
        Those whose bytes are not those that this version gave with the first number of workers.
    """

    dataset: str
    workers: int
    files: int
    size: int
    different: tuple[str, ...]
    unsteady: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """What the table shows."""
        verdicts = (f"DIFFERENT: {', '.join(names)}" if names else "equal" for names in (self.different, self.unsteady))
        return self.dataset, str(self.workers), str(self.files), f"{self.size:,}", *verdicts


def main() -> int:
    """See the module."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="mriprep-bytes-") as folder:
        try:
            comparisons = list(_compare_all(options.datasets, options.revision, Path(folder)))
        except BenchmarkError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    _print(comparisons)
    return int(any(comparison.different or comparison.unsteady for comparison in comparisons))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path, nargs="*", help="by default the demo's and, where they are, real scans")
    parser.add_argument("--revision", default=RELEASE, help=f"what to compare with; by default {RELEASE}, 0.1.0")
    return parser.parse_args()


def _compare_all(datasets: Sequence[Path], revision: str, work: Path) -> Iterator[Comparison]:
    versions = this_version(), check_out(revision, work / "release")
    for dataset in datasets or _default_datasets(versions[0], work):
        first: dict[str, bytes] = {}
        for workers in WORKERS:
            progress(f"{dataset.name}, {workers} workers")
            ours, theirs = (_files(_run(version, dataset, workers, work)) for version in versions)
            first = first or ours
            arrays = ({name: _entries(content) for name, content in files.items()} for files in (ours, theirs))
            size = sum(map(len, ours.values()))
            yield Comparison(dataset.name, workers, len(ours), size, _different(*arrays), _different(ours, first))


def _default_datasets(version: Version, work: Path) -> list[Path]:
    """The demo's dataset, made anew, and the real scans where they are."""
    demo = work / "demo"
    _finished([sys.executable, "-c", MAKE_DEMO, str(demo)], version, work / "demo.log", (0,))
    real = [REAL_SCANS / name for name in ("mixed", "anisotropic")]
    for folder in real:
        if not folder.is_dir():
            progress(f"not compared, as it is not here: {folder}")
    return [demo, *(folder.resolve() for folder in real if folder.is_dir())]


def _run(version: Version, dataset: Path, workers: int, work: Path) -> Path:
    output = work / "outputs" / f"{version.root.name}-{dataset.name}-{workers}"
    argv = version.command("run", str(dataset), str(output), "--workers", str(workers))
    _finished(argv, version, work / "runs.log", FINISHED)
    return output


def _finished(argv: Sequence[str], version: Version, log: Path, allowed: Sequence[int]) -> None:
    start, process = launch(argv, log, version.environment, version.root)
    try:
        finish(argv, log, start, process)
    except BenchmarkError:
        if process.returncode not in allowed:
            raise


def _files(output: Path) -> dict[str, bytes]:
    """Every volume by folder and name."""
    paths = [path for folder in ("imagesTr", "labelsTr") for path in sorted((output / folder).glob("*"))]
    if not paths:
        msg = f"a run has made no file in {output}"
        raise BenchmarkError(msg)
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in paths}


def _entries(content: bytes) -> list[tuple[str, int, int]]:
    """Name, size and checksum of each array, as the archive's directory states them."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(info.filename, info.file_size, info.CRC) for info in archive.infolist()]


def _different(ours: Mapping[str, object], theirs: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name))


def _print(comparisons: Sequence[Comparison]) -> None:
    lines = [
        HEADINGS,
        *(c.cells for c in comparisons),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
