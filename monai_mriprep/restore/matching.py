"""Which case a prediction belongs to: its file is named by the stem of one of the sources."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.names import stem
from monai_mriprep.restore.predictions import prediction_stem
from monai_mriprep.restore.source_space import SourceSpace
from monai_mriprep.store.manifest import Index
from monai_mriprep.store.records import Done

__all__ = ["match_predictions"]

FIRST_CHANNEL = "_0000"
MAP_WORD = re.compile(r"[._-](seg|gt|label|mask|pred|prediction|prob|probabilities|logits)$", re.IGNORECASE)
"""What a map of a scan is called beside the name of the scan."""


def match_predictions(predictions: Iterable[Path], index: Index) -> Iterator[tuple[Path, SourceSpace | RecordError]]:
    """Find the source space of each prediction, one at a time; no prediction is read.

    Parameters
    ----------
    predictions
        The files.
    index
        The records; open while the matches are taken.

    Yields
    ------
    tuple
        Each file with its source space. In its place is an error, which names the file, where the stem is that of no
        case or of two, where another prediction has the same stem, or where the record of the case cannot be used.
    """
    cases_of_stem, files_of_stem = _cases_of_stem(index), defaultdict(list)
    files = list(predictions)
    for path in files:
        files_of_stem[prediction_stem(path)].append(path.name)
    for path in files:
        try:
            case = _matching_case(prediction_stem(path), cases_of_stem, files_of_stem[prediction_stem(path)])
            yield path, SourceSpace.of(_trusted_record(case, index))
        except RecordError as error:
            yield path, RecordError(f"{path}: {error}")


def _cases_of_stem(index: Index) -> dict[str, list[str]]:
    """By its name and the stem of a source, the cases it belongs to; those whose record is damaged by their name alone.

    A prediction may be called as nnU-Net calls it, without the number of the first channel, unless a case has that
    name itself.
    """
    cases, without_number = defaultdict(list), defaultdict(list)
    for record in index.all_done():
        for name in {record.case, *(stem(file.path) for files in record.sources.values() for file in files)}:
            cases[name].append(record.case)
        if record.case.endswith(FIRST_CHANNEL):
            without_number[record.case.removesuffix(FIRST_CHANNEL)].append(record.case)
    for name, found in without_number.items():
        cases.setdefault(name, found)
    for case in index.damaged:
        if case not in cases[case]:
            cases[case].append(case)
    return {name: found for name, found in cases.items() if found}


def _trusted_record(case: str, index: Index) -> Done:
    record = index.done(case)
    if record is None or case in index.damaged:
        what = index.damaged.get(case, "its record is gone")
        msg = f"{what}; preprocess the case again, or rebuild its record from its files (repair)"
        raise RecordError(msg)
    return record


def _matching_case(name: str, cases_of_stem: Mapping[str, list[str]], files_of_stem: list[str]) -> str:
    found = cases_of_stem.get(name, [])
    if len(files_of_stem) > 1:
        msg = f"{' and '.join(files_of_stem)} would become one file; keep one of them"
        raise RecordError(msg)
    if len(found) > 1:
        msg = f"its stem fits the records of two cases, {' and '.join(found)}; rename it to the other stem"
        raise RecordError(msg)
    if not found:
        near = _same_scan(name, cases_of_stem)
        hint = f"; did you mean {near}?" if near else ""
        msg = f"no record has an image or label with the stem {name!r}{hint}"
        raise RecordError(msg)
    return found[0]


def _same_scan(name: str, known: Iterable[str]) -> str | None:
    """A known stem that differs in the word for a label or prediction alone: never that of another patient or scan."""
    of_scan = MAP_WORD.sub("", name)
    return next((other for other in known if MAP_WORD.sub("", other) == of_scan), None)
