"""Peak memory of resampling one volume, each in a process of its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Bench, interleave, median, progress, start_child
from benchmarks.sections.kernel import FINER, PEERS
from benchmarks.table import Row

SIZE = 512
PEER_SIZE = 192
"""MONAI and nnU-Net need some 200 bytes a voxel: 512 cubed would not fit into the machine."""
OUTPUTS, INPUTS = 2.5, 1.0
"""The bar: so many times the float32 output, and so many times the float32 input."""
GIB = 2**30


def measure(bench: Bench) -> list[Row]:
    """Our peak against the bar, then beside the peers' at a size that they can do."""
    rows = [_against_bar(bench, dtype) for dtype in ("float32", "int16")]
    if bench.peers is not None:
        rows += _beside_peers(bench, bench.peers)
    return rows


def _against_bar(bench: Bench, dtype: str) -> Row:
    n = 64 if bench.quick else SIZE
    progress(f"memory: {n} cubed {dtype}")
    answers = [_peak(bench, bench.ours, "benchmarks.ours.kernels", "cubic", n, dtype) for _ in range(bench.repeats)]
    peak = median([answer["peak"] for answer in answers])
    allowed = OUTPUTS * answers[0]["output"] + INPUTS * answers[0]["input"]
    multiple = (peak - answers[0]["input"]) / answers[0]["output"]
    what = f"peak at {n} cubed, {dtype} (input in float32 + {multiple:.2f} x output)"
    beside = f"{OUTPUTS:g} x output + {INPUTS:g} x input"
    return Row.share("memory", what, peak / GIB, "GiB", beside, allowed / GIB, bar=1.0, samples={"answers": answers})


def _beside_peers(bench: Bench, peers: Path) -> list[Row]:
    n = 48 if bench.quick else PEER_SIZE
    progress(f"memory: {n} cubed beside the peers")
    ours = partial(_peak, bench, bench.ours, "benchmarks.ours.kernels", "cubic", n, "float32")
    theirs = {name: partial(_peak, bench, peers, "benchmarks.peers.kernels", name, n, "float32") for name in PEERS}
    samples = interleave({"ours": ours, **theirs}, bench.repeats)
    peak = {name: median([a["peak"] / a["output"] for a in answers]) for name, answers in samples.items()}
    what = f"peak at {n} cubed, input included"
    return [
        Row.faster("memory", what, peak["ours"], "x output", PEERS[name][0], peak[name], samples=samples)
        for name in theirs
    ]


def _peak(bench: Bench, python: Path, module: str, name: str, n: int, dtype: str) -> dict[str, Any]:
    target_shape = [round((n - 1) / FINER + 1)] * 3
    with start_child(bench, python, module) as child:
        if python == bench.ours:
            child.ask("threads", 0)
        answer: dict[str, Any] = child.ask("peak", name, [n] * 3, [1.0] * 3, [FINER] * 3, target_shape, dtype)
    return answer
