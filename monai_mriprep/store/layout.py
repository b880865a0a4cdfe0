"""The names in an output folder, and which of them are ours.

::

    imagesTr/ labelsTr/                  the volumes of a training set, nothing else
    imagesTs/                            those of a test set
    run.json                             recipe and target spacing
    cases.jsonl                          the list of cases, where `plan` was used
    mri_statistics.csv                   statistics that a run has computed
    manifest.jsonl                       the records
    manifest.ATTEMPT.I-of-N.jsonl        those of a shard, until they are merged (`monai_mriprep.store.attempts`)
    manifest.csv dataset.json            derived from the records
    splits_final.json                    folds, where `split` was used
    advice.json                          what target spacings keep of the labels, where `advise` was used
    report.html                          derived from the records and the pictures
    report/                              its further pages, where there are many cases
    .report/CASE.webp                    a picture of a case, before and after
    .partial/WRITER/                     files and journal of one writer
    .lock                                held while a run is alive
    retired/                             files of cases that have left the dataset
    NAME.set-aside                       what stood where one of these must be
"""

from __future__ import annotations

import os
import re

from monai_mriprep.errors import RecordError
from monai_mriprep.types import ROLE_OF_FOLDER, ROLES

__all__ = [
    "ADVICE",
    "CASES",
    "DATASET",
    "FILES",
    "FOLDERS",
    "LOCK",
    "LONGEST_NAME",
    "MANIFEST",
    "OUTPUT_SUFFIX",
    "PARTIAL",
    "PICTURES",
    "PROBE",
    "REPORT",
    "REPORT_PAGES",
    "RETIRED",
    "ROLE_FOLDERS",
    "RUN",
    "SET_ASIDE",
    "SPLITS",
    "STATISTICS",
    "TABLE",
    "VOLUME_FOLDERS",
    "check_bare",
    "is_entry",
    "is_output",
    "is_page",
    "is_probe",
    "is_staged",
    "is_temporary",
]

RUN = "run.json"
CASES = "cases.jsonl"
STATISTICS = "mri_statistics.csv"
MANIFEST = "manifest.jsonl"
TABLE = "manifest.csv"
DATASET = "dataset.json"
SPLITS = "splits_final.json"
ADVICE = "advice.json"
REPORT = "report.html"
REPORT_PAGES = "report"
PICTURES = ".report"
LOCK = ".lock"
PARTIAL = ".partial"
RETIRED = "retired"
SET_ASIDE = ".set-aside"
OUTPUT_SUFFIX = ".npz"
PROBE = ".probe-"
"""Start of the name of a file that is moved into a folder and out again, to see whether that works."""

ROLE_FOLDERS = {role.name: role.folder for role in ROLES}
"""The folder of each role of a training set, by its name."""
VOLUME_FOLDERS = tuple(ROLE_OF_FOLDER)
FOLDERS = (*VOLUME_FOLDERS, PARTIAL, PICTURES, REPORT_PAGES)
FILES = (LOCK, RUN, CASES, STATISTICS, MANIFEST, TABLE, DATASET, SPLITS, ADVICE, REPORT)

LONGEST_NAME = 255
"""In bytes; file systems take no longer one."""

_STAGED = re.compile(r"[0-9]{1,10}-[0-9a-f]{32}\.npz")
_TEMPORARY = re.compile(
    r"[0-9]{1,10}-[0-9a-f]{32}\.(?:npz|json|old)|[0-9a-f]{64}\.(?:journal|unfinished)|manifest\.csv"
)
_ENTRY = re.compile(r"[0-9a-f]{64}\.journal")
_PAGE = re.compile(r"page-[0-9]{4,}\.html")


def is_output(name: str) -> bool:
    """Whether a preprocessed volume may have this bare name."""
    is_short = len(name.encode(errors="surrogatepass")) <= LONGEST_NAME
    return name.endswith(OUTPUT_SUFFIX) and not name.startswith(".") and _is_bare(name) and is_short


def is_page(name: str) -> bool:
    """Whether a further page of a report has this name."""
    return _PAGE.fullmatch(name) is not None


def is_staged(name: str) -> bool:
    """Whether a volume that waits to be moved into place may have this name."""
    return _STAGED.fullmatch(name) is not None


def is_entry(name: str) -> bool:
    """Whether an entry of the journal may have this name."""
    return _ENTRY.fullmatch(name) is not None


def is_probe(name: str) -> bool:
    """Whether an interrupted probe may have left this name in a folder of volumes."""
    return name.startswith(PROBE) and is_staged(name.removeprefix(PROBE))


def is_temporary(name: str) -> bool:
    """Whether we, or a version before us, may have left this name in a folder of temporary files."""
    return _TEMPORARY.fullmatch(name) is not None


def check_bare(name: str) -> str:
    """Return a name that leads to no other folder.

    Raises
    ------
    RecordError
        If it does.
    """
    if not _is_bare(name):
        msg = f"{name!r} is not the bare name of a file"
        raise RecordError(msg)
    return name


def _is_bare(name: str) -> bool:
    try:
        encoded = os.fsencode(name)
    except UnicodeError:  # JSON can hold text that no name can be
        return False
    return encoded not in (b"", b".", b"..") and os.sep not in name and b"\0" not in encoded
