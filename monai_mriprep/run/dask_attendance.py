"""How many workers a Dask scheduler has while cases of a run are there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monai_mriprep.errors import ClusterError, package_logger

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Attendance"]

LOGGER = package_logger()

ASK_SECONDS = 5.0
"""Between two questions for how many workers there are."""

SILENT_SECONDS = 60.0
"""Without any worker, until a run that goes on waiting says so."""


class Attendance:
    """Asks a scheduler now and then how many workers it has, and says once when there has been none for a minute.

    Parameters
    ----------
    client
        Connected to the scheduler.
    at_first
        How many there were when the run began.
    patience
        Seconds without any worker after which the run ends.

    Attributes
    ----------
    joined
        How many more there are now; 0 where there are fewer.
    """

    def __init__(self, client: Client, at_first: int, patience: float) -> None:
        self.joined = 0
        self._client, self._at_first, self._patience = client, at_first, patience
        self._asked = self._seen = time.monotonic()
        self._is_told = False

    def ask(self) -> None:
        """Ask, unless that was a moment ago."""
        now = time.monotonic()
        if now - self._asked > ASK_SECONDS and self._client.status == "running":
            there = self._client.scheduler_info(n_workers=0)["n_workers"]
            self.joined, self._asked = max(0, there - self._at_first), now
            if there:
                self._seen, self._is_told = now, False

    @property
    def is_empty(self) -> bool:
        """Whether there was none when last asked."""
        return self._asked > self._seen

    def require(self, waiting: int) -> None:
        """Go on where there are workers, or were a while ago; or may be later, for so many cases wait for them.

        Raises
        ------
        ClusterError
            If there has been none for too long.
        """
        self.ask()
        seconds = self._asked - self._seen
        if seconds > self._patience:
            msg = "no worker is left, and none has come back; run the same command again"
            raise ClusterError(msg)
        if seconds > SILENT_SECONDS and not self._is_told:
            self._is_told = True
            self._tell(waiting)

    def _tell(self, waiting: int) -> None:
        remedy = "start workers, or press Ctrl-C and run the same command later"
        address = self._client.scheduler.address
        LOGGER.warning(
            "%s has had no worker for a minute, and %d of the cases wait there; %s", address, waiting, remedy
        )
