"""One case, read before a run: whether its voxels can be, what image and label hold, and how they look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from monai_mriprep.pictures.draw import draw
from monai_mriprep.pictures.scan import Scan
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.dataset_report import CaseReport
from monai_mriprep.run.estimates import shown_bytes
from monai_mriprep.run.look import BEFORE, Volume
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CaseReader", "KeepPicture", "Outlines"]

Outcome = TypeVar("Outcome")
Outlines = Mapping[Path, Outline | VolumeError]
KeepPicture = Callable[[str, bytes], None]
"""Takes the name of a case and its picture, WebP; called from several threads."""


@dataclass(frozen=True)
class CaseReader:
    """Reads cases, each file once.

    Parameters
    ----------
    recipe
        Of the run.
    outlines
        Of the header of each file, or what is wrong with it.
    room
        Bytes of voxels that a file may hold.
    keep_picture
        Given a picture of each case whose image can be read. Without it nothing is drawn.
    """

    recipe: Recipe
    outlines: Outlines
    room: int
    keep_picture: KeepPicture | None = None

    def read(self, report: CaseReport) -> CaseReport:
        """Read image and label, each as far as it can be read.

        Parameters
        ----------
        report
            What the headers say.

        Returns
        -------
        CaseReport
            What headers and voxels say.
        """
        channels, unread = self._read_channels(report)
        known = [channel for channel in channels if channel is not None]
        label, label_unread = self._read_label(report, [channel.body for channel in known if channel.body])
        summaries = [None if channel is None else channel.summary for channel in channels]
        of_image = (*unread, *_of_channels(summaries, ImageSummary.problems))
        of_label = (*label_unread, *(label.summary.problems(dict(self.recipe.label_map)) if label else ()))
        measured = tuple(channel.measures for channel in known if channel.measures is not None)
        return replace(
            report,
            problems=(*report.problems, *of_image, *of_label),
            warnings=(
                *report.warnings,
                *_of_channels(summaries, ImageSummary.warnings),
                *(label.summary.warnings(self.recipe.label_outside) if label else ()),
                *self._draw(report.case, channels[0], label),
            ),
            image_contents=combined([channel.summary for channel in known]) if len(known) == len(channels) else None,
            label_contents=label.summary if label else None,
            measures=CaseMeasures(
                image=measured if len(measured) == len(channels) else (), label=label.measures if label else None
            ),
        )

    def _read_channels(self, report: CaseReport) -> tuple[list[_Channel | None], list[str]]:
        """The channels of a case, None for a file that cannot be read; and why not. The first one is drawn."""
        channels: list[_Channel | None] = []
        problems = []
        for path in (report.image, *report.channels):
            is_drawn = self.keep_picture is not None and not channels
            found, unread = self._attempt(partial(_channels_of, is_drawn=is_drawn), path)
            problems += unread
            channels += found or (None,)
        return channels, problems

    def _read_label(self, report: CaseReport, bodies: Sequence[Body]) -> tuple[_Label | None, list[str]]:
        """The label of a case, if it has one that can be read; and why not."""
        if report.label is None:
            return None, []
        is_drawn = self.keep_picture is not None
        return self._attempt(partial(_label_of, bodies=bodies, is_drawn=is_drawn), report.label)

    def _attempt(self, read: Callable[[Header], Outcome], path: Path) -> tuple[Outcome | None, list[str]]:
        """What is read of a file, or why it cannot be; a header that could not be read is a problem already."""
        outline = self.outlines[path]
        if isinstance(outline, VolumeError):
            return None, []
        too_large = f"{path}: not read: {shown_bytes(outline.nbytes)} of voxels do not fit into the memory"
        try:
            fits = outline.nbytes <= self.room
            return (read(read_header(path, outline.channels)), []) if fits else (None, [too_large])
        except VolumeError as error:
            return None, [str(error)]
        except MemoryError:
            return None, [too_large]

    def _draw(self, case: str, image: _Channel | None, label: _Label | None) -> Iterator[str]:
        """Hand over the picture, with the label where its header puts it; or say why there is none."""
        if self.keep_picture is None or image is None or image.volume is None:
            return
        try:
            self.keep_picture(case, _picture(image.volume, label))
        except Exception as error:  # noqa: BLE001 - whatever it is, it says nothing of the case
            yield f"no picture of it could be made: {type(error).__name__}: {error}"


@dataclass(frozen=True, eq=False)
class _Channel:
    """What one channel of an image says; ``volume`` where it is to be drawn."""

    summary: ImageSummary
    measures: ImageMeasures | None
    body: Body | None
    volume: Volume | None


@dataclass(frozen=True, eq=False)
class _Label:
    """What a label says; ``volume`` where it is to be drawn."""

    summary: LabelSummary
    measures: LabelMeasures
    volume: Volume | None


def _channels_of(header: Header, is_drawn: bool) -> tuple[_Channel, ...]:
    """All channels of a file; of these the first one is drawn."""
    first, *others = read_voxels(header).reshape(-1, *header.grid.shape)
    return (_channel(first, header.grid, is_drawn), *(_channel(other, header.grid, False) for other in others))


def _channel(voxels: NDArray[Any], grid: Grid, is_drawn: bool) -> _Channel:
    """Values that float32 does not hold are not measured."""
    summary, volume = summarize_image(voxels), (voxels, grid) if is_drawn else None
    if any(summary.problems()):
        return _Channel(summary, None, None, volume)
    return _Channel(summary, measure_image(voxels, grid), find_body(voxels, grid), volume)


def _label_of(header: Header, bodies: Sequence[Body], is_drawn: bool) -> _Label:
    voxels, grid = read_voxels(header), header.grid
    volume = (voxels, grid) if is_drawn else None
    return _Label(summarize_label(voxels), measure_label(voxels, grid, bodies), volume)


def _picture(image: Volume, label: _Label | None) -> bytes:
    if label is None or label.volume is None:
        return draw([Scan(*image, title=BEFORE)])
    return draw([Scan(*image, *label.volume, title=BEFORE)], label.measures.centre)


def _of_channels(
    channels: Sequence[ImageSummary | None], say: Callable[[ImageSummary], Iterable[str]]
) -> Iterator[str]:
    """What is to be said of the channels that were read; which one, where there are several."""
    for number, channel in enumerate(channels):
        which = f"channel {number}: " if len(channels) > 1 else ""
        yield from (f"{which}{text}" for text in (say(channel) if channel else ()))
