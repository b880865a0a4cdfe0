"""The kernel on a GPU, where one is at hand."""

from __future__ import annotations

from benchmarks.measure import Bench, median, progress, start_child
from benchmarks.table import Row

SIZE = 256
SPEED_BAR, DIFFERENCE_BAR = 20.0, 2e-6


def measure(bench: Bench) -> list[Row]:
    """Speed over one CPU thread, transfers apart, and the difference from the CPU's result."""
    n = 64 if bench.quick else SIZE
    with start_child(bench, bench.ours, "benchmarks.ours.gpu") as child:
        name = child.ask("device")
        if name is None:
            return [Row("gpu", "kernel on a GPU: none at hand", None, "")]
        progress(f"gpu: {name}")
        answer = child.ask("compare", n, bench.repeats)
    what, gpu, cpu = f"cubic, {n} cubed, {name}", median(answer["gpu"]), median(answer["cpu"])
    difference = answer["difference"]
    return [
        Row.faster("gpu", what, gpu * 1e3, "ms", "one CPU thread", cpu * 1e3, bar=SPEED_BAR, samples=answer),
        Row(
            "gpu",
            "difference from the CPU",
            difference,
            "of the range",
            ratio=difference,
            bar=DIFFERENCE_BAR,
            bar_is_minimum=False,
        ),
    ]
