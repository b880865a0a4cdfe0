"""Have dataset and output at hand while a run is planned and carried out, be they folders or in an object store."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_mriprep.errors import DiskFullError, MriprepError, OutputError, VolumeError, package_logger, write_error
from monai_mriprep.remote.address import address_of
from monai_mriprep.remote.dataset import RemoteDataset
from monai_mriprep.remote.objects import Objects
from monai_mriprep.remote.output import RemoteOutput
from monai_mriprep.remote.places import Places
from monai_mriprep.types import ROLE_OF_FOLDER

__all__ = ["at_hand", "output_at_hand"]


@contextmanager
def at_hand(dataset: Path, output: Path, scratch: Path | None = None, apart: bool = False) -> Iterator[Places]:
    """Have dataset and output at hand, or what stands for them while a run is planned and carried out.

    All that stands for them goes with the block.

    Parameters
    ----------
    dataset, output
        Folders, or addresses such as ``s3://bucket/scans``.
    scratch
        Where copies of objects lie meanwhile, in a folder of their own; by default where temporary files go.
    apart
        Keep the records of shards in files of their own.

    Raises
    ------
    RemoteError
        If the records in the output cannot be listed or read.
    OutputError
        If nothing can be written to `scratch`, or the output is none of a run.
    """
    of_dataset, of_output = address_of(dataset), address_of(output)
    if of_dataset is None and of_output is None:
        yield Places(dataset, output)
        return
    if of_dataset is not None and of_output is not None and _would_mix(of_dataset, of_output):
        msg = f"{of_output}: the output would mix with the dataset {of_dataset}; choose an address outside of it"
        raise OutputError(msg)
    with _scratch_folder(scratch) as folder:
        scans = dataset if of_dataset is None else RemoteDataset(Objects(of_dataset), folder)
        results = output if of_output is None else RemoteOutput(Objects(of_output), folder)
        places = Places(scans, results)
        with _addresses_told(places):
            if isinstance(results, RemoteOutput):
                try:
                    results.read_records(apart)
                except OSError as error:
                    msg = f"{folder}: cannot be written to ({error.strerror}); give --scratch a folder with space"
                    raise write_error(error, msg) from error
            yield places


@contextmanager
def output_at_hand(output: Path, scratch: Path | None = None) -> Iterator[Places]:
    """The same without a dataset, for `monai_mriprep.run.merge.merge`."""
    with at_hand(Path(), output, scratch, apart=True) as places:
        yield places


def _would_mix(dataset: str, output: str) -> bool:
    """Whether an output would lie in a dataset, or its volumes would."""
    places = (output, *(f"{output}/{folder}" for folder in ROLE_OF_FOLDER))
    return any(f"{place}/".startswith(f"{dataset}/") for place in places)


@contextmanager
def _scratch_folder(parent: Path | None) -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix="mriprep-", dir=parent)).resolve()
    except OSError as error:
        place = tempfile.gettempdir() if parent is None else parent
        msg = f"{place}: no folder can be made in it ({error.strerror}); give --scratch a folder with space"
        raise OutputError(msg) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _addresses_told(places: Places) -> Iterator[None]:
    """Let errors and lines of the log name addresses, and no files of this machine."""

    def tell(record: logging.LogRecord) -> bool:
        record.msg, record.args = places.told(record.getMessage()), ()
        return True

    package_logger().addFilter(tell)
    try:
        yield
    except BaseException as error:
        places.rescue()
        if isinstance(error, MriprepError):
            _tell(error, places)
        raise
    finally:
        places.close()
        package_logger().removeFilter(tell)


def _tell(error: MriprepError, places: Places) -> None:
    is_full = isinstance(error, DiskFullError)
    error.args = tuple(places.told_failure(value, is_full) if isinstance(value, str) else value for value in error.args)
    if isinstance(error, VolumeError):
        error.path, error.problem = places.told(error.path), places.told(error.problem)
