"""Measure and draw what docs/compared.md shows. Our recipes run here, the peers in their own environment.

`benchmarks/make_peers.sh` makes that environment. It takes two minutes.

usage, from the repository's root: .venv/bin/python -m benchmarks.compared [--peers PYTHON] [--fill docs/compared.md]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.compared.pictures import draw_pictures
from benchmarks.compared.scans import JOBS, Scan, of_peers, ours
from benchmarks.compared.tables import as_markdown, steps_table, targets_table, tools_table
from benchmarks.machine import versions_in
from benchmarks.measure import ROOT
from benchmarks.table import fill_page


def main() -> int:
    options = _options()
    scans = {name: Scan(options.data, job) for name, job in JOBS.items()}
    made = {"default": {name: scan.default for name, scan in scans.items()}}
    made["panther2025"] = {name: ours(options.data, job, {"preset": "panther2025"}) for name, job in JOBS.items()}
    with tempfile.TemporaryDirectory(prefix="mriprep-compared-") as folder:
        made |= of_peers(options.data, options.peers, Path(folder))
    steps = steps_table(options.data, {name: scans[name] for name in ("neck", "abdomen")}, made["nnunet"])
    rows = {"targets": targets_table(options.data), "tools": tools_table(scans, made), "steps": steps}
    tables = {name: as_markdown(table) for name, table in rows.items()}
    versions = ", ".join(f"{package} {version}" for package, version in versions_in(options.peers).items())
    print(*tables.values(), versions, sep="\n\n")
    if options.fill is not None:
        draw_pictures(options.fill.parent / "images", scans, made)
        for name, table in tables.items():
            fill_page(options.fill, f"<!-- {name}:begin -->", f"<!-- {name}:end -->", f"{table}\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers/bin/python", help="their interpreter")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data", help="the folder of real scans")
    parser.add_argument("--fill", type=Path, help="put the tables into this page, the pictures beside it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
