"""Our transforms in a DataLoader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.loading import Loading
from benchmarks.serve import serve
from monai_mriprep import SpacingStatistics, build_transforms, target_spacing


def transforms(dataset: Path) -> Any:
    """The recipe, as `monai_mriprep.build_transforms` gives it."""
    return build_transforms(target=target_spacing(SpacingStatistics.from_csv(dataset / "mri_statistics.csv")))


if __name__ == "__main__":
    serve(Loading({"ours": transforms}).commands())
