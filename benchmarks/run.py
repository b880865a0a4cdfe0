"""Measure everything, ours and the peers' in one run, and print one table of ratios.

usage, from the repository's root: .venv/bin/python -m benchmarks.run [--peers PYTHON] [--only kernel,memory] [--quick]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.machine import Clock, describe_machine, versions_in
from benchmarks.measure import ROOT, Bench, BenchmarkError, progress
from benchmarks.sections import files, gpu, kernel, memory, profile, startup, training, whole
from benchmarks.table import Row, as_markdown, as_text, fill_page, row_facts

SECTIONS: dict[str, Callable[[Bench], list[Row]]] = {
    "kernel": kernel.measure,
    "memory": memory.measure,
    "files": files.measure,
    "whole": whole.measure,
    "startup": startup.measure,
    "training": training.measure,
    "profile": profile.measure,
    "gpu": gpu.measure,
}
BEGIN, END = "<!-- bench:begin (written by benchmarks.run --fill) -->", "<!-- bench:end -->"


def main() -> int:
    """Exit status: 0 if all went well and all bars are met, 1 if one is not, 2 if a section could not be measured."""
    options = _options()
    output: Path = options.output
    with _work_folder(options.work) as work:
        bench = _bench(options, work)
        machine = describe_machine(0.5 if bench.quick else 3.0)
        _warn(bench, machine)
        clock, start = Clock.read(), time.time()
        rows, failures = _measure(bench, options.only)
    machine["during"] = {**clock.read().shares_since(clock), "minutes": round((time.time() - start) / 60, 1)}
    environments = {"ours": versions_in(bench.ours)}
    if bench.peers is not None:
        environments["peers"] = versions_in(bench.peers)
    page = _page(bench, machine, environments, rows, failures)
    _store(output, page, bench, machine, environments, rows, failures)
    if options.fill is not None:
        fill_page(options.fill, BEGIN, END, page)
    print(_title(bench, machine), as_text(rows), *failures, f"written to {output}", sep="\n\n")
    return 2 if failures else int(any(row.met is False for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers/bin/python", help="their interpreter")
    parser.add_argument("--no-peers", action="store_true", help="measure only our own side")
    parser.add_argument("--only", type=_names, default=tuple(SECTIONS), help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--repeats", type=int, default=3, help="rounds that medians are taken of")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything run? no measurement")
    parser.add_argument("--output", type=Path, default=ROOT / "bench-out", help="folder of the results and logs")
    parser.add_argument("--work", type=Path, help="folder of the data, kept; by default a temporary one")
    parser.add_argument("--mixed", type=Path, default=ROOT / "../shared/data/mixed", help="real scans, for start-up")
    parser.add_argument("--fill", type=Path, help="also put the table into this page, between its marks")
    options = parser.parse_args()
    if options.fill and options.quick:
        parser.error("--quick is no measurement, so it fills no page")
    return options


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        msg = f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}"
        raise argparse.ArgumentTypeError(msg)
    return names


@contextmanager
def _work_folder(wanted: Path | None) -> Iterator[Path]:
    """The folder that was asked for, or one that is removed in the end."""
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="mriprep-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bench(options: argparse.Namespace, work: Path) -> Bench:
    peers = None if options.no_peers else options.peers.absolute()
    if peers is not None and not peers.exists():
        sys.exit(f"{peers}: no such interpreter; make it with benchmarks/make_peers.sh, or say --peers or --no-peers")
    ours = Path(sys.executable)
    logs = options.output.resolve() / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    return Bench(
        ours=ours,
        peers=peers,
        command=(str(ours.with_name("monai-mriprep")),),
        work=work,
        logs=logs,
        mixed=options.mixed.resolve(),
        repeats=options.repeats,
        quick=options.quick,
    )


def _warn(bench: Bench, machine: dict[str, Any]) -> None:
    progress(_title(bench, machine))
    if not machine["idle"]:
        progress("WARNING: the machine is not idle; the ratios mean little")
    if bench.repeats < 3:
        progress("WARNING: fewer than 3 rounds; the bars are for medians of at least 3")


def _measure(bench: Bench, names: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Every section by itself: one that fails leaves the others' numbers standing."""
    rows: list[Row] = []
    failures: list[str] = []
    for name in names:
        try:
            measured = SECTIONS[name](bench)
            rows += [replace(row, bar=None) for row in measured] if bench.quick else measured
        except BenchmarkError as error:
            failures.append(f"{name} NOT MEASURED: {error}")
            progress(failures[-1])
    return rows, failures


def _title(bench: Bench, machine: dict[str, Any]) -> str:
    state = "idle" if machine["idle"] else "NOT IDLE"
    load = machine["load_average"][0]
    size = "; QUICK, NOT A MEASUREMENT" if bench.quick else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; "
        f"{machine['time']}, load {load} before, {state}; medians of {bench.repeats} rounds{size}"
    )


def _page(
    bench: Bench,
    machine: dict[str, Any],
    environments: dict[str, dict[str, str]],
    rows: Sequence[Row],
    failures: Sequence[str],
) -> str:
    """The results as Markdown."""
    table = [row for row in rows if row.section != "profile"]
    parts = [_title(bench, machine) + "."]
    during = machine["during"]
    parts.append(f"The run took {during['minutes']} minutes; the host took {during['stolen']:.1%} of the cores away.")
    for name, versions in environments.items():
        listed = ", ".join(f"{package} {version}" for package, version in versions.items())
        parts.append(f"Environment of {'our side' if name == 'ours' else 'the peers'}: {listed}.")
    parts += [as_markdown(table)] if table else []
    stages = [row for row in rows if row.section == "profile"]
    parts += ["Profile of one case, one worker:", as_markdown(stages)] if stages else []
    return "\n\n".join([*parts, *failures]) + "\n"


def _store(
    output: Path,
    page: str,
    bench: Bench,
    machine: dict[str, Any],
    environments: dict[str, dict[str, str]],
    rows: Sequence[Row],
    failures: Sequence[str],
) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "bench.md").write_text(page, encoding="utf-8")
    facts = {
        "machine": machine,
        "environments": environments,
        "repeats": bench.repeats,
        "quick": bench.quick,
        "rows": [row_facts(row) for row in rows],
        "failures": list(failures),
    }
    (output / "bench.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
