"""What a run has done is written back: volumes first, then the records that tell of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any

from monai_mriprep.errors import RecordError, RemoteError
from monai_mriprep.formats.sealed import seal, unseal
from monai_mriprep.remote.output import RemoteOutput
from monai_mriprep.run.cases import Result
from monai_mriprep.run.session import Session
from monai_mriprep.store.journal import entry_name
from monai_mriprep.store.layout import MANIFEST
from monai_mriprep.store.pictures import picture_name
from monai_mriprep.store.record_parts import Origin

__all__ = ["Publisher"]

THREADS = 4
MOST_WAITING = 8
"""Results whose files are on their way."""

BATCH_RECORDS = 64
BATCH_SECONDS = 5.0
"""A batch is written with so many finished cases, or with the first one that comes after this time."""


class Publisher:
    """Writes back what a session does.

    Parameters
    ----------
    output
        Where to.
    session
        Which works in the stage of that.
    """

    def __init__(self, output: RemoteOutput, session: Session) -> None:
        self._output, self._session = output, session
        self._file = output.root / session.recorder.file
        # A shard has a file of its own; the manifest begins with what runs before have written.
        self._offset = output.records.stat().st_size if session.recorder.file == MANIFEST else 0
        self._batches, self._unpublished, self._last = 0, 0, time.monotonic()
        self._threads = ThreadPoolExecutor(THREADS, "write-back")

    def through(self, results: Iterable[Result]) -> Generator[Result, None, None]:
        """The results, each when its files are written back; failed where they cannot be."""
        waiting: deque[Future[Result]] = deque()
        for result in results:
            waiting.append(self._threads.submit(self._written_back, result))
            while waiting and (waiting[0].done() or len(waiting) > MOST_WAITING):
                yield self._noted(waiting.popleft().result())
                self._publish_if_due()
        while waiting:
            yield self._noted(waiting.popleft().result())
            self._publish_if_due()

    def _written_back(self, result: Result) -> Result:
        result = self._with_picture(result)
        if result.status == "failed":
            return result
        try:
            return replace(result, facts={**result.facts, "outputs": self._outputs_put(result.facts["outputs"])})
        except (RemoteError, OSError) as error:
            return Result(result.case, "failed", f"its files cannot be written back: {error}", result.warnings)

    def _with_picture(self, result: Result) -> Result:
        """The result; a picture that cannot be written decides nothing, and is a warning."""
        try:
            self._output.put_picture(picture_name(result.case))
        except (RemoteError, OSError) as error:
            warning = f"{result.case}: the report cannot show it: {error}"
            return replace(result, warnings=(*result.warnings, warning))
        return result

    def _outputs_put(self, outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Write the volumes of a case, the image last, as they are moved into place in a folder."""
        put = {role: self._output.put_volume(outputs[role]["path"]) for role in reversed(list(outputs))}
        return {role: {**facts, "etag": put[role].etag} for role, facts in outputs.items()}

    def _noted(self, result: Result) -> Result:
        """Enter the volumes of a case; of one that failed only now, drop what the journal says."""
        if result.status == "failed":
            with suppress(OSError):
                self._session.store.staging.remove(entry_name(result.case))
        self._note(result.facts.get("outputs", {}))
        return result

    def _note(self, outputs: Mapping[str, Mapping[str, Any]]) -> None:
        for facts in outputs.values():
            path = facts["path"]
            address = f"{self._output.address}/{path}"
            self._output.elsewhere[path] = Origin(address, facts["etag"], facts["size"], facts["mtime_ns"])
        self._unpublished += bool(outputs)

    def _publish_if_due(self) -> None:
        if self._unpublished >= BATCH_RECORDS or time.monotonic() - self._last > BATCH_SECONDS:
            self._session.recorder.flush()  # before the volumes go from the stage, their entries in the journal must
            self.publish()

    def publish(self) -> None:
        """Write the records that were added since the last time, and remove the volumes that they tell of from here.

        Raises
        ------
        RemoteError
            If they, or volumes that were not written yet, cannot be written.
        """
        lines = self._new_lines()
        if lines:
            records = list(self._settled(lines))
            content = "".join(f"{record}\n" for record in records).encode()
            # Of the same name until it succeeds: an object whose answer was lost is replaced, and tells nothing twice.
            self._output.put_records(self._session.store.writer, self._batches + 1, content)
            self._batches += 1
            self._offset += sum(len(line) + 1 for line in lines)
            for path in chain.from_iterable(_outputs(records).values()):
                (self._output.root / path).unlink(missing_ok=True)
        self._unpublished, self._last = 0, time.monotonic()

    def _new_lines(self) -> list[bytes]:
        if not self._file.exists():
            return []
        with self._file.open("rb") as file:
            file.seek(self._offset)
            return file.read().split(b"\n")[:-1]

    def _settled(self, lines: Iterable[bytes]) -> Iterator[str]:
        """The records, which say where in the store the volumes of their cases are."""
        before: dict[str, list[str]] | None = None
        for line in lines:
            facts = _facts(line) or {"event": None}
            if facts["event"] == "retired":
                before = self._recorded_outputs() if before is None else before
                yield seal({**facts, "files": self._retire(facts["case"], before)})
            elif facts["event"] == "done" and any("etag" not in file for file in facts["outputs"].values()):
                facts["outputs"] = self._outputs_put(facts["outputs"])  # what a session has found at its end
                self._note(facts["outputs"])
                yield seal(facts)
            else:
                yield line.decode()

    def _recorded_outputs(self) -> dict[str, list[str]]:
        with self._output.records.open("rb") as records:
            return _outputs(records)

    def _retire(self, case: str, before: dict[str, list[str]]) -> list[str]:
        """Move what a case had, but for what another one has, too."""
        self._output.remove_picture(picture_name(case))
        had = before.pop(case, [])
        kept = {path for paths in before.values() for path in paths}
        moved = (self._output.retire(path) for path in had if path not in kept)
        return [path for path in moved if path is not None]

    def close(self) -> None:
        """Wait for what is on its way."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _facts(line: bytes | str) -> dict[str, Any] | None:
    """What a record says; None of a line that is none."""
    try:
        return unseal(line if isinstance(line, str) else line.decode(errors="replace"))[1]
    except RecordError:
        return None


def _outputs(lines: Iterable[bytes | str]) -> dict[str, list[str]]:
    """The paths of the volumes of each case that is done, and was not retired since."""
    found: dict[str, list[str]] = {}
    for facts in filter(None, map(_facts, lines)):
        if facts["event"] == "done":
            found[facts["case"]] = [file["path"] for file in facts["outputs"].values()]
        elif facts["event"] == "retired":
            found.pop(facts["case"], None)
    return found
