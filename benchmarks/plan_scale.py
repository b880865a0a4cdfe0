"""What `plan` takes of many cases: time and memory, and headers read from a file system where each file takes a while.

::

    python -m benchmarks.plan_scale 25000 50000 100000

makes so many pairs of small MetaImage files (sparse: 8 KiB of disk a pair), plans each set in a process of its own, and
prints JSON: seconds, those of the processor and their milliseconds a case, the highest memory, the bytes a case beyond
that of the program, and the size of the list. At the end, 3,000 cases are read where each file takes no time
and 2 ms to open, one by one and as `plan` does it.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from unittest import mock

from monai_mriprep.dataset.outlines import read_outlines
from monai_mriprep.dataset.reading_ahead import read_each
from monai_mriprep.dataset.survey import layout_of
from monai_mriprep.formats import read

HEADER = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
ElementSpacing = 1.0 1.0 {spacing}
DimSize = 16 16 {size}
ElementType = {kind}
ElementDataFile = LOCAL
"""
KINDS = {"ImagesTr": ("MET_SHORT", 2), "LabelsTr": ("MET_UCHAR", 1)}

MEASURED = r"""
import json, re, sys, time
from pathlib import Path
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.planned import planned
from monai_mriprep.run.planning import plan_cases
peak = lambda: int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024  # from exec on
before, start, spent = peak(), time.perf_counter(), time.process_time()
plan = plan_run(sys.argv[1], sys.argv[2])
found, middle = plan_cases(plan), time.perf_counter()
highest, spent = peak(), time.process_time() - spent
del plan
planned(sys.argv[1], sys.argv[2])
end, size = time.perf_counter(), (Path(sys.argv[2]) / "cases.jsonl").stat().st_size
seconds = middle - start
print(json.dumps({
    "cases": found.cases, "seconds": round(seconds, 1),
    "cpu_seconds": round(spent, 1), "cpu_ms_a_case": round(spent / found.cases * 1e3, 3),
    "program_mib": before, "peak_mib": highest, "bytes_a_case": round((highest - before) * 2**20 / found.cases),
    "list_mib": round(size / 2**20, 1), "seconds_to_read_it": round(end - middle, 1),
}))
"""


def make_headers(root: Path, count: int) -> Path:
    """`count` pairs of an image and its label, all of one spacing in plane, with voxels that take no disk."""
    draw = random.Random(0)
    for folder in KINDS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        size, spacing = draw.choice([20, 24, 30, 36]), draw.choice([3, 3.3, 4])
        for folder, (kind, width) in KINDS.items():
            header = HEADER.format(spacing=spacing, size=size, kind=kind).encode()
            with (root / folder / f"case_{number:06}.mha").open("wb") as file:
                file.write(header)
                file.truncate(len(header) + 16 * 16 * size * width)
    return root


def measured(dataset: Path, output: Path) -> dict[str, float]:
    """Time and memory of a plan, in a process of its own."""
    argv = [sys.executable, "-c", MEASURED, str(dataset), str(output)]
    found: dict[str, float] = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return found


def with_latency(dataset: Path, seconds: float, count: int) -> dict[str, float]:
    """Milliseconds a case where each file takes so long to be found, one by one and by `read_each`."""
    layout = layout_of(dataset)
    cases = layout.cases().cases[:count]
    one = partial(read_outlines, layout, channels=1, with_label=True)
    found, size_of = {}, read.regular_file_size

    def late(path: Path) -> int:
        time.sleep(seconds)
        return size_of(path)

    with mock.patch.object(read, "regular_file_size", late if seconds else size_of):
        for name, way in (("one_by_one", map), ("as_plan_does", read_each)):
            start = time.perf_counter()
            for _ in way(one, cases):
                pass
            found[name] = round((time.perf_counter() - start) / len(cases) * 1e3, 3)
    return {"latency_ms": 1e3 * seconds, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", type=int, nargs="*", default=[25_000, 50_000, 100_000])
    given = parser.parse_args()
    for count in given.cases:
        root = Path(tempfile.mkdtemp(prefix="plan-scale-"))
        try:
            print(json.dumps(measured(make_headers(root / "dataset", count), root / "out")), flush=True)
            if count == given.cases[-1]:
                for seconds in (0.0, 0.002):
                    print(json.dumps(with_latency(root / "dataset", seconds, 3000)), flush=True)
        finally:
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
