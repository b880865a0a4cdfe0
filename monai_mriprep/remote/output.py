"""An output folder in an object store. A run works in a stage for it on this machine, whose files are written back.

Records are the truth here, too. A store cannot append, so each batch of them is an object of its own,
``.records/ATTEMPT.WRITER/000001.jsonl``: the lines that a manifest would have, in the order of the names. Each run has
a prefix of its own, so that nobody ever writes an object of another's. A record is written when the volumes of its case
are there; a case is done if its record stands and the volumes in the listing are the recorded ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from monai_mriprep.errors import OutputError
from monai_mriprep.remote.address import last_part
from monai_mriprep.remote.objects import Objects, Stored
from monai_mriprep.store.attempts import Attempt, Shard
from monai_mriprep.store.layout import (
    CASES,
    DATASET,
    MANIFEST,
    PICTURES,
    REPORT,
    REPORT_PAGES,
    RUN,
    STATISTICS,
    TABLE,
    VOLUME_FOLDERS,
    is_page,
)
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.store.store import named_errors, open_store
from monai_mriprep.windows import mapped_in_window

__all__ = ["RECORDS", "RemoteOutput"]

RECORDS = ".records"

_BATCH = re.compile(rf"{re.escape(RECORDS)}/(?P<attempt>[0-9]{{4,9}})\.[^/]+/[0-9]{{6}}\.jsonl")

THREADS = 16


class RemoteOutput:
    """An output folder in an object store, and the stage for it.

    Parameters
    ----------
    objects, scratch
        As of `monai_mriprep.remote.dataset.RemoteDataset`.

    Attributes
    ----------
    address
        Where it is.
    root
        The stage: an output folder for whoever works.
    elsewhere
        The volumes in the store, by their paths.
    attempt
        Number of this run, one more than the highest of those before it; runs that begin at once may share it.
    records
        A file of all records, those of this run as far as they are in the store.
    """

    def __init__(self, objects: Objects, scratch: Path) -> None:
        self.objects = objects
        self.address = objects.address
        self.root = scratch / "out" / last_part(objects.address)
        self.elsewhere: dict[str, Origin] = {}
        self.attempt = 1
        self.records = scratch / "records.jsonl"
        self._listed: dict[str, Stored] = {}
        self._run_json: bytes | None = None

    def read_records(self, apart: bool = False) -> None:
        """Bring what a run must know of those before it to the stage: records, ``run.json``, a list, a computed table.

        Parameters
        ----------
        apart
            Put the records of shards that neither a run of the whole nor a merge has come after into files of their
            own, as shards do it.

        Raises
        ------
        OutputError
            If there are records, and not where a run puts them.
        RemoteError
            If objects cannot be listed or read.
        """
        self._listed = self.objects.list()
        batches = sorted(filter(_BATCH.fullmatch, self._listed), key=lambda name: (_attempt(name), name))
        if not batches and MANIFEST in self._listed:
            msg = (
                f"{self.address}: is a copy of an output folder, without {RECORDS}/, and a run cannot go on with it; "
                "choose another address, or copy it into a folder and run there"
            )
            raise OutputError(msg)
        self.attempt = 1 + max((_attempt(name) for name in batches), default=0)
        self.elsewhere.update((name, self._origin(name, of)) for name, of in self._listed.items() if _is_volume(name))
        self.root.mkdir(parents=True)
        own_files = _of_shards(batches[self._merged_count(batches) :]) if apart else {}
        with self.records.open("wb") as records:
            for name, content in zip(batches, mapped_in_window(self.objects.read, batches, THREADS), strict=True):
                lines = content if content.endswith(b"\n") else content + b"\n"
                records.write(lines)
                with (self.root / own_files.get(name, MANIFEST)).open("ab") as file:
                    file.write(lines)
        for name in {RUN, STATISTICS, CASES} & self._listed.keys():
            (self.root / name).write_bytes(self.objects.read(name))
        self._run_json = self._on_stage(RUN)

    def _origin(self, name: str, stored: Stored) -> Origin:
        return Origin(f"{self.address}/{name}", stored.etag, stored.size, stored.modified_ns)

    def _merged_count(self, batches: Sequence[str]) -> int:
        """How many of them, from the first, were there when a merge or a run of the whole has written the manifest."""
        sizes = list(accumulate((self._listed[name].size for name in batches), initial=0))
        size = self._listed[MANIFEST].size if MANIFEST in self._listed else 0
        return sizes.index(size) if size in sizes else 0

    def put_volume(self, path: str) -> Origin:
        """Write a volume of the stage back; errors as of `Objects.put`."""
        return self._origin(path, self.objects.put(path, self.root / path))

    def put_picture(self, name: str) -> None:
        """Write the picture of a case back; if it has none, remove that of an earlier run: it shows other voxels."""
        if (self.root / PICTURES / name).is_file():
            self.objects.put(f"{PICTURES}/{name}", self.root / PICTURES / name)
        else:
            self.remove_picture(name)

    def remove_picture(self, name: str) -> None:
        """Remove the picture that an earlier run has left of a case."""
        if self._listed.pop(f"{PICTURES}/{name}", None) is not None:
            self.objects.remove(f"{PICTURES}/{name}")

    def put_records(self, writer: str, number: int, content: bytes) -> None:
        """Write a batch of records."""
        self.objects.put(f"{RECORDS}/{self.attempt:04d}.{writer}/{number:06d}.jsonl", content)
        with named_errors(self.records, "what is in the store cannot be noted"), self.records.open("ab") as truth:
            truth.write(content)

    def retire(self, path: str) -> str | None:
        """Move a volume to where those are that have left the dataset; it replaces nothing.

        Returns
        -------
        str or None
            Where it is; None if it was not there.
        """
        if self.elsewhere.pop(path, None) is None:
            return None
        stem, dot, suffix = path.rpartition(".")
        names = (f"retired/{path}", *(f"retired/{stem}.{number}{dot}{suffix}" for number in range(2, 1000)))
        new = next(name for name in names if name not in self._listed)
        self.objects.move(path, new)
        self._listed[new] = self._listed.pop(path, Stored(0, "", 0))
        return new

    def put_plan(self) -> None:
        """Write back what `plan` has decided; errors as of `put_description`.

        ``run.json`` is the first, which decides whose list it is. Until that is there nobody takes the one before.
        """
        self.put_description()
        self.objects.put(CASES, self.root / CASES)

    def put_description(self) -> None:
        """Write ``run.json`` back, if it has changed, and the statistics that gave its target; the first run decides.

        A list that was dropped goes.

        Raises
        ------
        OutputError
            If another run has begun there meanwhile, to other ends.
        """
        content = self._on_stage(RUN)
        if content is not None and content != self._run_json:
            self._put_run_json(content)
        if CASES in self._listed and not (self.root / CASES).exists():
            self.objects.remove(CASES)
            del self._listed[CASES]

    def _put_run_json(self, content: bytes) -> None:
        if self._run_json is not None:
            self.objects.put(RUN, content)
        elif not self.objects.create(RUN, content) and not _is_of_same_run(self.objects.read(RUN), content):
            msg = (
                f"{self.address}: another run has begun there at this moment, by another recipe, to another target or "
                "by another list of cases; nothing was changed. Run again, which says what differs"
            )
            raise OutputError(msg)
        self._run_json = content
        if (self.root / STATISTICS).is_file():
            self.objects.put(STATISTICS, self.root / STATISTICS)

    def fetch_pictures(self) -> int:
        """Bring the pictures of earlier runs to the stage, for a report of all cases; their number."""
        (self.root / PICTURES).mkdir(exist_ok=True)
        names = [name for name in self._listed if name.startswith(f"{PICTURES}/") and not (self.root / name).exists()]
        return sum(1 for _ in mapped_in_window(self._fetch, names, THREADS))

    def _fetch(self, name: str) -> None:
        self.objects.get(name, self.root / name, self._listed[name])

    def fetch_volumes(self, cases: Iterable[str]) -> int:
        """Bring the volumes of a few cases to the stage; the number of those that were not there."""
        with open_store(self.root) as store:
            index = read_index(store.root)
            records = filter(None, map(index.done, cases))
            paths = [file.path for record in records for file in record.outputs.values()]
        missing = [path for path in paths if path in self.elsewhere and not (self.root / path).exists()]
        for path in missing:
            _, etag, size, modified_ns = self.elsewhere[path]
            self.objects.get(path, self.root / path, Stored(size, etag, modified_ns))
        return len(missing)

    @property
    def has_report(self) -> bool:
        """Whether an earlier run has left one."""
        return REPORT in self._listed

    @property
    def is_derived(self) -> bool:
        """Whether what is derived from the records was written after the last of them: it holds all of them."""
        return MANIFEST in self._listed and self._listed[MANIFEST].size == self.records.stat().st_size

    def put_derived(self) -> None:
        """Write back what is derived from the records, with the records in one file, as an output folder has them."""
        self.put_description()
        for name in (TABLE, DATASET):
            content = self._on_stage(name)
            if content is not None:
                self.objects.put(name, content)
            elif name in self._listed:
                self.objects.remove(name)  # an older one is worse than none
        pages = dict(self._pages())
        for name, content in pages.items():
            self.objects.put(name, content)
        if pages:
            for name in self._listed:
                if name.startswith(f"{REPORT_PAGES}/") and is_page(name.rpartition("/")[2]) and name not in pages:
                    self.objects.remove(name)
        self.objects.put(MANIFEST, self.records)  # the last, by which the next run sees that the others are written

    def _pages(self) -> Iterator[tuple[str, bytes]]:
        """The report, which names the address and not the stage."""
        folder = self.root / REPORT_PAGES
        names = [REPORT, *(f"{REPORT_PAGES}/{page.name}" for page in (folder.iterdir() if folder.is_dir() else ()))]
        for name in names:
            content = self._on_stage(name)
            if content is not None:
                yield name, content.replace(str(self.root).encode(), self.address.encode())

    def _on_stage(self, name: str) -> bytes | None:
        place = self.root / name
        return place.read_bytes() if place.is_file() else None

    def told(self, text: str) -> str:
        """A text that names files of the stage, with their addresses instead."""
        return text.replace(str(self.root), self.address)


def _attempt(name: str) -> int:
    found = _BATCH.fullmatch(name)
    return int(found["attempt"]) if found else 0


def _of_shards(batches: Sequence[str]) -> dict[str, str]:
    """The files in which shards have these batches that are not merged: no run of the whole has come after them."""
    found = {name: (_attempt(name), Shard.of(name.split("/")[1].rpartition("+")[2])) for name in batches}
    merged = max((attempt for attempt, shard in found.values() if shard is None), default=0)
    return {
        name: Attempt(attempt, shard).file
        for name, (attempt, shard) in found.items()
        if shard is not None and attempt > merged
    }


def _is_volume(name: str) -> bool:
    return name.partition("/")[0] in VOLUME_FOLDERS


def _is_of_same_run(one: bytes, other: bytes) -> bool:
    """Whether two ``run.json`` are of one recipe, target, version, round, list and kind."""
    try:
        facts = [json.loads(content) for content in (one, other)]
        return all(facts[0].get(key) == facts[1].get(key) for key in ("fingerprint", "redo", "like", "plan", "virtual"))
    except (ValueError, AttributeError):  # it is none of a run
        return False
