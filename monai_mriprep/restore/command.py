"""Take predictions back onto the scanner's grid. The records are enough; the source files may be gone."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from monai_mriprep.errors import (
    MriprepError,
    MriprepWarning,
    OutputError,
    RecordError,
    VolumeError,
    package_logger,
    write_error,
)
from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.names import real_path, stem
from monai_mriprep.formats.write import write_volume
from monai_mriprep.restore.arrays import restore_array
from monai_mriprep.restore.matching import match_predictions
from monai_mriprep.restore.predictions import list_predictions, prediction_stem, read_prediction
from monai_mriprep.restore.source_space import SourceSpace
from monai_mriprep.store.layout import FOLDERS
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import Store, open_store

__all__ = ["RestoreSummary", "Restorer", "restore", "restore_each"]

LOGGER = package_logger()


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
    ``manifest.jsonl``; the sources may be gone. All that was done to the grid of a case is undone, as its record says:
    see `monai_mriprep.steps.backward`. What a crop has cut away is 0.

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
        What could not be restored is listed there; it is not raised.

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
    with open_store(root) as store:
        return _restore_each(store, Path(predictions), folder, probabilities)


def _restore_each(store: Store, predictions: Path, folder: Path, probabilities: bool) -> RestoreSummary:
    root, index = store.root.path, read_index(store.root)
    for problem in index.problems():
        LOGGER.warning("%s", problem)
    if not index.done_places:
        msg = f"{root}: no finished case is recorded there; the output folder of a run is expected"
        raise RecordError(msg)
    paths = list_predictions(predictions)
    _refuse_folder_of_inputs(folder, root, paths[0].parent, index.all_done())
    _make_folder(folder)
    restorer = Restorer(folder, probabilities)
    outcomes: list[Path | MriprepError] = []
    for path, match in match_predictions(paths, index):
        outcomes.append(match if isinstance(match, RecordError) else restorer(path, match))
        _log(path, outcomes[-1])
        if isinstance(match, SourceSpace):
            LOGGER.debug(
                "%s: its case went through %s", path.name, ", ".join(one.step.name for one in match.trace.steps)
            )
    done = tuple(outcome for outcome in outcomes if isinstance(outcome, Path))
    return RestoreSummary(folder, done, tuple(outcome for outcome in outcomes if isinstance(outcome, MriprepError)))


def _log(prediction: Path, outcome: Path | MriprepError) -> None:
    if isinstance(outcome, MriprepError):
        LOGGER.error("refused: %s", outcome, extra={"case": prediction.name})
    else:
        LOGGER.info("%s: %s", prediction.name, outcome)


def _refuse_folder_of_inputs(folder: Path, root: Path, predictions: Path, records: Iterable[Done]) -> None:
    """Restored files must not land on predictions, on preprocessed files or on sources."""
    place = real_path(folder)
    sources = {
        Path(file.path).parent
        for record in records
        for files in record.sources.values()
        for file in files
        if not record.repaired
    }  # a record that was rebuilt knows only their names
    ours = (root / name for name in FOLDERS)
    closed = {real_path(path) for path in (*ours, *sources)}
    if place in (real_path(predictions), real_path(root)) or closed & {place, *place.parents}:
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

    def __call__(self, path: Path, space: SourceSpace) -> Path | MriprepError:
        """The restored file, or the error that names the prediction."""
        try:
            array = restore_array(read_prediction(path, space.trace.target), space.trace, self.probabilities)
        except VolumeError as error:  # names the file itself
            return error
        except (ValueError, MriprepError) as error:
            return RecordError(f"{path}: {error}")
        except Exception as error:  # noqa: BLE001 - the border: a step from outside may raise anything
            return RecordError(f"{path}: cannot be restored: {error!r}")
        final = self.folder / f"{prediction_stem(path)}{space.suffix}"
        _write_atomically(final, array, space.frame)
        return final


def _write_atomically(final: Path, array: NDArray[Any], frame: Frame) -> None:
    temporary = final.with_name(f".{os.getpid()}-{uuid.uuid4().hex}{final.name[len(stem(final)) :]}")
    try:
        write_volume(temporary, array, frame)
        temporary.replace(final)
    except OSError as error:
        msg = f"{final}: cannot be written ({error.strerror or error})"
        raise write_error(error, msg) from error
    finally:
        temporary.unlink(missing_ok=True)
