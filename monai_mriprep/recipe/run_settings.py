"""The section ``run`` of a YAML file: where a run reads and writes, and how much it may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, model_validator

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe.sections import Section, Sections, explanation, keys_of
from monai_mriprep.recipe.values import Count, PathText, Seconds

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RUN_KEYS", "RunSettings", "parse_size"]

SMALLEST_BYTES = 2**20
"""A smaller limit of memory is a mistake."""


def _key(what: str, allowed: str) -> Any:
    """A key that may be left out, with its meaning and its allowed values."""
    return Field(None, description=f"{what}\nAllowed: {allowed}.", json_schema_extra={"allowed": allowed})


def parse_size(size: str | int) -> int:
    """Parse ``12G``, ``900M`` or a number of bytes; 1K is 1024.

    Raises
    ------
    ValueError
        If it is something else, or less than any case could need, as where the unit was forgotten.
    """
    number, unit = str(size).strip().upper().removesuffix("IB").removesuffix("B"), 1
    if number[-1:] in "KMGT" and number:
        number, unit = number[:-1], 1024 ** (1 + "KMGT".index(number[-1]))
    try:
        value = int(float(number) * unit)
    except (ValueError, OverflowError):
        value = 0
    if value <= 0 or isinstance(size, bool):
        msg = "is no size"
        raise ValueError(msg)
    if value < SMALLEST_BYTES:
        msg = "is less than any case needs" if unit > 1 else f"would be {value} bytes: did you mean {number}G?"
        raise ValueError(msg)
    return value


def _bytes(size: object) -> object:
    return parse_size(size) if isinstance(size, str | int) else size


class RunSettings(Section):
    """The section ``run`` of a recipe's file. It changes no voxel, so it is not part of the recipe.

    Raises
    ------
    RecipeError
        If a key is unknown or a value is not allowed; one message for all of them.
    """

    dataset: PathText | None = _key(
        "DATASET_ROOT, relative to the folder that the command is given in.", "a path, or null"
    )
    output: PathText | None = _key("OUTPUT_ROOT, relative to the same folder.", "a path, or null")
    like: PathText | None = _key(
        "OUTPUT_ROOT of a training set: its test set's images get its recipe and target spacing.", "a path, or null"
    )
    exclude: PathText | None = _key(
        "A list of cases to leave out, one a line, as `CASE  # comment`.", "a path, or null"
    )
    workers: Count | None = _key(
        "Processes; 0 works in the main one. null: one for each core.", "an integer from 0, or null"
    )
    max_memory: Annotated[int | None, BeforeValidator(_bytes)] = _key(
        "Memory that all processes together may use. null: what there is.",
        "a size such as 12G or 900M, or null",
    )
    case_timeout: Seconds | None = _key(
        "Seconds after which the process of a case is ended; it is tried once more, alone. null: no limit.",
        "a positive number, or null",
    )

    report: bool | None = _key(
        "Whether each case is measured and drawn, and report.html written. null: true.", "true, false, or null"
    )
    virtual: bool | None = _key(
        "Whether records alone are written, no volumes: training takes patches from the scans. null: false.",
        "true, false, or null",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: Callable[[Any], RunSettings], info: ValidationInfo) -> RunSettings:
        """Turn pydantic's errors into one `RecipeError`. The context holds the place of each key."""
        try:
            return handler(data)
        except ValidationError as error:
            raise RecipeError(explanation(error, {"run": data}, info.context or {}, _SECTIONS)) from None


_SECTIONS: Sections = {("run",): RunSettings}
RUN_KEYS = tuple(keys_of(_SECTIONS))
"""The keys, each with its section."""
