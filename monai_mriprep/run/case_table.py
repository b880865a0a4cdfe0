"""``manifest.csv``: the last record of each case as one row, for people, spreadsheets and pandas."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from monai_mriprep.formats.names import natural_key

__all__ = ["COLUMNS", "write_table"]

Record = Mapping[str, Any]

COLUMNS = (
    "case",
    "status",
    "error",
    "warnings",
    "image",
    "label",
    "source_image",
    "source_label",
    *(f"{grid}_{what}_{axis}" for grid in ("source", "target") for what in ("size", "spacing") for axis in "zyx"),
    "foreground_mean",
    "foreground_std",
    "foreground_voxels",
    "labels_before",
    "labels_after",
    "image_bytes",
    "label_bytes",
    "seconds",
    "peak_mib",
    "time",
)
"""Sizes in voxels, spacings in mm, labels as ``value:voxels``; image and label relative to the output folder."""


def write_table(path: Path, partial: Path, records: Mapping[str, Record]) -> None:
    """Write the table; it appears whole or not at all.

    Parameters
    ----------
    path
        The file. Where it cannot be written, such as on a full disk, an older one is removed: none is better than one
        that is not true any more, and the records themselves stand in ``manifest.jsonl``.
    partial
        Folder of temporary files on the same file system.
    records
        The last event of each case.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(records[case]) for case in sorted(records, key=natural_key))
    temporary = partial / path.name
    try:
        temporary.write_text(text.getvalue(), encoding="utf-8", errors="backslashreplace")
        temporary.replace(path)
    except OSError:
        for file in (temporary, path):
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _row(record: Record) -> dict[str, Any]:
    """Flatten one record; what it does not have stays empty, and so does all of one that somebody has edited."""
    try:
        return _flat(record)
    except (AttributeError, KeyError, OverflowError, OSError, TypeError, ValueError) as error:
        return {"case": record["case"], "status": record["event"], "error": f"the record is not whole: {error!r}"}


def _flat(record: Record) -> dict[str, Any]:
    sources, outputs, foreground = (record.get(key, {}) for key in ("sources", "outputs", "foreground"))
    seconds, time, event = record.get("seconds"), record.get("time"), record.get("event")
    return {
        "case": record["case"],
        "status": event if event in ("done", "failed") else "interrupted",
        "error": record.get("error"),
        "warnings": "; ".join(record.get("warnings", ())),
        **{role: outputs.get(role, {}).get("path") for role in ("image", "label")},
        **{f"source_{role}": sources.get(role, {}).get("path") for role in ("image", "label")},
        **_grid("source", record.get("source_grid")),
        **_grid("target", record.get("target_grid")),
        **{f"foreground_{name}": foreground.get(name) for name in ("mean", "std", "voxels")},
        **{f"labels_{when}": _labels(record, when) for when in ("before", "after")},
        **{f"{role}_bytes": outputs.get(role, {}).get("size") for role in ("image", "label")},
        "seconds": None if seconds is None else round(sum(seconds.values()), 3),
        "peak_mib": record.get("peak_mib"),
        "time": time and datetime.fromtimestamp(time, timezone.utc).isoformat(timespec="seconds"),
    }


def _grid(name: str, facts: Record | None) -> dict[str, Any]:
    if facts is None:
        return {}
    sizes = {f"{name}_size_{axis}": size for axis, size in zip("zyx", facts["shape"], strict=True)}
    spacings = {f"{name}_spacing_{axis}": round(s, 6) for axis, s in zip("zyx", facts["spacing"], strict=True)}
    return sizes | spacings


def _labels(record: Record, when: str) -> str:
    histogram = record.get("labels", {}).get(when, {})
    return " ".join(f"{value}:{count}" for value, count in histogram.items())
