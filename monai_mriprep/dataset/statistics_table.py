"""Reading and writing the CSV table of statistics, whose cells hold several numbers each.

pandas is imported inside the functions that use it, because the import takes 0.3 s.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_mriprep.errors import StatisticsError

__all__ = ["choose_row", "numbers_in", "read_rows", "table_text"]

MAX_TABLE_BYTES = 1 << 20

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""Separators of cells; spreadsheets write all three."""

NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def read_rows(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> list[dict[str, str]]:
    """Read the rows of a table, each as a dictionary of column to cell.

    Parameters
    ----------
    path
        A small file whose first line names the columns. Cells are separated by commas, semicolons or tabs.
    columns
        Columns that it must have, each once.
    optional
        Columns that it may have, each at most once.

    Raises
    ------
    StatisticsError
        If the file cannot be read as such a table.
    """
    header, *rows = _cells(path) or [[]]
    for column in (*columns, *optional):
        if header.count(column) != 1 and (column in header or column in columns):
            found = "there twice" if column in header else "missing"
            msg = f"{path}: the column {column!r} is {found}; its columns are {header[:20]}. Write one with `stats`"
            raise StatisticsError(msg)
    return [dict(zip(header, row, strict=True)) for row in rows]


def table_text(columns: Mapping[str, Sequence[str]]) -> str:
    """The text of a table with these columns."""
    import pandas as pd

    return pd.DataFrame(columns).to_csv(index=False, lineterminator="\n")


def choose_row(path: Path, rows: Sequence[dict[str, str]], row: int | None) -> dict[str, str]:
    """The row with the index `row`, or the only row.

    Raises
    ------
    StatisticsError
        If the table has no row, no such row, or several of which none is chosen.
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
    """The numbers of a cell, separated by blanks or commas; an empty list if it holds anything else.

    Brackets, ``np.float64(...)`` and ``array(...)`` around them are allowed. Python's ``1_0`` for ten is not.
    """
    text = re.sub(r"(?:np|numpy)\.float\d+\s*\(([^()]*)\)", r"\1", cell.strip())
    text = re.sub(r"^(?:(?:np|numpy)\.)?array\s*\((.*?)(?:,\s*dtype\s*=[^()]*)?\)$", r"\1", text, flags=re.DOTALL)
    text = re.sub(r"^\s*[\[(](.*)[\])]\s*$", r"\1", text, flags=re.DOTALL)
    tokens = re.split(r"\s*[,;]\s*|\s+", text.strip())
    return [float(token) for token in tokens] if all(map(NUMBER.fullmatch, tokens)) else []


def _cells(path: Path) -> list[list[str]]:
    """The cells of each line that is not empty, without surrounding blanks and quotes."""
    import pandas as pd

    text = _text(path)
    separator = _separator(text)
    try:
        frame = pd.read_csv(
            io.StringIO(text), sep=separator, header=None, dtype=str, na_filter=False, skipinitialspace=True
        )
    except pd.errors.EmptyDataError:
        return []
    except pd.errors.ParserError as error:
        reason = str(error).removeprefix("Error tokenizing data. ").removeprefix("C error: ").strip()
        msg = f"{path}: not a CSV table: {reason}; quote cells that hold {SEPARATORS[separator]}"
        raise StatisticsError(msg) from error
    rows = [[cell.strip(" \t\r\n\"'") for cell in row] for row in frame.to_numpy().tolist()]
    return [row for row in rows if any(row)]


def _separator(text: str) -> str:
    """The separator that is most frequent in the first line; a comma if there is none."""
    names = text.strip().partition("\n")[0]
    return max(SEPARATORS, key=names.count)


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
