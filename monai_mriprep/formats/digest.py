"""The hash by which a file is known again."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["sha256_of"]


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, hexadecimal; of a folder, that of the names in it."""
    digest = hashlib.sha256()
    if path.is_dir():
        digest.update("\0".join(sorted(entry.name for entry in path.iterdir())).encode(errors="surrogateescape"))
        return digest.hexdigest()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
