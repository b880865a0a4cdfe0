"""Memory of the main process for each case: in a run, and in a run that finds nothing to do.

Tiny cases, each on a grid of its own. A run of many and a run of few, each in a fresh process; the difference, divided
by that of the numbers of cases, is what a case costs. The highest resident memory (``VmHWM``) and that at the end
(``VmRSS``) are both told. Workers are not counted.

usage, from the repository's root: .venv/bin/python -m benchmarks.memory_per_case [--few 500] [--many 8000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measure import ROOT, BenchmarkError, progress
from monai_mriprep.formats.write import write_metaimage

BARS = {"run": 4.0, "nothing to do": 2.0}
"""KiB for each case, at the peak."""
SHAPE = (3, 8, 8)

CHILD = """
import sys
from pathlib import Path
from monai_mriprep.cli import main
try:
    main()
finally:
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    Path(sys.argv[2] + ".memory").write_text(" ".join(found[key].split()[0] for key in ("VmHWM", "VmRSS")))
"""


@dataclass(frozen=True)
class Resident:
    """Memory of a main process, in KiB: at its peak, and at its end."""

    peak: int
    end: int


def make_dataset(root: Path, cases: int) -> Path:
    """Pairs of a few voxels."""
    rng = np.random.default_rng(0)
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir(parents=True)
    for number in range(cases):
        spacing, name = tuple(rng.uniform((2.5, 0.9, 0.9), (3.5, 1.1, 1.1)).tolist()), f"{10001 + number}_0001"
        write_metaimage(root / f"ImagesTr/{name}_0000.mha", rng.integers(0, 900, SHAPE, np.int16), spacing)
        write_metaimage(root / f"LabelsTr/{name}.mha", rng.integers(0, 3, SHAPE, np.uint8), spacing)
    return root


def resident_after_run(dataset: Path, output: Path, workers: int) -> Resident:
    """Run the command line in a process of its own; it must succeed."""
    options = ["run", str(dataset), str(output), "-w", str(workers), "--set", "target_spacing=[3, 1, 1]"]
    # argv[2] of the child is the dataset, beside which it leaves its figures
    finished = subprocess.run([sys.executable, "-c", CHILD, *options], cwd=ROOT, capture_output=True, text=True)
    if finished.returncode:
        raise BenchmarkError(finished.stderr[-2000:])
    peak, end = map(int, Path(f"{dataset}.memory").read_text(encoding="ascii").split())
    return Resident(peak, end)


def measure(folder: Path, counts: tuple[int, int], workers: int) -> dict[str, tuple[Resident, Resident]]:
    """Both numbers of cases, in a run and with nothing to do."""
    found: dict[str, list[Resident]] = {name: [] for name in BARS}
    for count in counts:
        dataset = make_dataset(folder / f"data-{count}", count)
        for name, residents in found.items():
            progress(f"{name}, {count} cases")
            residents.append(resident_after_run(dataset, folder / f"out-{count}", workers))
    return {name: (few, many) for name, (few, many) in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=500)
    parser.add_argument("--many", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), (options.few, options.many), options.workers)
    more, is_met = options.many - options.few, True
    for name, (few, many) in found.items():
        peak, end = (many.peak - few.peak) / more, (many.end - few.end) / more
        is_met &= peak <= BARS[name]
        print(f"{name:<14} {peak:5.1f} KiB a case at the peak, {end:5.1f} at the end; at most {BARS[name]:g}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
