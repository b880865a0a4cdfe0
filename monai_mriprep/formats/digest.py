"""The hash by which a file is known again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

__all__ = ["sha256_of", "sha256_of_content"]


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, hexadecimal; of a folder, that of the names in it."""
    if path.is_dir():
        names = "\0".join(sorted(entry.name for entry in path.iterdir()))
        return hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()
    with path.open("rb") as file:
        return sha256_of_content(file)


def sha256_of_content(file: IO[bytes]) -> str:
    """Hash of what an open file holds from its position on, hexadecimal; it is read in pieces."""
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
