"""nnU-Net's work with its own code and with ours, measured in this process. `benchmarks.inside_nnunet` starts it.

usage: python -m benchmarks.inside_measured RESULT.json cases FOLDER ROUNDS
       python -m benchmarks.inside_measured RESULT.json export stock|ours CLASSES
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.peers.arrays import plans_for
from benchmarks.peers.nnunet_preprocess import NAME, PLANS, set_folders
from benchmarks.resampling import resident

BEFORE, AFTER = (120, 200, 200), (200, 320, 320)
"""The grids of the logits and of the scan, z y x."""

Facts = dict[str, Any]


def cases(folder: str, rounds: str) -> Facts:
    """CPU seconds of each case, from files to files, stock and ours in turns; all has been done once before."""
    set_folders(Path(folder))
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    raw, done = Path(folder, "raw", NAME), Path(folder, "done", NAME)
    description = json.loads((raw / "dataset.json").read_text())
    work: dict[str, Callable[[Path], float]] = {}
    for side in ("stock", "ours"):
        plans = PlansManager(str(done / f"{PLANS}.json"))
        with _code_of(side):
            configuration = plans.get_configuration("3d_fullres")
        rest = plans, configuration, description
        work[side] = _timed(configuration.preprocessor_class(verbose=False), Path(folder, side), raw, rest)
    labels = sorted((raw / "labelsTr").iterdir())
    [run(labels[0]) for run in work.values()]
    seconds: dict[str, list[list[float]]] = {side: [] for side in work}
    for number in range(int(rounds)):
        found: dict[str, list[float]] = {side: [] for side in work}
        for label in labels:
            for side in sorted(work, reverse=bool(number % 2)):
                found[side].append(work[side](label))
        for side, values in found.items():
            seconds[side].append(values)
    return seconds


def _timed(preprocessor: Any, output: Path, raw: Path, rest: Sequence[Any]) -> Callable[[Path], float]:
    output.mkdir(exist_ok=True)

    def run(label: Path) -> float:
        image = raw / "imagesTr" / f"{label.stem}_0000{label.suffix}"
        [path.unlink() for path in output.iterdir()]  # blosc2 replaces no file
        start = time.process_time()
        preprocessor.run_case_save(str(output / label.stem), [str(image)], str(label), *rest)
        return time.process_time() - start

    return run


def export(side: str, classes: str) -> Facts:
    """CPU seconds and extra peak memory from logits in half precision to the label map, and that map."""
    _export(side, int(classes), (12, 20, 20), (20, 32, 32))  # so that nothing but the work is measured
    return _export(side, int(classes), BEFORE, AFTER)


def _export(side: str, classes: int, before: tuple[int, ...], after: tuple[int, ...]) -> Facts:
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(plans_for([1.0, 1.0, 1.0]))
    with _code_of(side):
        configuration = plans.get_configuration("3d_fullres")
    names = {"background": 0} | {f"class {value}": value for value in range(1, classes)}
    facts = {
        "spacing": [m / n for m, n in zip(before, after, strict=True)],
        "shape_before_cropping": after,
        "bbox_used_for_cropping": [[0, n] for n in after],
        "shape_after_cropping_and_before_resampling": after,
    }
    labels = plans.get_label_manager({"labels": names})
    logits = _logits(classes, before)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at what is resident now
    memory, cpu, wall = resident("VmRSS"), time.process_time(), time.perf_counter()
    label = convert_predicted_logits_to_segmentation_with_correct_shape(logits, plans, configuration, labels, facts)
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return {**spent, "mib": (resident("VmHWM") - memory) / 2**20, "label": label}


def _logits(classes: int, shape: tuple[int, ...]) -> Any:
    """Smooth noise, so that classes have shapes; a float16 tensor ``(C, D, H, W)``."""
    import torch

    rng = np.random.default_rng(classes)
    coarse = tuple(max(2, n // 10) for n in shape)
    factors = np.divide(shape, coarse)
    logits = torch.empty((classes, *shape), dtype=torch.float16)
    for channel in logits:
        channel[...] = torch.from_numpy(ndimage.zoom(6 * rng.standard_normal(coarse, np.float32), factors, order=1))
    return logits


def _code_of(side: str) -> AbstractContextManager[None]:
    from monai_mriprep.nnunet.configuration import configurations_are_ours

    return configurations_are_ours(print) if side == "ours" else nullcontext()


def main() -> None:
    result, what, *arguments = sys.argv[1:]
    facts = {"cases": cases, "export": export}[what](*arguments)
    label: NDArray[Any] | None = facts.pop("label", None)
    if label is not None:
        np.save(Path(result).with_suffix(".npy"), label)
    Path(result).write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
