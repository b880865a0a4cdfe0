"""A small synthetic dataset, preprocessed, with pictures of before and after."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from monai_mriprep.demo.phantoms import make_demo_dataset
from monai_mriprep.demo.pictures import Scan, save_comparison
from monai_mriprep.errors import OutputError, package_logger, write_error
from monai_mriprep.formats.npz import read_npz
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.run.cases import output_paths
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.preprocess import Observer, execute
from monai_mriprep.run.session import RunSummary, open_session
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.records import Done

__all__ = ["DemoReport", "make_demo"]

MARKER = "monai-mriprep-demo.txt"
MARKER_TEXT = "The command `monai-mriprep demo` made this folder. Where this file is, it writes again.\n"


@dataclass(frozen=True)
class DemoReport:
    """What the demonstration did, and a text for people about it."""

    summary: RunSummary
    text: str


def make_demo(folder: Path, workers: int | None, observe: Observer) -> DemoReport:
    """Make the dataset, preprocess it, and draw each case before and after.

    Parameters
    ----------
    folder
        Receives ``dataset``, ``preprocessed`` and ``pictures``. It must not exist, or an earlier demonstration must
        have made it.
    workers, observe
        As in `monai_mriprep.run.preprocess.execute`.

    Raises
    ------
    OutputError
        If there is such a folder, and no demonstration has made it; or if it cannot be made. Nothing is written then.
    """
    _take(folder)
    package_logger().info("making a synthetic dataset in %s ...", folder / "dataset")
    dataset, output, pictures = folder / "dataset", folder / "preprocessed", folder / "pictures"
    make_demo_dataset(dataset)
    plan = plan_run(dataset, output, redo=True)
    with open_session(plan) as session:
        summary = execute(session, workers, observe=observe)
        index = read_index(session.store.root)
        done = sorted(result.case for result in summary.done)
        records = [index.done(case) for case in done]
    cases = {case.name: case for case in plan.cases}
    for case in map(cases.__getitem__, done):
        before = _native(*(path for (path,) in case.sources.values()))
        after = _preprocessed(*output_paths(output, case).values())
        save_comparison(pictures / f"{case.name}.png", [before, after])
    lines = [
        "",
        plan.derivation,
        "",
        _HEADING,
        *(_line(record) for record in records if record is not None),
        "",
    ]
    lines += [f"dataset       {dataset}", f"results       {output}", f"pictures      {pictures}", "", _NEXT]
    return DemoReport(summary, "\n".join(lines))


def _take(folder: Path) -> None:
    """Make the folder and mark it, unless it is there and marked."""
    try:
        folder.mkdir(parents=True)
        (folder / MARKER).write_text(MARKER_TEXT)
    except FileExistsError:
        if not os.path.isfile(folder / MARKER):  # noqa: PTH113, Path raises below a closed one
            msg = (
                f"{folder} is there already, and `demo` did not make it ({MARKER} is not in it), so nothing is written "
                "there: give the name of a folder that does not exist"
            )
            raise OutputError(msg) from None
    except OSError as error:
        raise write_error(error, f"{folder}: cannot be made ({error.strerror}); give another folder") from error


_HEADING = f"{'case':<18} {'size z y x':<16} {'spacing in mm':<18}    {'becomes':<16} {'foreground':<18} labels"
_NEXT = """In Python:    np.load("imagesTr/....npz")["arr_0"]   is (1, D, H, W), float32, z-scored
Your own:     monai-mriprep run DATASET_ROOT OUTPUT_ROOT"""


def _line(record: Done) -> str:
    size, becomes = (" x ".join(map(str, grid.shape)) for grid in (record.source_grid, record.target_grid))
    spacing = " x ".join(f"{value:.3g}" for value in record.source_grid.spacing)
    moments = zip(record.foreground.mean, record.foreground.std, strict=True)
    foreground = ", ".join(f"{mean:.1f} +- {std:.1f}" for mean, std in moments)
    labels = ", ".join(f"{value}: {count}" for value, count in record.labels.after.items() if value)
    return f"{record.case:<18} {size:<16} {spacing:<18} -> {becomes:<16} {foreground:<18} {labels}"


def _native(image: Path, label: Path) -> Scan:
    header = read_header(image)
    return Scan(f"{image.name}: as scanned", read_voxels(header), read_voxels(read_header(label)), header.grid.spacing)


def _preprocessed(image: Path, label: Path) -> Scan:
    volume = read_npz(image)
    z, y, x = volume.spacing.tolist()
    return Scan(f"{image.name}: preprocessed", volume.array[0], read_npz(label).array[0], (z, y, x))
