"""Which record a prediction belongs to, by its stem, and what that record says of the way back."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.names import stem
from monai_mriprep.restore.predictions import prediction_stem
from monai_mriprep.volume.geometry import Grid

__all__ = ["Match", "Way", "match_predictions"]

RESTORED_AS = {"": ".mha", ".mhd": ".mha", ".nhdr": ".nrrd", ".hdr": ".nii", ".mgz": ".nii.gz", ".mgh": ".nii.gz"}
"""Formats that are not written, a folder of DICOM slices (no suffix) the first of them, and what stands for them."""


@dataclass(frozen=True)
class Way:
    """The way back of one case.

    Parameters
    ----------
    case
        Its name.
    source, target
        The image's own grid, and the one of its predictions.
    frame
        The source's spacing, origin and direction, as its file stated them.
    suffix
        Of the restored file: the source's own, or by `RESTORED_AS` another that is one file.
    stems
        What a prediction may be called: the stems of image and label.
    """

    case: str
    source: Grid
    target: Grid
    frame: Frame
    suffix: str
    stems: frozenset[str]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Way:
        """Read it from a finished case's record.

        Raises
        ------
        RecordError
            If something is missing there.
        """
        try:
            source, target = Grid.from_json(record["source_grid"]), Grid.from_json(record["target_grid"])
            frame = Frame(**record["source_header"]) if "source_header" in record else Frame.of_grid(source)
            paths = [Path(record["sources"][role]["path"]) for role in ("image", "label")]
            suffix = paths[0].name[len(stem(paths[0])) :].lower()
            suffix = RESTORED_AS.get(suffix, suffix)
            return cls(record["case"], source, target, frame, suffix, frozenset(map(stem, paths)))
        except (KeyError, TypeError, ValueError) as error:
            msg = f"the record of case {record.get('case')} is not whole ({error!r}); preprocess it again"
            raise RecordError(msg) from error


@dataclass(frozen=True)
class Match:
    """A prediction, and either the way back or what stands in it."""

    prediction: Path
    way: Way | None
    problem: str = ""


def match_predictions(predictions: Iterable[Path], ways: Iterable[Way]) -> tuple[Match, ...]:
    """Find each prediction's record by its stem; nothing is read.

    A stem that fits no record or two is not matched, nor are two predictions of one stem.
    """
    predictions, owners = list(predictions), defaultdict(list)
    for way in ways:
        for name in way.stems:
            owners[name].append(way)
    rivals: dict[str, list[str]] = defaultdict(list)
    for path in predictions:
        rivals[prediction_stem(path)].append(path.name)
    return tuple(_match(path, owners, rivals[prediction_stem(path)]) for path in predictions)


def _match(path: Path, owners: Mapping[str, Sequence[Way]], rivals: Sequence[str]) -> Match:
    name = prediction_stem(path)
    found = owners.get(name, ())
    if len(rivals) > 1:
        return Match(path, None, f"{' and '.join(rivals)} would become one file; keep one of them")
    if len(found) > 1:
        cases = " and ".join(way.case for way in found)
        return Match(path, None, f"its stem fits the records of two cases, {cases}; rename it to the other stem")
    if not found:
        near = difflib.get_close_matches(name, owners, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return Match(path, None, f"no record has an image or label with the stem {name!r}{hint}")
    return Match(path, found[0])
