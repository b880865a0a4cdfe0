"""Models of what stands in files of ours: plain values of JSON, checked once, where they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from monai_mriprep.errors import RecordError

__all__ = ["Count", "Finite", "Model", "Sha256", "Whole", "checked", "shortened"]

LONGEST_REASON = 300
"""In characters."""

Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A number that 64 bits can hold; a line of JSON can hold one of thousands of digits."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""Hexadecimal."""


class Model(BaseModel):
    """Frozen, no conversions; keys that a later version may add are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)


Checked = TypeVar("Checked")


def checked(adapter: TypeAdapter[Checked], facts: Mapping[str, Any]) -> Checked:
    """Plain values as what an adapter makes of them.

    Raises
    ------
    RecordError
        If they do not fit.
    """
    try:
        return adapter.validate_python(facts)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        msg = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
        raise RecordError(shortened(msg)) from error


def shortened(text: str) -> str:
    """The start of what is wrong, for it may quote anything."""
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."
