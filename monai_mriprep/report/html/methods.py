"""What a paper can quote: a paragraph of methods from the recipe that was used, and BibTeX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monai_mriprep.errors import counted
from monai_mriprep.recipe import Recipe
from monai_mriprep.report.html.axes import shown_row
from monai_mriprep.report.html.facts import Paper
from monai_mriprep.types import Spacing
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Study", "paper_of"]


@dataclass(frozen=True)
class Study:
    """What was done, as far as a paper tells it.

    Parameters
    ----------
    recipe, target
        By which.
    target_from
        Where the target comes from: a key of `TARGETS`.
    done, failed, excluded
        How many cases.
    has_labels
        False for a test set.
    grids
        Of the scans that were preprocessed.
    versions
        Of packages, by name.
    """

    recipe: Recipe
    target: Spacing
    target_from: str
    done: int
    failed: int
    excluded: int
    has_labels: bool
    grids: Sequence[Grid]
    versions: Mapping[str, str]


ITSELF = "monai-mriprep"
TARGETS = {
    "published": "the median spacing of the dataset (along z the 10th percentile, if the median along z is at least "
    "three times that along x)",
    "nnunet": "by the rule of nnU-Net",
    "recipe": "which was set beforehand",
    "training": "that of the training set",
    "plans": "that of nnU-Net's plans",
}
SPLINES = {0: "nearest-neighbour", 1: "linear", 2: "quadratic B-spline", 3: "cubic B-spline"}
BOUNDARIES = {"nearest": "repeated", "mirror": "mirrored"}
GRIDS = {
    "monai": "the centres of the first voxels coincide",
    "nnunet": "the extents of the volumes coincide (half-pixel convention)",
    "itk": "the centres of the first voxels coincide, with sizes as in SimpleITK",
    "nnunet_exact": "the extents of the volumes coincide (half-pixel convention), with sizes as in nnU-Net",
}
LABELS = {
    "nearest": "nearest-neighbour interpolation",
    "linear": "linear interpolation of each class, of which the highest wins",
}
FOREGROUNDS = {
    "carried": "the non-zero voxels of the original scan, carried to the new grid by nearest-neighbour interpolation",
    "resampled": "the non-zero voxels of the resampled image",
    "resampled_positive": "the voxels of the resampled image that are greater than zero",
    "native": "the non-zero voxels of the original scan, before resampling",
    "crop": "all voxels that the crop leaves, before resampling",
    "filled": "the non-zero voxels of the original scan, their holes filled, before resampling; what lies outside "
    "stays 0",
}


def paper_of(study: Study) -> Paper:
    """The paragraph and the BibTeX."""
    return Paper(" ".join(_sentences(study)), bibtex(study.versions))


def _sentences(study: Study) -> Iterator[str]:
    yield from _who(study)
    if study.grids:
        yield _scans(study.grids)
    yield from _geometry(study.recipe)
    yield from _resampling(study)
    yield _intensities(study.recipe)
    if study.recipe.steps:
        yield f"Further steps: {', '.join(step.name for step in study.recipe.steps)}."


def _who(study: Study) -> Iterator[str]:
    versions, is_one = study.versions, study.done == 1
    scans = "One MRI scan" if is_one else f"{study.done} MRI scans"
    with_labels = (" and its segmentation" if is_one else " and their segmentations") if study.has_labels else ""
    channels = study.recipe.channels or ()
    several = (
        f" of {len(channels)} channels{'' if is_one else ' each'} ({', '.join(channels)})" if len(channels) > 1 else ""
    )
    of_tools = {"MONAI": ("monai", " (Cardoso et al., 2022)"), "PyTorch": ("torch", "")}
    tools = [f"{name} {versions[key]}{cited}" for name, (key, cited) in of_tools.items() if key in versions]
    yield (
        f"{scans}{several}{with_labels} {'was' if is_one and not with_labels else 'were'} preprocessed with "
        f"{f'monai-mriprep {versions.get(ITSELF, str())}'.rstrip()}{', based on ' * bool(tools)}{' and '.join(tools)}, "
        "following nnU-Net (Isensee et al., 2021)."
    )
    if study.excluded:
        yield f"{counted(study.excluded, 'further case')} {'was' if study.excluded == 1 else 'were'} excluded."
    if study.failed:
        yield f"{counted(study.failed, 'further case')} could not be preprocessed."


def _scans(grids: Sequence[Grid]) -> str:
    spacings, shapes = (np.array([getattr(grid, name) for grid in grids]) for name in ("spacing", "shape"))
    spacing, size = _middle("voxel size", spacings, " mm"), _middle("size", shapes, " voxels")
    return f"The {'scan' if len(grids) == 1 else 'scans'} had {spacing} and {size} (z, y, x)."


def _middle(name: str, rows: NDArray[np.float64], unit: str) -> str:
    """The median of each column, and the range where there is one."""
    low, middle, high = map(shown_row, (rows.min(0), np.median(rows, 0), rows.max(0)))
    return (
        f"a {name} of {middle}{unit}" if low == high else f"a median {name} of {middle} (range {low} to {high}){unit}"
    )


def _geometry(recipe: Recipe) -> Iterator[str]:
    if recipe.label_map:
        yield f"Label values were renumbered ({', '.join(f'{old} to {new}' for old, new in recipe.label_map)})."
    if recipe.geometry != "strict":
        what = "Labels" if recipe.geometry == "resample_label" else "Labels and channels"
        yield f"{what} on another grid than the image were first resampled onto it by their headers."
    if recipe.orientation != "keep":
        yield f"The axes of all volumes were turned to {recipe.orientation}."
    if recipe.transpose != "none":
        yield "The axes were put into another order."
    if recipe.crop != "none":
        margin = f", with a margin of {recipe.crop_margin:g} mm" if recipe.crop_margin else ""
        yield f"Volumes were cropped to the non-zero voxels of the image{margin}."


def _resampling(study: Study) -> Iterator[str]:
    recipe = study.recipe
    orders = recipe.orders
    along = [f"{SPLINES[order]} along {axis}" for axis, order in zip("zyx", orders, strict=True)]
    spline = f"{SPLINES[orders[0]] if len(set(orders)) == 1 else ', '.join(along)} interpolation"
    clipped = f", clipped to the range of the {'slice' if recipe.clip == 'slice' else 'scan'}" if recipe.clip else ""
    labels = f", labels by {LABELS[recipe.label]}" if study.has_labels else ""
    yield f"All volumes were resampled to {shown_row(study.target)} mm (z, y, x), {TARGETS[study.target_from]}."
    yield (
        f"Images were resampled by {spline} (values {BOUNDARIES[recipe.boundary]} beyond the border{clipped}){labels}; "
        f"{GRIDS[recipe.grid]}."
    )
    if recipe.separate_axis == "auto":
        yield (
            f"Where spacings differed by more than {recipe.separate_threshold:g} times, the coarsest axis was "
            "interpolated by nearest neighbour."
        )


def _intensities(recipe: Recipe) -> str:
    over = FOREGROUNDS[recipe.normalization.foreground]
    each = " of each channel" if recipe.channel_count > 1 else ""
    if recipe.intensity == "none":
        return "Intensities were not normalised."
    if recipe.intensity == "percentile":
        return (
            f"Intensities{each} were clipped to the 0.5 and 99.5 percentile of the foreground and scaled to between "
            f"0 and 1; the foreground is {over}."
        )
    epsilon = f" (plus {recipe.normalization.epsilon:g})" if recipe.normalization.epsilon else ""
    return (
        f"Intensities{each} were z-scored: the mean of the foreground was subtracted from the whole image, which was "
        f"divided by the standard deviation of the foreground{epsilon}; the foreground is {over}."
    )


def bibtex(versions: Mapping[str, str]) -> str:
    """The entries of nnU-Net, MONAI and this software."""
    version = versions.get(ITSELF, "")
    return BIBTEX + (SOFTWARE % version if version else SOFTWARE.replace("  version = {%s},\n", ""))


BIBTEX = """\
@article{isensee2021nnunet,
  author = {Isensee, Fabian and Jaeger, Paul F. and Kohl, Simon A. A. and Petersen, Jens and Maier-Hein, Klaus H.},
  title = {{nnU-Net}: a self-configuring method for deep learning-based biomedical image segmentation},
  journal = {Nature Methods},
  volume = {18},
  number = {2},
  pages = {203--211},
  year = {2021},
  doi = {10.1038/s41592-020-01008-z},
}

@article{cardoso2022monai,
  author = {Cardoso, M. Jorge and Li, Wenqi and Brown, Richard and others},
  title = {{MONAI}: An open-source framework for deep learning in healthcare},
  journal = {arXiv preprint arXiv:2211.02701},
  year = {2022},
  doi = {10.48550/arXiv.2211.02701},
}

"""
SOFTWARE = """\
@software{monai_mriprep,
  author = {{monai-mriprep maintainers}},
  title = {monai-mriprep: {MRI} preprocessing for segmentation},
  version = {%s},
  license = {Apache-2.0},
}
"""
