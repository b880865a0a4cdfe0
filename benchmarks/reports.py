"""Output folders whose reports are looked at: plain, with planted trouble, real scans, a test set, an old one."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np

from benchmarks.measure import ROOT
from monai_mriprep import advise, preprocess
from monai_mriprep.demo.phantoms import make_demo_dataset, make_phantom
from monai_mriprep.errors import MriprepWarning
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.report.html.advice_page import write_advice_page
from monai_mriprep.report.html.check_file import check_report
from monai_mriprep.report.html.write import write_report
from monai_mriprep.run.check import check_dataset

__all__ = ["NAMES", "Reports"]

NAMES = ("demo", "planted", "mixed", "test_set", "old", "raw", "spacings")

SHAPE, SPACING = (14, 60, 80), (11.0, 3.4, 3.4)
PLAIN = 8
"""Cases without trouble, beside those that are planted."""


class Reports:
    """Output folders by name, each made when it is first asked for, with its report.

    Parameters
    ----------
    root
        Receives a folder for each.
    scans
        The real scans, for ``mixed``.
    """

    def __init__(self, root: Path, scans: Path) -> None:
        self.root = root
        self.scans = scans

    def page(self, name: str) -> Path:
        """The report of one of `NAMES`."""
        return self.folder(name) / "report.html"

    def folder(self, name: str) -> Path:
        """The output folder of one of `NAMES`."""
        output = self.root / name / "preprocessed"
        if not (output / "report.html").exists():
            make = getattr(self, f"_make_{name}")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", MriprepWarning)  # what needs review is in the reports, too
                make(self.root / name, output)
        if not (output / "report.html").exists():
            write_report(output)
        return output

    def _make_demo(self, root: Path, output: Path) -> None:
        """The dataset of the demonstration."""
        make_demo_dataset(root / "dataset")
        preprocess(root / "dataset", output, workers=0)

    def _make_planted(self, root: Path, output: Path) -> None:
        """Eight cases, one with thick slices, one whose label is empty, and one whose file is cut short."""
        for index in range(PLAIN):
            _write(root, f"plain_{index}", *make_phantom(np.random.default_rng(index), SHAPE, SPACING))
        thick = (26.0, 3.4, 3.4)
        _write(root, "thick_slices", *make_phantom(np.random.default_rng(50), (8, 60, 80), thick), thick)
        image, label = make_phantom(np.random.default_rng(51), SHAPE, SPACING)
        _write(root, "empty_label", image, np.zeros_like(label))
        _write(root, "cut_short", image, label)
        file = root / "ImagesTr" / "cut_short.mha"
        file.write_bytes(file.read_bytes()[:-2000])
        preprocess(root, output, workers=0)

    def _make_mixed(self, root: Path, output: Path) -> None:
        """Real scans of several body parts."""
        preprocess(self.scans / "mixed", output, workers=0)

    def _make_test_set(self, root: Path, output: Path) -> None:
        """Images alone, with the recipe and the target of a training set."""
        for index in range(3):
            image, label = make_phantom(np.random.default_rng(index + 80), SHAPE, SPACING)
            _write(root, f"patient_{index}", image, label)
        preprocess(root / "ImagesTr", output, workers=0, like=self.folder("planted"))

    def _make_raw(self, root: Path, output: Path) -> None:
        """Of the planted dataset what a check finds before any run."""
        self.folder("planted")
        output.mkdir(parents=True)
        with check_report(output / "report.html") as page:
            page.write(
                check_dataset(self.root / "planted", voxels=True, workers=1, keep_picture=page.keep_picture),
                "monai-mriprep run DATASET OUTPUT",
            )

    def _make_spacings(self, root: Path, output: Path) -> None:
        """What target spacings keep of the labels of the planted dataset."""
        self.folder("planted")
        output.mkdir(parents=True)
        write_advice_page(output / "report.html", advise(self.root / "planted", workers=1))

    def _make_old(self, root: Path, output: Path) -> None:
        """What version 0.1.0 wrote: no pictures, no measures."""
        shutil.copytree(ROOT / "tests" / "folder_of_0_1_0" / "out", output)


def _write(dataset: Path, name: str, image: np.ndarray, label: np.ndarray, spacing: tuple = SPACING) -> None:
    for folder, array in (("ImagesTr", image), ("LabelsTr", label)):
        (dataset / folder).mkdir(parents=True, exist_ok=True)
        write_metaimage(dataset / folder / f"{name}.mha", array, spacing)
