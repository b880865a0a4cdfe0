"""Where a run reads and writes on this machine, be its dataset a folder or in an object store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_mriprep.errors import MriprepError, OutputError, VolumeError
from monai_mriprep.machine import processors
from monai_mriprep.remote.address import address_of
from monai_mriprep.remote.dataset import RemoteDataset
from monai_mriprep.remote.engine import WithFiles
from monai_mriprep.remote.objects import Objects
from monai_mriprep.remote.read_ahead import ReadAhead
from monai_mriprep.run.cases import Result
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.run.session import Session

if TYPE_CHECKING:
    from monai_mriprep.run.engines import Engine

__all__ = ["Places", "at_hand"]

MORE_AHEAD = 2
"""So many cases more than there are workers are fetched before anybody asks for them."""


class Places:
    """Where a run reads and writes on this machine.

    Attributes
    ----------
    dataset, output
        The folders to plan with.
    """

    def __init__(self, dataset: Path, output: Path, remote: RemoteDataset | None = None) -> None:
        self.dataset = dataset if remote is None else remote.root
        self.output = output
        self._remote = remote
        self._ahead: ReadAhead | None = None

    def planned(self, plan: RunPlan) -> RunPlan:
        """The plan, whose cases have their sources where they will be fetched to."""
        return plan if self._remote is None else self._remote.planned(plan)

    def engine(
        self, session: Session, engine: Engine | None, workers: int | None, memory: int | None, timeout: float | None
    ) -> Engine | None:
        """The engine of a run, which gets each case with its files; the rest as in `run.preprocess.execute`."""
        if self._remote is None:
            return engine
        from monai_mriprep.run.engines import ThisMachine  # loads torch, which a run with nothing to do does not

        ahead = (processors() if workers is None else workers) + MORE_AHEAD
        self._ahead = ReadAhead(session.todo, self._remote.fetch, self._remote.drop, ahead)
        return WithFiles(engine or ThisMachine.limited(workers, memory, timeout), self._ahead)

    def through(self, results: Iterable[Result]) -> Generator[Result, None, None]:
        """The results, which name addresses and no files of this machine; what a case has fetched is removed."""
        for result in results:
            if self._ahead is not None:
                self._ahead.finish(result.case)
            yield self._told_result(result)

    def _told_result(self, result: Result) -> Result:
        error = None if result.error is None else self.told(result.error)
        facts = {key: self.told(value) if isinstance(value, str) else value for key, value in result.facts.items()}
        return replace(result, error=error, warnings=tuple(map(self.told, result.warnings)), facts=facts)

    def told(self, text: str) -> str:
        """A text with addresses in place of the files of this machine that stand for them."""
        return text if self._remote is None else self._remote.told(text)

    def close(self) -> None:
        """Fetch nothing more."""
        if self._ahead is not None:
            self._ahead.close()


@contextmanager
def at_hand(dataset: Path, output: Path, scratch: Path | None = None) -> Iterator[Places]:
    """Have a dataset at hand, or what stands for it while a run is planned and carried out; that goes with the block.

    Parameters
    ----------
    dataset
        A folder, or an address such as ``s3://bucket/scans``.
    output
        A folder.
    scratch
        Where copies of objects lie meanwhile, in a folder of their own; by default where temporary files go.

    Raises
    ------
    DatasetError, RemoteError
        If the dataset cannot be listed, or its headers cannot be read.
    OutputError
        If nothing can be written to `scratch`.
    """
    address = address_of(dataset)
    if address is None:
        yield Places(dataset, output)
        return
    with _scratch_folder(scratch) as folder:
        remote = RemoteDataset(Objects(address), folder)
        remote.read_headers()
        places = Places(dataset, output, remote)
        try:
            yield places
        except MriprepError as error:
            _tell(error, places)
            raise
        finally:
            places.close()


@contextmanager
def _scratch_folder(parent: Path | None) -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix="mriprep-", dir=parent)).resolve()
    except OSError as error:
        msg = f"{error.filename}: no folder can be made there ({error.strerror}); give --scratch a folder with space"
        raise OutputError(msg) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(error: MriprepError, places: Places) -> None:
    """Let an error name addresses, and no files of this machine."""
    error.args = tuple(_told_value(value, places) for value in error.args)
    if isinstance(error, VolumeError):
        error.path, error.problem = places.told(error.path), places.told(error.problem)


def _told_value(value: Any, places: Places) -> Any:
    return places.told(value) if isinstance(value, str) else value
