"""Which charts a page has: one case against the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from monai_mriprep.measures.model import PERCENTILES
from monai_mriprep.report.html.axes import axis_of, counting, shown_number
from monai_mriprep.report.html.charts import Chart, Row, Value, ranked, strips
from monai_mriprep.report.html.facts import CaseFacts, Page
from monai_mriprep.report.html.volumes import class_volumes
from monai_mriprep.volume.axes import axis_codes
from monai_mriprep.volume.geometry import Grid

__all__ = ["charts_of"]

MOST_ROWS = 12
"""Of a chart: classes, or orientations."""
AXES = ("z", "y", "x")
NEARLY_ALL = (95.0, 105.0)
"""Percent: a chart of what is kept shows no smaller range, in which rounding would look like a difference."""
SPREAD = "median and 5th to 95th percentile, as scanned"
LOW, MIDDLE, HIGH = (PERCENTILES.index(percent) for percent in (5, 50, 95))


def charts_of(page: Page) -> tuple[Chart, ...]:
    """The charts of a page, without those of which nothing is known."""
    kinds = [next(iter(case.kinds), "") for case in page.cases]
    return tuple(chart for chart in (*_of_grids(page, kinds), *_of_voxels(page, kinds)) if chart.dots)


def _of_grids(page: Page, kinds: Sequence[str]) -> Iterator[Chart]:
    grids = {number: case.cohort.grid for number, case in enumerate(page.cases, 1) if case.cohort.grid is not None}
    line = "" if page.target is None else "; the lines are the target"
    yield strips("Spacing", f"mm, as scanned{line}", kinds, _spacings(grids, page.target or (None,) * 3))
    yield strips("Size", "voxels, as scanned", kinds, _sizes(grids))
    codes = _orientations(grids)
    most = max((len(row.values) for row in codes), default=0)
    yield strips("Orientation", "cases; where the axes x, y, z run to", kinds, codes, counting(most))


def _of_voxels(page: Page, kinds: Sequence[str]) -> Iterator[Chart]:
    channels = max((_channels(case) for case in page.cases), default=0)
    for channel in range(channels):
        yield ranked(_intensity_title(page, channel, channels), SPREAD, kinds, _intensities(page.cases, channel))
    volumes, kept = _class_rows(page.cases), _kept_rows(page.cases)
    yield strips("Label volume", f"ml, as scanned{_of_classes(volumes)}", kinds, volumes[:MOST_ROWS])
    axis = axis_of([*(value.value for row in kept for value in row.values), *NEARLY_ALL])
    yield strips("Label volume kept", f"% of it, after resampling{_of_classes(kept)}", kinds, kept[:MOST_ROWS], axis)


def _of_classes(rows: Sequence[Row]) -> str:
    return f"; the first {MOST_ROWS} of {len(rows)} classes" if len(rows) > MOST_ROWS else ", of each class"


def _spacings(grids: Mapping[int, Grid], target: Sequence[float | None]) -> list[Row]:
    return [
        Row(name, [_value(number, grid.spacing[axis], "mm", name) for number, grid in grids.items()], target[axis])
        for axis, name in enumerate(AXES)
    ]


def _sizes(grids: Mapping[int, Grid]) -> list[Row]:
    return [
        Row(name, [_value(number, grid.shape[axis], "voxels", name) for number, grid in grids.items()])
        for axis, name in enumerate(AXES)
    ]


def _value(number: int, value: float, unit: str, name: str) -> Value:
    return Value(number, value, f"{name} {shown_number(value)} {unit}")


def _orientations(grids: Mapping[int, Grid]) -> list[Row]:
    """A bar of dots for each orientation, the most frequent first."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, grid in grids.items():
        found[axis_codes(grid)].append(number)
    often = sorted(found.items(), key=lambda item: -len(item[1]))[:MOST_ROWS]
    return [Row(codes, [Value(case, rank, codes) for rank, case in enumerate(cases, 1)]) for codes, cases in often]


def _channels(case: CaseFacts) -> int:
    measured = 0 if case.cohort.measures is None else len(case.cohort.measures.image)
    return max(measured, len(case.moments))


def _intensity_title(page: Page, channel: int, channels: int) -> str:
    if channels == 1:
        return "Intensity"
    return f"Intensity of {page.channels[channel] if channel < len(page.channels) else f'channel {channel}'}"


def _intensities(cases: Sequence[CaseFacts], channel: int) -> Iterator[Value]:
    for number, case in enumerate(cases, 1):
        if (spread := _spread(case, channel)) is not None:
            low, middle, high = spread
            yield Value(number, middle, " ".join(map(shown_number, (low, middle, high))), (low, high))


def _spread(case: CaseFacts, channel: int) -> tuple[float, float, float] | None:
    """Low, middle and high intensity; by mean and standard deviation where there are no percentiles."""
    measures = case.cohort.measures
    if measures is not None and channel < len(measures.image):
        percentiles = measures.image[channel].percentiles
        return percentiles[LOW], percentiles[MIDDLE], percentiles[HIGH]
    if channel < len(case.moments):
        mean, std = case.moments[channel].mean, case.moments[channel].std
        return mean - std, mean, mean + std
    return None


def _class_rows(cases: Sequence[CaseFacts]) -> list[Row]:
    rows: dict[int, list[Value]] = defaultdict(list)
    for number, case in enumerate(cases, 1):
        for volume in class_volumes(case.cohort):
            rows[volume.value].append(_value(number, volume.before, "ml", f"class {volume.value}"))
    return [Row(str(value), rows[value], None, value) for value in sorted(rows)]


def _kept_rows(cases: Sequence[CaseFacts]) -> list[Row]:
    rows: dict[int, list[Value]] = defaultdict(list)
    for number, case in enumerate(cases, 1):
        for volume in class_volumes(case.cohort):
            if volume.kept is not None:
                rows[volume.value].append(Value(number, 100 * volume.kept, f"class {volume.value} {volume.kept:.1%}"))
    return [Row(str(value), rows[value], 100.0, value) for value in sorted(rows)]
