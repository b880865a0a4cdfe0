"""Where time, money and the bottleneck are for 10,000 to 100 million scans on 1 to 1,000 workers: a simulation.

Costs that `benchmarks.scale_costs` has measured go in; limits are published ones, and prices assumptions, each named in
`Assumptions`. A round of a case through all that it has to wait for is simulated event by event (`benchmarks.queues`)
for up to 20,000 cases; more cases go on at the rate that was reached. What one process does before and after, plan and
merge, is added. ``--measure`` measures the costs first (three minutes, on an idle machine).

usage, from the repository's root: .venv/bin/python -m benchmarks.scale [--measure] [--fill docs/scale.md]
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random

from benchmarks.queues import Station, simulate
from benchmarks.scale_costs import Costs, Measured, measure_all, read_costs
from benchmarks.table import fill_page

__all__ = ["ENGINES", "Assumptions", "Outlook", "outlook", "validation"]

BEGIN, END = "<!-- scale:begin (written by benchmarks.scale --fill) -->", "<!-- scale:end -->"
SCANS, WORKERS = (10_000, 1_000_000, 100_000_000), (1, 10, 100, 1000)
SIMULATED = 20_000
GROUP = 64
"""Records that are synced together, at most."""


@dataclass(frozen=True)
class Assumptions:
    """What is not measured here. Prices are of November 2026, in US dollars; another one is given by ``--set``.

    Parameters
    ----------
    dask_task
        Seconds of Dask's scheduler for a task: "about 1 ms" by distributed's own documentation.
    array_starts
        Tasks of an array job that a cluster starts in a second.
    shared_bytes
        Bytes a second that the shared storage reads and writes for all together.
    puts, gets
        Requests a second on one prefix of an object store, as S3 documents them.
    network_bytes
        Bytes a second between the object store and one worker.
    core_hour, thousand_puts, thousand_gets
        Prices of one core for an hour, and of requests.
    memory
        Bytes of the machine that plans and merges.
    array_tasks
        Of one array job: SLURM's MaxArraySize is 1001 unless the site has set another.
    folder_entries
        Files of one folder up to which listing it stays quick on network storage, as one vendor documents it.
    """

    dask_task: float = 1e-3
    array_starts: float = 10.0
    shared_bytes: float = 2e9
    puts: float = 3500.0
    gets: float = 5500.0
    network_bytes: float = 50e6
    core_hour: float = 0.05
    thousand_puts: float = 0.005
    thousand_gets: float = 0.0004
    memory: float = 64 * 2**30
    array_tasks: float = 1000.0
    folder_entries: float = 500_000.0


OBJECTS = 3
"""Written for a case: image, label, picture; and the record, one for a group."""
REQUESTS = 2
"""To read a case: image and label."""


@dataclass(frozen=True)
class Outlook:
    """What a run takes.

    Parameters
    ----------
    hours
        From the command to the last table.
    worker_hours
        Cores that are paid for.
    dollars
        For them and for requests.
    held_up_by
        What is used most: another of it would help most.
    rate
        Cases a second while all workers work.
    """

    hours: float
    worker_hours: float
    dollars: float
    held_up_by: str
    rate: float


def _case(costs: Costs) -> Callable[[Random], float]:
    """Seconds of a case, gamma distributed with the measured mean and spread."""
    if not costs.case_spread:
        return lambda random: costs.case_seconds
    shape = costs.case_spread**-2
    return lambda random: random.gammavariate(shape, costs.case_seconds / shape)


def record_seconds(costs: Costs, rate: float) -> float:
    """Of one record by a writer to whom so many come in a second: a group ends with the 64th, or after a second."""
    return costs.record_seconds + costs.sync_seconds / min(GROUP, max(1.0, rate))


def _array(costs: Costs, given: Assumptions, workers: int, scans: int) -> list[Station]:
    """A worker reads, works and records; nobody else waits for its record."""
    record = record_seconds(costs, 1 / costs.case_seconds)
    return [*_shared(costs, given), Station("workers", _case(costs), workers), Station("own record", record, math.inf)]


def _dask(costs: Costs, given: Assumptions, workers: int, scans: int) -> list[Station]:
    """One scheduler hands out chunks, one process records."""
    chunk = min(16, max(1, scans // (20 * workers)))
    record = record_seconds(costs, workers / costs.case_seconds)
    scheduler = Station("scheduler", given.dask_task / chunk)
    return [
        scheduler,
        *_shared(costs, given),
        Station("workers", _case(costs), workers),
        Station("record writer", record),
    ]


def _objects(costs: Costs, given: Assumptions, workers: int, scans: int) -> list[Station]:
    """Downloads and uploads go on beside the work; requests and the network of each worker are limited."""
    moved = (costs.read_bytes + costs.written_bytes) / given.network_bytes
    return [
        Station("GET requests", REQUESTS / given.gets),
        Station("network", moved, workers),
        Station("workers", _case(costs), workers),
        Station("PUT requests", (OBJECTS + 1 / GROUP) / given.puts),
    ]


def _shared(costs: Costs, given: Assumptions) -> list[Station]:
    return [Station("shared storage", (costs.read_bytes + costs.written_bytes) / given.shared_bytes)]


ENGINES = {"array job": _array, "Dask": _dask, "array job, object store": _objects}
"""Given costs, assumptions, workers and scans, what a case goes through."""
TOKENS = {"array job": 1, "Dask": 2, "array job, object store": 2}
"""Cases that are under way for each worker: more than one where it need not wait for the next."""


def outlook(engine: str, costs: Costs, given: Assumptions, workers: int, scans: int) -> Outlook:
    """Simulate a run."""
    stations = ENGINES[engine](costs, given, workers, scans)
    rounds = min(scans, max(SIMULATED, 4 * workers))
    flow = simulate(stations, TOKENS[engine] * workers, rounds)
    work = flow.seconds + (scans - rounds) / flow.rate
    start = costs.start_seconds + (0 if engine == "Dask" else workers / given.array_starts)
    alone = scans * (costs.plan_seconds + costs.index_seconds + costs.table_seconds + costs.report_seconds)
    paid = (workers * (costs.start_seconds + work) + alone) / 3600
    requests = 0.0
    if "store" in engine:
        requests = scans / 1000 * (OBJECTS * given.thousand_puts + REQUESTS * given.thousand_gets)
    busiest = max(flow.busy, key=lambda name: flow.busy[name])
    held_up = "plan and merge" if alone > start + work else "start" if start > work else busiest
    return Outlook((start + work + alone) / 3600, paid, paid * given.core_hour + requests, held_up, flow.rate)


def validation(measured: Measured) -> Iterator[tuple[int, float, float]]:
    """Of each whole run that was measured: its workers, predicted and measured seconds."""
    costs = measured.costs
    for workers, seconds in measured.runs.items():
        cases = iter(sorted(measured.cases * measured.times, reverse=True))
        record = record_seconds(costs, workers / costs.case_seconds)
        stations = [
            Station("workers", lambda random, cases=cases: next(cases), workers),
            Station("record writer", record),
        ]
        flow = simulate(stations, workers, measured.times * len(measured.cases))
        yield workers, costs.start_seconds + flow.seconds, seconds


def knees(costs: Costs, given: Assumptions) -> Iterator[tuple[str, float]]:
    """How many workers each shared thing can serve, cases being as they were measured."""
    moved = costs.read_bytes + costs.written_bytes
    yield "Dask's scheduler, a task a case", costs.case_seconds / given.dask_task
    yield "Dask's scheduler, 16 cases a task", 16 * costs.case_seconds / given.dask_task
    yield "one record writer, 64 records a sync", costs.case_seconds / record_seconds(costs, GROUP)
    yield "shared storage", costs.case_seconds * given.shared_bytes / moved
    yield "PUT requests on one prefix", costs.case_seconds * given.puts / (OBJECTS + 1 / GROUP)
    yield "tasks of one array job", given.array_tasks
    yield "GET requests on one prefix", costs.case_seconds * given.gets / REQUESTS


def limits(costs: Costs, given: Assumptions) -> Iterator[tuple[str, float, str]]:
    """What breaks, from how many scans on, and what to do then."""
    day = 24 * 3600
    parts = "a dataset in parts, each with an output folder of its own"
    yield "one folder of volumes is slow to list on network storage", given.folder_entries, parts
    yield "the report takes a day", day / costs.report_seconds, "`--no-report`"
    yield "the report needs more memory than there is", given.memory / costs.report_bytes, "`--no-report`"
    yield "`plan` takes a day in one process", day / costs.plan_seconds, parts
    yield (
        "`plan` needs more memory than there is, and so does each shard, which reads the whole list",
        (given.memory / costs.plan_bytes),
        parts,
    )
    yield "`merge` takes a day without a report", day / (costs.index_seconds + costs.table_seconds), parts
    yield "the records' index needs more memory than there is", given.memory / costs.index_bytes, parts
    yield "the output has a petabyte", 1e15 / costs.written_bytes, "other storage"
    yield "`manifest.jsonl` has a terabyte", 1e12 / costs.record_bytes, parts


def page(measured: Measured, given: Assumptions) -> str:
    """All tables, as Markdown."""
    costs, machine = measured.costs, measured.machine
    idle = "idle" if machine["idle"] else "NOT IDLE, so that times are too long"
    parts = [f"{machine['cpu']}, {machine['cores']} cores, {idle}; {machine['time'][:10]}.\n"]
    parts += ["**What goes in**, of one case\n", _table(("what", "takes"), _costs_rows(costs))]
    rows = [(str(w), f"{p:.1f} s", f"{s:.1f} s", f"{p / s - 1:+.0%}") for w, p, s in validation(measured)]
    count = f"{measured.times * len(measured.cases)} cases on this machine"
    parts += [f"**Is it true?** {count}, predicted and measured, from launch to exit\n"]
    parts += [_table(("workers", "predicted", "measured", "error"), rows)]
    knee = sorted(knees(costs, given), key=lambda row: row[1])
    parts += ["**How many workers each thing can serve**\n"]
    parts += [_table(("what", "workers"), ((name, f"{_rounded(count)}") for name, count in knee))]
    parts += ["**Hours, core hours, money, and what holds it up**\n", _table(*_big_table(costs, given))]
    broken = sorted(limits(costs, given), key=lambda row: row[1])
    parts += ["**What breaks first**, in the order of the number of scans\n"]
    rows = [(_rounded(scans), what, remedy) for what, scans, remedy in broken]
    parts += [_table(("from so many scans on", "what breaks", "what to do"), rows)]
    return "\n".join(parts)


def _costs_rows(costs: Costs) -> Iterator[tuple[str, str]]:
    yield "reading, preprocessing, writing", f"{costs.case_seconds:.3f} s, spread {costs.case_spread:.0%}"
    yield "its files", f"{costs.read_bytes / 1e6:.1f} MB read, {costs.written_bytes / 1e6:.1f} MB written"
    yield "its record", f"{costs.record_seconds * 1e3:.2f} ms, {costs.record_bytes / 1e3:.1f} KB"
    yield "a sync of records and folders", f"{costs.sync_seconds * 1e3:.1f} ms for up to {GROUP} cases"
    yield "the start of a process", f"{costs.start_seconds:.1f} s"
    names = {
        "plan": "`plan`, headers",
        "index": "reading the records",
        "table": "tables and lists",
        "report": "the report",
    }
    for key, name in names.items():
        seconds, size = getattr(costs, f"{key}_seconds"), getattr(costs, f"{key}_bytes")
        yield name, f"{seconds * 1e3:.2f} ms, {size / 1024:.1f} KiB of memory"


def _big_table(costs: Costs, given: Assumptions) -> tuple[Sequence[str], Iterator[Sequence[str]]]:
    heads = ("scans", "workers", *ENGINES)

    def rows() -> Iterator[Sequence[str]]:
        for scans in SCANS:
            for workers in WORKERS:
                found = (outlook(engine, costs, given, workers, scans) for engine in ENGINES)
                yield f"{scans:,}", f"{workers:,}", *map(_cell, found)

    return heads, rows()


def _cell(found: Outlook) -> str:
    return f"{_hours(found.hours)}; {_rounded(found.worker_hours)} h, ${_rounded(found.dollars)}; {found.held_up_by}"


def _hours(hours: float) -> str:
    if hours < 2:
        return f"{60 * hours:.0f} min"
    return f"{hours:.0f} h" if hours < 72 else f"{_rounded(hours / 24)} days"


def _rounded(value: float) -> str:
    """Two digits."""
    return f"{float(f'{value:.2g}'):,g}" if value < 1e6 else f"{float(f'{value / 1e6:.2g}'):,g} million"


def _table(heads: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="measure the costs first, and keep them")
    parser.add_argument("--fill", type=Path, help="put the tables into this page, between its marks")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another assumption")
    options = parser.parse_args()
    known = {field.name for field in fields(Assumptions)}
    changed = dict(text.split("=", 1) for text in options.set)
    if strange := changed.keys() - known:
        parser.error(f"no assumption {', '.join(sorted(strange))}; there are {', '.join(sorted(known))}")
    given = Assumptions(**{name: float(value) for name, value in changed.items()})
    if options.measure:
        with tempfile.TemporaryDirectory(prefix="mriprep-scale-") as folder:
            measured = measure_all(Path(folder))
    else:
        measured = read_costs()
    text = page(measured, given)
    print(text)
    if options.fill is not None:
        fill_page(options.fill, BEGIN, END, text)


if __name__ == "__main__":
    main()
