"""Small DICOM series, written by ITK's GDCM."""

from __future__ import annotations

import locale
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK

ROTATION = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
SPACING = (0.7, 0.8, 3.3)
ORIGIN = (-12.5, 30.25, 7.125)


def write_series(
    folder: Path,
    stack: np.ndarray,
    *,
    skip: Sequence[int] = (),
    uids: Sequence[str] | None = None,
    depths: Sequence[float] | None = None,
    slopes: Sequence[float] | None = None,
    shift: float = 0.0,
) -> Path:
    """Write the slices of ``(z, y, x)``, oblique, in reversed order of names; return the folder.

    Parameters
    ----------
    skip
        Slices to leave out.
    uids
        The series of each slice.
    depths
        Where each slice stands, in slices.
    slopes
        The rescale slope of each slice.
    shift
        Mm by which each slice is moved along x against the one below it.
    """
    folder.mkdir(parents=True)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k, plane in enumerate(stack):
        if k in skip:
            continue
        image = SimpleITK.GetImageFromArray(plane)
        image.SetSpacing(SPACING[:2])
        depth = k if depths is None else depths[k]
        position = np.array(ORIGIN) + ROTATION[:, 2] * SPACING[2] * depth + ROTATION[:, 0] * shift * k
        uid = "1.2.826.0.1.3680043.2.1125.1" if uids is None else uids[k]
        tags = {
            "0008|0060": "MR",
            "0008|0018": f"{uid}.1.{k + 1}",
            "0020|000d": f"{uid}.9",
            "0020|000e": uid,
            "0020|0013": str(k + 1),
            "0020|0032": _decimals(position),
            "0020|0037": _decimals([*ROTATION[:, 0], *ROTATION[:, 1]]),
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        path = folder / f"{len(stack) - k:03d}.dcm"
        writer.SetFileName(str(path))
        with _same_locale():
            writer.Execute(image)
        if slopes is not None:
            path.write_bytes(_rescaled(path.read_bytes(), slopes[k]))
    return folder


@contextmanager
def _same_locale() -> Iterator[None]:
    """GDCM's writer sets the locale of the process to C, in which text files without a named encoding are ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


PIXELS = b"\xe0\x7f\x10\x00"


def _rescaled(data: bytes, slope: float) -> bytes:
    """Set rescale intercept and slope; GDCM's writer takes whole slopes only, and has written some or none."""
    head, tag, pixels = data.partition(PIXELS)
    for element, value in ((0x1052, "0"), (0x1053, f"{slope:g}")):
        key, text = struct.pack("<HH", 0x0028, element), value.encode() + b" " * (len(value) % 2)
        before, found, after = head.partition(key)
        if found:
            after = after[4 + struct.unpack("<I", after[:4])[0] :]
        head = before + key + struct.pack("<I", len(text)) + text + after
    return head + tag + pixels


def _decimals(values: Sequence[float] | np.ndarray) -> str:
    """At most 16 characters each, as DICOM allows."""
    return "\\".join(f"{value:.10g}" for value in np.asarray(values, float))
