"""Preprocessing on the fly: samples per second that a training loop gets."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from benchmarks.measure import Bench, interleave, median, progress, start_child
from benchmarks.table import Row

BAR = 10.0


def measure(bench: Bench) -> list[Row]:
    """Ours beside stock MONAI; workers have been started and have read a case before the clock runs."""
    dataset = bench.dataset(2 if bench.quick else 6)
    progress("training: DataLoader")
    with ExitStack() as stack:
        ours = stack.enter_context(start_child(bench, bench.ours, "benchmarks.ours.loader"))
        ours.ask("start", "ours", str(dataset), bench.workers)
        measures = {"ours": partial(ours.ask, "epoch", "ours")}
        if bench.peers is not None:
            peers = stack.enter_context(start_child(bench, bench.peers, "benchmarks.peers.loader"))
            peers.ask("start", "monai", str(dataset), bench.workers)
            measures["monai"] = partial(peers.ask, "epoch", "monai")
        answers = interleave(measures, bench.repeats)
    rates = {name: [answer["samples"] / answer["seconds"] for answer in values] for name, values in answers.items()}
    what, value = "samples a second, 2 workers", median(rates["ours"])
    if "monai" not in rates:
        return [Row("training", what, value, "/s", samples=answers)]
    theirs = median(rates["monai"])
    return [Row("training", what, value, "/s", "stock MONAI transforms", theirs, value / theirs, BAR, samples=answers)]
