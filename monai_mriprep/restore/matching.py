"""Which case a prediction belongs to: its file is named by the stem of one of the sources."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.names import stem
from monai_mriprep.restore.predictions import prediction_stem
from monai_mriprep.restore.source_space import SourceSpace
from monai_mriprep.store.records import Done

__all__ = ["match_predictions"]


def match_predictions(
    predictions: Iterable[Path], records: Iterable[Done]
) -> tuple[tuple[Path, SourceSpace | RecordError], ...]:
    """Find the source space of each prediction; no prediction is read.

    Parameters
    ----------
    predictions
        The files.
    records
        Of the finished cases.

    Returns
    -------
    tuple
        Each file with its source space. In its place is an error, which names the file, where the stem is that of no
        case or of two, where another prediction has the same stem, or where the record of the case cannot be used.
    """
    cases_of_stem, files_of_stem = defaultdict(list), defaultdict(list)
    for record in records:
        for name in {stem(file.path) for file in record.sources.values()}:
            cases_of_stem[name].append(record)
    files = list(predictions)
    for path in files:
        files_of_stem[prediction_stem(path)].append(path.name)
    return tuple((path, _matched(path, cases_of_stem, files_of_stem[prediction_stem(path)])) for path in files)


def _matched(
    path: Path, cases_of_stem: Mapping[str, list[Done]], files_of_stem: list[str]
) -> SourceSpace | RecordError:
    try:
        record = _matching_record(prediction_stem(path), cases_of_stem, files_of_stem)
        return SourceSpace.of(record)
    except RecordError as error:
        return RecordError(f"{path}: {error}")


def _matching_record(name: str, cases_of_stem: Mapping[str, list[Done]], files_of_stem: list[str]) -> Done:
    found = cases_of_stem.get(name, [])
    if len(files_of_stem) > 1:
        msg = f"{' and '.join(files_of_stem)} would become one file; keep one of them"
        raise RecordError(msg)
    if len(found) > 1:
        cases = " and ".join(record.case for record in found)
        msg = f"its stem fits the records of two cases, {cases}; rename it to the other stem"
        raise RecordError(msg)
    if not found:
        near = difflib.get_close_matches(name, cases_of_stem, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        msg = f"no record has an image or label with the stem {name!r}{hint}"
        raise RecordError(msg)
    return found[0]
