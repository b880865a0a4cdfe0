"""Predictions go back onto the scanner's grid, by what the records say; the source files need not be there any more."""

from __future__ import annotations

import difflib
import os
import uuid
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.dataset.claims import Frame
from monai_mriprep.dataset.npz import OUTPUT_FOLDERS, PARTIAL
from monai_mriprep.dataset.volumes import stem
from monai_mriprep.dataset.write import write_volume
from monai_mriprep.errors import MriprepError, MriprepWarning, OutputError, RecordError, package_logger, write_error
from monai_mriprep.run.cases import recorded_grid
from monai_mriprep.run.manifest import Manifest
from monai_mriprep.run.predictions import list_predictions, prediction_stem, read_prediction
from monai_mriprep.types import LABEL_INTEGRALITY_TOLERANCE
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.resample import ResamplingPlan, apply_plan, plan_resampling

__all__ = [
    "Match",
    "RestoreSummary",
    "Restorer",
    "Way",
    "match_predictions",
    "restore",
    "restore_array",
    "restore_each",
]

LOGGER = package_logger()

LABEL_TYPES = (np.uint8, np.int16, np.int32)
"""For class numbers of a type that the formats do not have, the first that holds them."""

RESTORED_AS = {"": ".mha", ".mhd": ".mha", ".nhdr": ".nrrd", ".hdr": ".nii", ".mgz": ".nii.gz", ".mgh": ".nii.gz"}
"""Formats that are not written, a folder of DICOM slices (no suffix) the first of them, and what stands for them."""

WRITABLE = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32"})


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
            source, target = recorded_grid(record["source_grid"]), recorded_grid(record["target_grid"])
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


@dataclass(frozen=True)
class RestoreSummary:
    """What became of the predictions.

    Parameters
    ----------
    folder
        Where the restored files are.
    restored
        The files.
    refused
        One error for each prediction that was not restored, each with its name.
    """

    folder: Path
    restored: tuple[Path, ...]
    refused: tuple[MriprepError, ...]


def restore(
    output_root: str | Path, predictions: str | Path, restored: str | Path, probabilities: bool = False
) -> RestoreSummary:
    """Put predictions on the target grid back onto the grid of their source image.

    Size, spacing, origin and direction become the source's own, to the last digit in a MetaImage. The file has the
    source's format, or where that is not written another: MetaImage for a folder of DICOM slices. All of it comes from
    ``manifest.jsonl``; the sources may be gone.

    ======================================  ==============================================================
    integers, booleans                      class numbers: nearest neighbour
    floats of one channel, all whole        class numbers too, rounded: nearest neighbour
    floats of several channels              linear, then the channel with the highest value
    other floats, one channel, 0 to 1       probability of class 1: linear, then 1 where it is at least 0.5
    other floats, one channel               refused, unless `probabilities`
    ======================================  ==============================================================

    Parameters
    ----------
    output_root
        The preprocessed dataset, with its ``manifest.jsonl``.
    predictions
        Folder of ``.npz``, ``.npy``, NIfTI, MetaImage or NRRD files, or one such file, each named by the stem of the
        image or the label. Arrays are z y x, with channels before that if there are any; volumes follow their headers.
    restored
        Folder for the result, named as the predictions; made if it is missing.
    probabilities
        Keep all floats as they are interpolated, linearly, all channels, as float32; in place of class numbers.

    Returns
    -------
    RestoreSummary
        What could not be restored stands there; it does not raise.

    Raises
    ------
    MriprepError
        If nothing can be done: no records, no predictions, or a folder for the result that holds the input.

    Warns
    -----
    MriprepWarning
        For each prediction that is refused. It is logged, too.
    """
    summary = restore_each(output_root, predictions, restored, probabilities)
    for problem in summary.refused:
        warnings.warn(f"not restored: {problem}", MriprepWarning, 2)
    return summary


def restore_each(
    output_root: str | Path,
    predictions: str | Path,
    restored: str | Path,
    probabilities: bool = False,
) -> RestoreSummary:
    """As `restore`, without warnings; each prediction is logged.

    Raises
    ------
    MriprepError
        As `restore`; also `DiskFullError` where no space is left.
    """
    root, folder = Path(output_root), Path(restored)
    records = Manifest(root / "manifest.jsonl").done()
    if not records:
        msg = f"{root}: no finished case is recorded there; the output folder of a run is expected"
        raise RecordError(msg)
    paths = list_predictions(predictions)
    _keep_apart(folder, root, paths[0].parent, records.values())
    matches = match_predictions(paths, [Way.of(record) for record in records.values()])
    _make_folder(folder)
    restorer = Restorer(folder, probabilities)
    outcomes: list[Path | MriprepError] = []
    for match in matches:
        outcomes.append(restorer(match))
        _log(match.prediction, outcomes[-1])
    done = tuple(outcome for outcome in outcomes if isinstance(outcome, Path))
    return RestoreSummary(folder, done, tuple(outcome for outcome in outcomes if isinstance(outcome, MriprepError)))


def _log(prediction: Path, outcome: Path | MriprepError) -> None:
    if isinstance(outcome, MriprepError):
        LOGGER.error("refused: %s", outcome)
    else:
        LOGGER.info("%s: %s", prediction.name, outcome)


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


def _keep_apart(folder: Path, root: Path, predictions: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Restored files must not land on predictions, on preprocessed files or on sources."""
    place = folder.resolve()
    sources = {Path(file["path"]).parent for record in records for file in record.get("sources", {}).values()}
    closed = {path.resolve() for path in (*(root / name for name in (*OUTPUT_FOLDERS.values(), PARTIAL)), *sources)}
    if place == predictions.resolve() or place == root.resolve() or closed & {place, *place.parents}:
        msg = f"{folder}: the restored files would lie among predictions, preprocessed files or sources; choose another"
        raise OutputError(msg)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder}: the folder for the restored files cannot be made ({error.strerror})"
        raise OutputError(msg) from error


@dataclass(frozen=True)
class Restorer:
    """Restores one prediction at a time; what is wrong with one is returned, so that the others can go on.

    Parameters
    ----------
    folder
        Where the files go.
    probabilities
        As in `restore`.
    """

    folder: Path
    probabilities: bool = False

    def __call__(self, match: Match) -> Path | MriprepError:
        """The restored file, or the error that names the prediction."""
        if match.way is None:
            return RecordError(f"{match.prediction}: {match.problem}")
        try:
            prediction = read_prediction(match.prediction, match.way.target)
            array = restore_array(prediction, match.way.target, match.way.source, self.probabilities)
        except ValueError as error:
            return RecordError(f"{match.prediction}: {error}")
        except (MemoryError, OSError) as error:
            return RecordError(f"{match.prediction}: cannot be read: {error!r}")
        except MriprepError as error:
            return error
        final = self.folder / f"{prediction_stem(match.prediction)}{match.way.suffix}"
        _write_atomically(final, array, match.way)
        return final


def restore_array(prediction: NDArray[Any], target: Grid, source: Grid, probabilities: bool = False) -> NDArray[Any]:
    """Resample one prediction, by the table of `restore`.

    Parameters
    ----------
    prediction
        ``(C, D, H, W)`` on `target`.
    target, source
        The grid it is on, and the one it goes to.
    probabilities
        Keep floats.

    Returns
    -------
    array
        ``(D, H, W)`` class numbers; or float32, ``(C, D, H, W)`` of several channels.

    Raises
    ------
    ValueError
        If the values can be neither class numbers nor probabilities.
    """
    is_float = prediction.dtype.kind == "f"
    if not is_float or (not probabilities and len(prediction) == 1 and _all_whole(prediction)):
        return _restore_classes(prediction, plan_resampling(target, source, order=0))
    plan = plan_resampling(target, source, order=1)
    if probabilities:
        channels = [_linear(channel, plan) for channel in prediction]
        return channels[0] if len(channels) == 1 else np.stack(channels)
    if len(prediction) > 1:
        return _highest_channel(prediction, plan)
    low, high = float(prediction.min()), float(prediction.max())
    if low < 0 or high > 1:
        msg = (
            f"values from {low:g} to {high:g} are neither class numbers nor probabilities; store integers, or several "
            "channels, or ask for the values themselves with --probabilities"
        )
        raise ValueError(msg)
    return (_linear(prediction[0], plan) >= 0.5).astype(np.uint8)


def _all_whole(prediction: NDArray[Any]) -> bool:
    return bool((np.abs(prediction - np.rint(prediction)) <= LABEL_INTEGRALITY_TOLERANCE).all())


def _restore_classes(prediction: NDArray[Any], plan: ResamplingPlan) -> NDArray[Any]:
    if len(prediction) > 1:
        msg = f"{len(prediction)} channels of {prediction.dtype}; class numbers in one channel are expected, or floats"
        raise ValueError(msg)
    labels = _class_numbers(prediction)
    return apply_plan(torch.from_numpy(labels), plan)[0].numpy()


def _class_numbers(prediction: NDArray[Any]) -> NDArray[Any]:
    """In a type that every format has."""
    if prediction.dtype.name in WRITABLE:
        return prediction
    low, high = int(prediction.min().round()), int(prediction.max().round())
    for dtype in LABEL_TYPES:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            whole = np.rint(prediction) if prediction.dtype.kind == "f" else prediction
            return whole.astype(dtype)
    msg = f"class numbers from {low} to {high}; 32 bits are the most"
    raise ValueError(msg)


def _linear(channel: NDArray[Any], plan: ResamplingPlan) -> NDArray[np.float32]:
    volume = torch.from_numpy(np.array(channel, np.float32)[None])
    return apply_plan(volume, plan)[0].numpy()


def _highest_channel(prediction: NDArray[Any], plan: ResamplingPlan) -> NDArray[Any]:
    """Argmax, one channel at a time, so that memory does not grow with their number; of equals the first."""
    highest = _linear(prediction[0], plan)
    classes = np.zeros(highest.shape, np.uint8 if len(prediction) <= 256 else np.int16)
    for number, channel in enumerate(prediction[1:], 1):
        values = _linear(channel, plan)
        classes[values > highest] = number
        np.maximum(highest, values, out=highest)
    return classes


def _write_atomically(final: Path, array: NDArray[Any], way: Way) -> None:
    temporary = final.with_name(f".{os.getpid()}-{uuid.uuid4().hex}{way.suffix}")
    try:
        write_volume(temporary, array, way.frame)
        temporary.replace(final)
    except OSError as error:
        msg = f"{final}: cannot be written ({error.strerror or error})"
        raise write_error(error, msg) from error
    finally:
        temporary.unlink(missing_ok=True)
