"""Sealed JSON: an object on one line that carries its version, and a digest by which any change of it is noticed.

``{"version": 1, ..., "digest": "0123456789abcdef"}``. The digest is the last key: the first 16 hexadecimal digits of
the SHA-256 of the line up to the comma before it. This form is the same in all versions, so that a line of a newer
version is told from a damaged one. A record of 0.1.0 to 0.3.0 has neither key.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from monai_mriprep.errors import RecordError
from monai_mriprep.types import LABEL

__all__ = ["CHANNELS", "FORMAT_VERSION", "VERSIONS", "NewerVersionError", "format_of", "seal", "unseal"]

CHANNELS = 2
"""The format of what tells of several channels, or of a test set."""

FORMAT_VERSION = 3
"""The highest of records and of comments in an ``.npz``: of a case without volumes; 0 has lines without a digest."""

VERSIONS = 10_000
"""No version is as high as that; a number that is, is no version."""

_SEALED = re.compile(r'(?s)(\{.*), "digest": "([0-9a-f]{16})"\}\s*')


class NewerVersionError(RecordError):
    """A newer version of this program has written it."""


def format_of(facts: dict[str, Any]) -> int:
    """The lowest format that can hold this: 1, unless it tells of several channels, a test set, or no volumes."""
    record = facts.get("record", facts)
    sources = record.get("sources") if isinstance(record, dict) else None
    if not sources or not isinstance(sources, dict):
        return 1
    if record.get("outputs") == {}:
        return FORMAT_VERSION
    has_channels = any(isinstance(files, list) for files in sources.values())
    return CHANNELS if has_channels or LABEL.name not in sources else 1


def seal(facts: dict[str, Any]) -> str:
    """One line of JSON, without the newline, with version and digest."""
    body = json.dumps({"version": format_of(facts), **facts})[:-1]
    return f'{body}, "digest": "{_digest(body)}"}}'


def unseal(line: str) -> tuple[int, dict[str, Any]]:
    """The version and the facts of a line.

    Raises
    ------
    NewerVersionError
        If it is of a newer version, and undamaged.
    RecordError
        If it is damaged, or no JSON object.
    """
    found = _SEALED.fullmatch(line)
    if found is not None and _digest(found[1]) != found[2]:
        msg = "its digest is not that of its content"
        raise RecordError(msg)
    facts = _parsed(line if found is None else found[1] + "}")
    version = facts.pop("version", 0)
    is_version = type(version) is int and 0 <= version < VERSIONS
    if (version == 0) != (found is None) or "digest" in facts or not is_version:
        msg = "its digest is damaged"
        raise RecordError(msg)
    if version > FORMAT_VERSION:
        msg = (
            f"a newer version of monai-mriprep has written it (format {version}, this one reads up to {FORMAT_VERSION})"
        )
        raise NewerVersionError(msg + "; update monai-mriprep")
    return version, facts


def _parsed(text: str) -> dict[str, Any]:
    """Parse by Python's own parser, for pydantic's refuses names of files that are not text."""
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of more digits than Python takes
        msg = "it is no whole JSON"
        raise RecordError(msg) from error
    if not isinstance(facts, dict):
        msg = "it is no JSON object"
        raise RecordError(msg)
    return facts


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode(errors="surrogatepass")).hexdigest()[:16]
