"""``manifest.csv``: the last record of each case as one row, for people, spreadsheets and pandas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from monai_mriprep.store.records import Done, Record, Started
from monai_mriprep.types import ROLES
from monai_mriprep.volume.geometry import Grid

__all__ = ["COLUMNS", "table_of"]

_ROLES = tuple(role.name for role in ROLES)

COLUMNS = (
    "case",
    "status",
    "error",
    "warnings",
    *_ROLES,
    *(f"source_{role}" for role in _ROLES),
    *(f"{grid}_{what}_{axis}" for grid in ("source", "target") for what in ("size", "spacing") for axis in "zyx"),
    "foreground_mean",
    "foreground_std",
    "foreground_voxels",
    "labels_before",
    "labels_after",
    *(f"{role}_bytes" for role in _ROLES),
    "seconds",
    "peak_mib",
    "time",
)
"""Sizes in voxels, spacings in mm, labels as ``value:voxels``; outputs relative to the output folder."""

FORMULA = tuple("=+-@\t'")
"""What a spreadsheet takes for the start of a formula; and the mark that tells it that the rest is text."""


def table_of(records: Iterable[Record]) -> Iterator[str]:
    """The lines of the table.

    Text that a spreadsheet would take for a formula, such as a case named ``=1``, has a ``'`` before it.

    Parameters
    ----------
    records
        The last one of each case, in the order of the rows; taken one at a time.
    """
    yield _line(dict(zip(COLUMNS, COLUMNS, strict=True)))
    for record in records:
        yield _line({column: _cell(value) for column, value in _row(record).items()})


def _line(row: Mapping[str, Any]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writerow(row)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Numbers as they are, text marked where it must be; whoever reads it takes one ``'`` away."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r", "\\r")  # which would end the row: Python does not quote it
    return f"'{text}" if text.startswith(FORMULA) else text


def _row(record: Record) -> dict[str, Any]:
    """Flatten one record; what it does not have stays empty."""
    row = {
        "case": record.case,
        "status": "interrupted" if isinstance(record, Started) else record.event,
        "error": record.error,
        "warnings": "; ".join(record.warnings),
        "time": datetime.fromtimestamp(record.time, timezone.utc).isoformat(timespec="seconds"),
    }
    return row | _results(record) if isinstance(record, Done) else row


def _results(record: Done) -> dict[str, Any]:
    return {
        **{role: file.path for role, file in record.outputs.items()},
        **{f"source_{role}": "; ".join(file.path for file in files) for role, files in record.sources.items()},
        **_grid("source", record.source_grid),
        **_grid("target", record.target_grid),
        **{f"foreground_{name}": _channels(values) for name, values in record.foreground},
        **{f"labels_{when}": _labels(histogram) for when, histogram in record.labels},
        **{f"{role}_bytes": file.size for role, file in record.outputs.items()},
        "seconds": round(sum(record.seconds.values()), 3),
        "peak_mib": record.peak_mib,
    }


def _grid(name: str, grid: Grid) -> dict[str, Any]:
    sizes = {f"{name}_size_{axis}": size for axis, size in zip("zyx", grid.shape, strict=True)}
    spacings = {f"{name}_spacing_{axis}": round(s, 6) for axis, s in zip("zyx", grid.spacing, strict=True)}
    return sizes | spacings


def _channels(values: Sequence[float]) -> float | str:
    """The number of the only channel, or a text of one each."""
    return values[0] if len(values) == 1 else " ".join(map(str, values))


def _labels(histogram: Mapping[int, int]) -> str:
    return " ".join(f"{value}:{count}" for value, count in histogram.items())
