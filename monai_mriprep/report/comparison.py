"""What tells two output folders apart, as text. Its lines fit into 80 columns, but for names and paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monai_mriprep.errors import counted
from monai_mriprep.report.lines import shown
from monai_mriprep.types import Spacing
from monai_mriprep.verify.comparison import CaseDifference, ClassVolume, Comparison

__all__ = ["comparison_text"]

SHOWN = 20
"""Cases that are named one by one; JSON has all."""


def comparison_text(found: Comparison) -> Iterator[str]:
    """Lines of text: what differs in the recipe, the classes as a table, the cases, the outcome."""
    for name, root, count in zip("AB", found.roots, found.cases, strict=True):
        yield f"{name}: {root} ({counted(count, 'case')})"
    yield from (f"unreadable: {problem}" for problem in found.unreadable)
    if any(found.virtual):
        without = " and ".join(name for name, is_virtual in zip("AB", found.virtual, strict=True) if is_virtual)
        yield f"no volumes in {without}: what was done to images is compared, not arrays"
    yield from (f"recipe: {change}" for change in found.recipe)
    one, other = found.target_spacing
    if one != other:
        yield f"target spacing: {_mm(one)} -> {_mm(other)} mm (z y x)"
    yield from (f"version: {name} {one or '?'} -> {other or '?'}" for name, (one, other) in found.versions.items())
    if found.classes:
        yield from ("", *_aligned([*_class_rows(found.classes)]), "")
    yield from _case_lines(found)
    counts = {"equal": found.same, "changed": found.changed, "only in A": found.lost, "only in B": found.added}
    yield f"{', '.join(f'{len(cases)} {what}' for what, cases in counts.items())}"
    yield "these are the records: no voxel was read (`verify` compares files with records)"


def _mm(spacing: Spacing | None) -> str:
    return "?" if spacing is None else " ".join(f"{value:.6g}" for value in spacing)


def _class_rows(classes: Sequence[ClassVolume]) -> Iterator[list[str]]:
    yield ["class", "A mm3", "B mm3", "change", "A source mm3", "B source mm3"]
    for one in classes:
        a, b = one.volumes
        before = ("?" if volume.mm3_before is None else f"{volume.mm3_before:.1f}" for volume in one.volumes)
        yield [str(one.value), f"{a.mm3:.1f}", f"{b.mm3:.1f}", _change(a.mm3, b.mm3), *before]


def _change(one: float, other: float) -> str:
    if one == other:
        return "none"
    return "new" if one == 0 else f"{other / one - 1:+.2%}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns of numbers, with two blanks between them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


def _case_lines(found: Comparison) -> Iterator[str]:
    for what, names in (("only in A", found.lost), ("only in B", found.added)):
        yield from (f"{what}: {shown(name)}" for name in names[:SHOWN])
        yield from _and_more(what, names)
    for one in found.changed[:SHOWN]:
        yield f"changed: {shown(one.case)}"
        yield from (f"  {fact}" for fact in _what(one))
    yield from _and_more("changed", found.changed)


def _and_more(what: str, cases: Sequence[object]) -> Iterator[str]:
    if len(cases) > SHOWN:
        yield f"{what}: {len(cases) - SHOWN} more, which --json names"


def _what(one: CaseDifference) -> Iterator[str]:
    """What differs in a case."""
    if one.status[0] != one.status[1]:
        yield " -> ".join(one.status)
    if one.sources:
        yield f"other sources: {', '.join(one.sources)}"
    if one.arrays:
        yield f"other arrays: {', '.join(one.arrays)}"
    if one.grid and one.target_grids:
        yield f"{one.grid} {' -> '.join(_grid(grid.shape, grid.spacing) for grid in one.target_grids)}"
    for of_class in one.classes:
        a, b = of_class.volumes
        yield f"class {of_class.value}: {a.mm3:.1f} -> {b.mm3:.1f} mm3 ({_change(a.mm3, b.mm3)})"
        if a.voxels_before != b.voxels_before:
            before = ("?" if volume.voxels_before is None else str(volume.voxels_before) for volume in (a, b))
            yield f"class {of_class.value} of the sources: {' -> '.join(before)} voxels"


def _grid(shape: Sequence[int], spacing: Spacing) -> str:
    return f"{'x'.join(map(str, shape))} of {_mm(spacing)} mm"
