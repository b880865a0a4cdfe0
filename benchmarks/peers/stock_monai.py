"""The pipeline that a MONAI user writes from MONAI's own transforms.

usage: python -m benchmarks.peers.stock_monai DATASET OUTPUT WORKERS
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.data import DataLoader, Dataset
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, NormalizeIntensityd, Spacingd

from benchmarks.peers.common import Task, read_target, read_task, write_pair

BOTH = ["image", "label"]


def transforms(dataset: Path) -> Compose:
    """Those of a dataset, to its median spacing."""
    return transforms_to(read_target(dataset).tolist())


def transforms_to(target: Sequence[float]) -> Compose:
    """Load, resample to a spacing z, y, x (image cubic, label nearest), normalise over the non-zero voxels."""
    return Compose(
        [
            LoadImaged(BOTH, reader="ITKReader"),
            EnsureChannelFirstd(BOTH),
            Spacingd(BOTH, pixdim=target[::-1], mode=[3, "nearest"]),
            NormalizeIntensityd(["image"], nonzero=True),
        ]
    )


class Write:
    """The last step of a case."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.target = read_target(task.dataset)

    def __call__(self, data: dict[str, Any]) -> dict[str, bool]:
        """Write the pair; what goes back to the main process is next to nothing."""
        voxels, label = (data[key].numpy().transpose(0, 3, 2, 1) for key in BOTH)
        write_pair(self.task, Path(data["path"]), voxels, label, self.target)
        return {"done": True}


def main() -> None:
    task = read_task()
    files = [{"image": str(p), "label": str(task.label_of(p)), "path": str(p)} for p in task.images]
    work = Compose([transforms(task.dataset), Write(task)])
    for _ in DataLoader(Dataset(files, work), batch_size=1, num_workers=task.workers):
        pass


if __name__ == "__main__":
    main()
