"""nnU-Net's default preprocessor, with our reading, resampling, class locations and writing in it.

What it decides and in what order is nnU-Net's: transpose, crop to the filled mask of non-zero voxels, normalize,
resample, list where the classes are. It computes z-scores itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from batchgenerators.utilities.file_and_folder_operations import load_json
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params
from numpy.typing import NDArray

from monai_mriprep.nnunet.locations import class_locations
from monai_mriprep.nnunet.reading import read_images, read_segmentation
from monai_mriprep.nnunet.threads import one_thread_in_workers
from monai_mriprep.nnunet.writing import Cut, save_case
from monai_mriprep.types import OUTSIDE
from monai_mriprep.volume.fill import box_around, filled
from monai_mriprep.volume.half_pixel import separate_axis
from monai_mriprep.volume.resample import apply_plan, plan_half_pixel
from monai_mriprep.volume.vote import resample_by_vote

__all__ = ["Preprocessor"]

Case = tuple[NDArray[np.float32], NDArray[Any], dict[str, Any]]


class Preprocessor(DefaultPreprocessor):
    """In place of nnU-Net's `DefaultPreprocessor`; its arrays, properties and files, by value."""

    def run_case(
        self, image_files: Any, seg_file: Any, plans_manager: Any, configuration_manager: Any, dataset_json: Any
    ) -> Case:
        """Read and preprocess the files of a case; `seg_file` may be None.

        Returns
        -------
        data
            float32, ``(C, D, H, W)``.
        label
            int8, or int16 where it exceeds 127; ``(1, D, H, W)``.
        properties
            nnU-Net's facts of the case.

        Raises
        ------
        RuntimeError
            If anything fails; it names the case.
        """
        reader = plans_manager.image_reader_writer_class()
        with _naming(image_files), one_thread_in_workers():
            data, properties = read_images(reader, image_files)
            label = None if seg_file is None else read_segmentation(reader, seg_file)
            return self._preprocessed(data, label, properties, plans_manager, configuration_manager, dataset_json)

    def run_case_npy(
        self, data: Any, seg: Any, properties: Any, plans_manager: Any, configuration_manager: Any, dataset_json: Any
    ) -> Case:
        """Preprocess arrays, which are not written to; `properties` is."""
        with one_thread_in_workers():
            copy = data.astype(np.float32)
            return self._preprocessed(copy, seg, properties, plans_manager, configuration_manager, dataset_json)

    def run_case_save(
        self,
        output_filename_truncated: str,
        image_files: Any,
        seg_file: Any,
        plans_manager: Any,
        configuration_manager: Any,
        dataset_json: Any,
    ) -> None:
        """Preprocess a case and write its three files."""
        data, label, properties = self.run_case(
            image_files, seg_file, plans_manager, configuration_manager, dataset_json
        )
        label = label.astype(np.int16, copy=False)
        patch = tuple(configuration_manager.patch_size)
        of_data, of_label = (Cut(*comp_blosc2_params(one.shape, patch, one.itemsize)) for one in (data, label))
        resampled = data.shape[1:] != properties["shape_after_cropping_and_before_resampling"]
        save_case(output_filename_truncated, data, label, properties, (of_data, of_label), resampled)

    def _preprocessed(
        self, data: Any, given: Any, properties: Any, plans_manager: Any, configuration_manager: Any, dataset_json: Any
    ) -> Case:
        """Of data that may be written to. What is not ours, nnU-Net's own method does, or refuses in its words."""
        label = None if given is None else _whole_numbers(given)
        fits = given is None or (label is not None and label.shape[1:] == data.shape[1:])
        if not fits or not np.isfinite(data).all():
            arrays: Case = super().run_case_npy(
                data, given, properties, plans_manager, configuration_manager, dataset_json
            )
            return arrays
        return self._arrays(data, label, properties, plans_manager, configuration_manager, dataset_json)

    def _arrays(
        self, data: Any, label: Any, properties: Any, plans_manager: Any, configuration_manager: Any, dataset_json: Any
    ) -> Case:
        """nnU-Net's steps in its order; the label may be None, and is then only inside and outside."""
        has_label, axes = label is not None, plans_manager.transpose_forward
        data, label, facts = _cropped(data, label, axes)
        properties.update(facts)
        intensities = plans_manager.foreground_intensity_properties_per_channel
        data = self._normalize(data, label, configuration_manager, intensities)
        spacing = [properties["spacing"][axis] for axis in axes]
        data, label = _resampled(data, label, spacing, configuration_manager.spacing)
        if has_label:
            classes = _classes(plans_manager.get_label_manager(_loaded(dataset_json)))
            properties["class_locations"] = class_locations(label, classes)
        return data, label.astype(np.int16 if label.max() > 127 else np.int8, copy=False), properties


@contextmanager
def _naming(files: Sequence[str]) -> Iterator[None]:
    """Let an error say whose it is: neither nnU-Net's own nor those of the libraries that read always do."""
    try:
        yield
    except Exception as error:
        msg = f"the case of {files[0]}: {type(error).__name__}: {error}"
        raise RuntimeError(msg) from error


def _loaded(dataset_json: Any) -> Any:
    return load_json(dataset_json) if isinstance(dataset_json, str) else dataset_json


def _whole_numbers(label: NDArray[Any]) -> NDArray[np.int16] | None:
    """A copy as int16; None if it does not hold the values."""
    with np.errstate(invalid="ignore"):
        copy = label.astype(np.int16)
    return copy if np.array_equal(copy, label) else None


def _cropped(data: Any, label: Any, axes: Any) -> tuple[NDArray[np.float32], NDArray[Any], dict[str, Any]]:
    """The box of the filled mask, with the axes in nnU-Net's order; the label is `OUTSIDE` where it is 0 there."""
    order = [0, *(1 + axis for axis in axes)]
    mask = filled((data != 0).any(axis=0)).transpose(axes)
    data = data.transpose(order)
    box = [list(ends) for ends in box_around(mask) or ((0, size) for size in mask.shape)]
    inside = (slice(None), *(slice(*ends) for ends in box))
    facts = {"shape_before_cropping": data.shape[1:], "bbox_used_for_cropping": box}
    data, mask = data[inside], mask[None][inside]
    facts["shape_after_cropping_and_before_resampling"] = data.shape[1:]
    if label is None:
        return data, np.where(mask, np.int8(0), np.int8(OUTSIDE)), facts
    label = label.transpose(order)[inside]
    label[(label == 0) & ~mask] = OUTSIDE
    return data, label, facts


def _resampled(data: Any, label: Any, spacing: Any, target: Any) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Both on the grid of the plans; a target of two axes is that of the last two."""
    target = [*spacing[: len(spacing) - len(target)], *target]
    before, after = data.shape[1:], tuple(compute_new_shape(data.shape[1:], spacing, target).tolist())
    if before == after:
        return data, label
    separate = separate_axis(spacing, target)
    cubic, vote = (plan_half_pixel(before, after, order=order, separate=separate) for order in (3, 1))
    data = apply_plan(torch.from_numpy(data), cubic, clip="slice").numpy()
    return data, resample_by_vote(torch.from_numpy(label), vote).numpy()


def _classes(labels: Any) -> list[Any]:
    """The classes or regions whose places nnU-Net keeps; with an ignore label also all that is annotated."""
    classes = labels.foreground_regions if labels.has_regions else labels.foreground_labels
    return [*classes, [OUTSIDE, *labels.all_labels]] if labels.has_ignore_label else classes
