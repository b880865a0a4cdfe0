"""The comment of a preprocessed file: one line of sealed JSON with its affine and, in a file of a run, how it was made.

Up to 0.3.0 it was JSON with the affine alone, and no seal; `affine` still is a key of its own, so that versions before
read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.formats.sealed import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["FIRST_LEFT_OUT", "LARGEST", "fitting_facts", "read_comment", "write_comment"]

LARGEST = 65_534
"""Bytes of a comment; a zip archive can hold one more."""

FIRST_LEFT_OUT = ("classes", "labels_before", "labels_after", "trace")
"""What is left out, in this order, of a comment that would be larger."""


def write_comment(affine: NDArray[np.float64], facts: Mapping[str, Any]) -> bytes:
    """The comment.

    Parameters
    ----------
    affine
        4 x 4.
    facts
        What else it says, as plain JSON.
    """
    return seal({"affine": affine.tolist(), **facts}).encode()


def fitting_facts(affine: NDArray[np.float64], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that fit into a comment: all of them, or without the first of `FIRST_LEFT_OUT`."""
    kept = dict(facts)
    for name in FIRST_LEFT_OUT:
        if len(write_comment(affine, kept)) <= LARGEST:
            break
        kept.pop(name, None)
    return kept


def read_comment(comment: bytes) -> tuple[NDArray[np.float64] | None, dict[str, Any]]:
    """The affine, and what else a sealed comment says; None and nothing of an empty one.

    Raises
    ------
    NewerVersionError
        If a newer version has written it.
    RecordError
        If it is damaged, or no JSON object.
    KeyError, ValueError, TypeError, OverflowError
        If its affine is missing, or no finite 4 x 4 matrix.
    """
    if not comment:
        return None, {}
    version, facts = unseal(comment.decode(errors="replace"))
    affine = np.array(facts.pop("affine"), dtype=np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        msg = "the affine in the archive's comment is not a finite 4 x 4 matrix"
        raise ValueError(msg)
    return affine, facts if version else {}
