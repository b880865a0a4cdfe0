"""Tables of a few lines, whose cells hold a few numbers each."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from monai_mriprep.errors import StatisticsError

__all__ = ["choose_row", "numbers_in", "read_rows"]

MAX_TABLE_BYTES = 1 << 20


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """List the rows of a table, each complete.

    Parameters
    ----------
    path
        A small CSV file whose first line names the columns.
    columns
        Those that it must have, each once.

    Raises
    ------
    StatisticsError
        If the file cannot be read as such a table.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), skipinitialspace=True, strict=True)
    try:
        header, *rows = [[cell.strip() for cell in row] for row in reader if any(map(str.strip, row))] or [[]]
    except csv.Error as error:
        msg = f"{path}: not a CSV table: {error}"
        raise StatisticsError(msg) from error
    for column in columns:
        if header.count(column) != 1:
            found = "twice" if column in header else "missing"
            msg = f"{path}: the column {column!r} is {found}; its columns are {header[:20]}. Write one with `stats`"
            raise StatisticsError(msg)
    for number, row in enumerate(rows):
        if len(row) != len(header):
            msg = f"{path}: row {number} has {len(row)} cells, the header {len(header)}; quote cells that hold commas"
            raise StatisticsError(msg)
    return [dict(zip(header, row, strict=True)) for row in rows]


def choose_row(path: Path, rows: Sequence[dict[str, str]], row: int | None) -> dict[str, str]:
    """Take the one row, or the chosen one.

    Raises
    ------
    StatisticsError
        If there is none, or there are several and none is chosen.
    """
    if not rows:
        msg = f"{path}: the table has no row; write one with `stats`"
        raise StatisticsError(msg)
    if row is None and len(rows) > 1:
        msg = f"{path}: the table has {len(rows)} rows; choose one with `statistics_row` (0 to {len(rows) - 1})"
        raise StatisticsError(msg)
    index = row or 0
    if not 0 <= index < len(rows):
        msg = f"{path}: statistics_row = {index}, but the rows are 0 to {len(rows) - 1}"
        raise StatisticsError(msg)
    return rows[index]


def numbers_in(cell: str) -> list[float]:
    """Numbers of a cell; blanks or commas between, brackets and ``np.float64(...)`` around them optional.

    An empty list where it holds anything else.
    """
    text = re.sub(r"(?:np|numpy)\.float\d+\s*\(([^()]*)\)", r"\1", cell)
    text = re.sub(r"^\s*[\[(](.*)[\])]\s*$", r"\1", text, flags=re.DOTALL)
    try:
        return [float(token) for token in re.split(r"\s*[,;]\s*|\s+", text.strip())]
    except ValueError:
        return []


def _text(path: Path) -> str:
    """Read the whole file, if it is a small text file."""
    if not path.is_file():
        msg = f"{path}: no such file; write a table of spacings with `stats`"
        raise StatisticsError(msg)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TABLE_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read as text: {error}"
        raise StatisticsError(msg) from error
    if len(data) > MAX_TABLE_BYTES:
        msg = f"{path}: more than {MAX_TABLE_BYTES} bytes; a table of spacings has a few lines"
        raise StatisticsError(msg)
    return text
