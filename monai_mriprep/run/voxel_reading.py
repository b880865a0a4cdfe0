"""One case, read before a run: whether its voxels can be, and what image and label hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from monai_mriprep.dataset.voxel_summary import ImageSummary, LabelSummary, combined, summarize_image, summarize_label
from monai_mriprep.errors import VolumeError
from monai_mriprep.formats.header import Header, Outline
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.measures.body import Body, find_body
from monai_mriprep.measures.image import measure_image
from monai_mriprep.measures.label import measure_label
from monai_mriprep.measures.model import CaseMeasures, ImageMeasures, LabelMeasures
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.dataset_report import CaseReport
from monai_mriprep.run.estimates import shown_bytes
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Outlines", "read_case"]

Outcome = TypeVar("Outcome")
Outlines = Mapping[Path, Outline | VolumeError]


@dataclass(frozen=True)
class _Channel:
    """What one channel of an image says."""

    summary: ImageSummary
    measures: ImageMeasures | None = None
    body: Body | None = None

    @classmethod
    def of(cls, voxels: NDArray[Any], grid: Grid) -> _Channel:
        """Values that float32 does not hold are not measured."""
        summary = summarize_image(voxels)
        if any(summary.problems()):
            return cls(summary)
        return cls(summary, measure_image(voxels, grid), find_body(voxels, grid))


@dataclass(frozen=True)
class _Label:
    """What a label says."""

    summary: LabelSummary
    measures: LabelMeasures


def read_case(recipe: Recipe, outlines: Outlines, room: int, report: CaseReport) -> CaseReport:
    """Read image and label, each as far as it can be read, and judge them.

    Parameters
    ----------
    recipe
        Of the run.
    outlines
        Of the header of each file, or what is wrong with it.
    room
        Bytes of voxels that a file may hold.
    report
        What its headers say.
    """
    channels, unread = _read_channels(outlines, room, report)
    known = [channel for channel in channels if channel is not None]
    label, label_unread = _read_label(outlines, room, report, [channel.body for channel in known if channel.body])
    summaries = [None if channel is None else channel.summary for channel in channels]
    of_image = (*unread, *_of_channels(summaries, ImageSummary.problems))
    of_label = (*label_unread, *(label.summary.problems(dict(recipe.label_map)) if label else ()))
    measured = tuple(channel.measures for channel in known if channel.measures is not None)
    return replace(
        report,
        problems=(*report.problems, *of_image, *of_label),
        warnings=(
            *report.warnings,
            *_of_channels(summaries, ImageSummary.warnings),
            *(label.summary.warnings() if label else ()),
        ),
        image_contents=combined([channel.summary for channel in known]) if len(known) == len(channels) else None,
        label_contents=label.summary if label else None,
        measures=CaseMeasures(
            image=measured if len(measured) == len(channels) else (), label=label.measures if label else None
        ),
    )


def _read_channels(outlines: Outlines, room: int, report: CaseReport) -> tuple[list[_Channel | None], list[str]]:
    """The channels of a case, None for a file that cannot be read; and why not."""
    channels: list[_Channel | None] = []
    problems = []
    for path in (report.image, *report.channels):
        found, unread = _attempt(_channels_of, path, outlines[path], room)
        problems += unread
        channels += found or (None,)
    return channels, problems


def _channels_of(header: Header) -> tuple[_Channel, ...]:
    channels = read_voxels(header).reshape(-1, *header.grid.shape)
    return tuple(_Channel.of(channel, header.grid) for channel in channels)


def _read_label(
    outlines: Outlines, room: int, report: CaseReport, bodies: Sequence[Body]
) -> tuple[_Label | None, list[str]]:
    """The label of a case, if it has one that can be read; and why not."""

    def label_of(header: Header) -> _Label:
        voxels = read_voxels(header)
        return _Label(summarize_label(voxels), measure_label(voxels, header.grid, bodies))

    return (None, []) if report.label is None else _attempt(label_of, report.label, outlines[report.label], room)


def _of_channels(
    channels: Sequence[ImageSummary | None], say: Callable[[ImageSummary], Iterable[str]]
) -> Iterator[str]:
    """What is to be said of the channels that were read; which one, where there are several."""
    for number, channel in enumerate(channels):
        which = f"channel {number}: " if len(channels) > 1 else ""
        yield from (f"{which}{text}" for text in (say(channel) if channel else ()))


def _attempt(
    read: Callable[[Header], Outcome], path: Path, outline: Outline | VolumeError, room: int
) -> tuple[Outcome | None, list[str]]:
    """Summarise a volume, or say why not; a header that could not be read is a problem already."""
    if isinstance(outline, VolumeError):
        return None, []
    too_large = f"{path}: not read: {shown_bytes(outline.nbytes)} of voxels do not fit into the memory"
    try:
        fits = outline.nbytes <= room
        return (read(read_header(path, outline.channels)), []) if fits else (None, [too_large])
    except VolumeError as error:
        return None, [str(error)]
    except MemoryError:
        return None, [too_large]
