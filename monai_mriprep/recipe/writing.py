"""A recipe as YAML: every key with its meaning, its allowed values and its value."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from monai_mriprep.recipe.model import Recipe
from monai_mriprep.recipe.run_settings import RunSettings
from monai_mriprep.recipe.sections import Section

__all__ = ["commented_yaml"]

WIDTH = 120

HEADINGS = {
    "pattern": "Which files belong together",
    "statistics": "Which spacing all cases get",
    "geometry": "Resampling",
    "intensity": "Intensities",
    "label_map": "Labels",
    "steps": "Steps of your own",
}
"""The heading above the first key of each group."""

HEADER = r"""# Every key of a recipe with its value under `preset: {preset}`{note}
#
# Made by    monai-mriprep recipe --preset {preset} > configs/{preset}.yaml
# Words      A triple is in array axis order, [z, y, x]; a spacing is in millimetres.
# Numbers    Plain decimals. YAML takes 1e-3 for text: write 1.0e-3 or 0.001.
# One key    can be changed from the shell: --set grid=nnunet --set normalization.foreground=native
# Sources    [1] Isensee et al., nnU-Net, Nature Methods 18 (2021), 203-211, and its code (v2).
#            [2] MONAI, transforms Spacing and NormalizeIntensity.
#            [3] ITK, ResampleImageFilter and BSplineInterpolateImageFunction.
#            Reasons and measurements: docs/recipe.md.
"""

NOTES = {"default": ": what `monai-mriprep run` does without --config."}


def commented_yaml(recipe: Recipe | None = None) -> str:
    """Write a recipe as YAML, with a comment above each key; `load_recipe` reads it back to the same recipe.

    Parameters
    ----------
    recipe
        By default the default recipe.

    Returns
    -------
    str
        Lines of at most 120 characters, except for longer values.
    """
    recipe = recipe or Recipe()
    header = HEADER.format(preset=recipe.preset, note=NOTES.get(recipe.preset, "."))
    return "\n".join([header, *_section(recipe), "", *_run_section()]) + "\n"


def _run_section() -> Iterator[str]:
    """The section `run`, as a comment, because it is optional and not part of the recipe."""
    yield from ("# --- The run ".ljust(WIDTH, "-"), "")
    yield "# Optional: what the command line of `monai-mriprep run` would say, which wins over it."
    yield "# run:"
    for line in _section(RunSettings(), "  "):
        yield f"# {line}".rstrip()


def _section(section: Section, indent: str = "") -> Iterator[str]:
    """The lines of a section, with an empty line between keys."""
    for number, (key, info) in enumerate(type(section).model_fields.items()):
        value = getattr(section, key)
        if number:
            yield ""
        if not indent and key in HEADINGS:
            yield f"# --- {HEADINGS[key]} ".ljust(WIDTH, "-")
            yield ""
        for line in (info.description or "").splitlines():
            yield from _comment(line, indent)
        if isinstance(value, Section):
            yield f"{indent}{key}:"
            yield from _section(value, f"{indent}  ")
        else:
            yield f"{indent}{key}: {_as_yaml(section.model_dump(mode='json')[key])}"


def _comment(line: str, indent: str) -> list[str]:
    """Wrap one line. If it begins with a choice (``monai:``), further lines are indented to the text after it."""
    choice = re.match(r"[\w.]+: +(?!$)", line)
    hang = " " * (choice.end() if choice and not line.startswith("Allowed") else 0)
    return textwrap.wrap(
        line,
        WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# {hang}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _as_yaml(value: Any) -> str:
    """One value in one line."""
    if isinstance(value, dict):  # JSON has made text of its keys, which are numbers
        value = {int(key): item for key, item in value.items()}
    text: str = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("...\n").strip()
