"""Names of volumes: suffixes, stems, their order, where they lead. How DICOM slices are recognised.

Words: a *stem* is a file name without its volume suffix. Names are compared as they are written; only the
suffix ignores case.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from monai_mriprep.errors import MriprepError

__all__ = [
    "SUFFIXES",
    "address_in",
    "composed",
    "holds_dicom",
    "natural_key",
    "real_path",
    "refuse_address",
    "stem",
    "suffix_of",
]

SUFFIXES = (".nii.gz", ".mha", ".mhd", ".nii", ".nrrd", ".nhdr", ".hdr", ".mgz", ".mgh")
"""The formats that are read; the longest suffix first."""

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}([^/].*)", re.DOTALL)


def address_in(path: str | Path) -> str | None:
    """The address in an object store that stands in the place of a path; None if it is a path.

    A `Path` has lost one of the two slashes.

    >>> address_in("s3://bucket/scans"), address_in(Path("s3://bucket/scans")), address_in("/data/scans")
    ('s3://bucket/scans', 's3://bucket/scans', None)
    """
    found = _ADDRESS.fullmatch(os.fspath(path))
    return found and f"{found[1]}://{found[2]}"


def refuse_address(place: str | Path, kind: type[MriprepError]) -> None:
    """Refuse an address where a folder is needed, with an error of this kind."""
    address = address_in(place)
    if address is not None:
        msg = (
            f"{address}: a folder is needed here, and this is an address in an object store. The commands `run`, "
            "`plan` and `merge` take one, and so does `preprocess`; for all else copy it into a folder, such as with "
            f"`aws s3 sync {address} FOLDER`, and give that"
        )
        raise kind(msg)


def stem(path: str | Path) -> str:
    """File name without its volume suffix; the whole name if it has none.

    >>> stem("ImagesTr/10000_0001_0000.nii.gz")
    '10000_0001_0000'
    """
    name = Path(path).name
    suffix = suffix_of(name)
    return name.removesuffix(name[len(name) - len(suffix) :]) if suffix else name


def composed(name: str) -> str:
    """In unicode's composed form: a file copied from macOS may spell ``ü`` with two characters."""
    return unicodedata.normalize("NFC", name)


def natural_key(name: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """Sort key that compares numbers inside names by value: ``case_2`` before ``case_10``."""
    parts = re.split(r"([0-9]+)", name)
    return tuple(_by_value(part) if odd % 2 else part for odd, part in enumerate(parts)), name


def _by_value(digits: str) -> tuple[int, str]:
    """Of any number of digits, while Python makes a number of 4,300 at most."""
    digits = digits.lstrip("0")
    return len(digits), digits


def real_path(path: Path) -> Path:
    """Where a path leads once all links are followed; one that leads to itself, which `Path.resolve` refuses, stays."""
    return Path(os.path.realpath(path))


def suffix_of(name: str) -> str | None:
    """The volume suffix that a file name ends in, in lower case; None if it has none."""
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)


def holds_dicom(folder: Path) -> bool:
    """Whether a folder holds a DICOM file: 128 arbitrary bytes, then ``DICM`` (PS3.10, section 7.1)."""
    try:
        return any(_is_dicom(path) for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    except OSError:
        return False


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
