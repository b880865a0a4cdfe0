"""Writing and reading a preprocessed pair."""

from __future__ import annotations

from functools import partial

from benchmarks.measure import Bench, Child, interleave, median, progress, start_child
from benchmarks.table import Row

SPEED_BAR, SIZE_BAR = 8.0, 1.03


def measure(bench: Bench) -> list[Row]:
    """Seconds and bytes beside numpy's, and the floor: the same bytes once more."""
    dataset = bench.dataset(2 if bench.quick else 6)
    image = min((dataset / "ImagesTr").iterdir())
    label = dataset / "LabelsTr" / image.name.replace("_0000", "")
    with start_child(bench, bench.ours, "benchmarks.ours.files") as child:
        child.ask("prepare", str(image), str(label), str(dataset / "mri_statistics.csv"))
        return _writing(bench, child) + _reading(bench, child)


def _writing(bench: Bench, child: Child) -> list[Row]:
    progress("files: writing")
    names = ("write_ours", "write_numpy")
    child.ask("write_ours", _folder(bench, "write_ours"))
    measures = {name: partial(child.ask, name, _folder(bench, name)) for name in names}
    finished = _folder(bench, "write_ours")
    measures["plain"] = partial(child.ask, "write_plain", _folder(bench, "plain"), finished)
    answers = interleave(measures, bench.repeats + 2)
    seconds = {name: [answer["seconds"] for answer in values] for name, values in answers.items()}
    mib = {name: values[0]["bytes"] / 2**20 for name, values in answers.items()}
    s = {name: median(values) for name, values in seconds.items()}
    numpy, synced = "numpy.savez_compressed", "write a pair, synced"
    return [
        Row.faster("files", synced, s["write_ours"], "s", numpy, s["write_numpy"], bar=SPEED_BAR, samples=seconds),
        Row.share("files", synced, s["write_ours"], "s", "the same bytes, plain and synced (floor)", s["plain"]),
        Row.share("files", "size of the pair", mib["write_ours"], "MiB", numpy, mib["write_numpy"], bar=SIZE_BAR),
    ]


def _reading(bench: Bench, child: Child) -> list[Row]:
    progress("files: reading")
    folder = _folder(bench, "write_ours")
    measures = {name: partial(child.ask, name, folder) for name in ("read_ours", "read_numpy")}
    seconds = interleave(measures, bench.repeats + 2)
    s = {name: median(values) for name, values in seconds.items()}
    return [Row.faster("files", "read a pair", s["read_ours"], "s", "numpy.load", s["read_numpy"], samples=seconds)]


def _folder(bench: Bench, name: str) -> str:
    return str(bench.work / "files" / name)
