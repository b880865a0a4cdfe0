"""Empty files, whose names decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def touch(root: Path, *names: str) -> Path:
    """Files of these names, with their folders."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def declare(root: Path, **facts: Any) -> Path:
    """The dataset's ``dataset.json``."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")
    return root


def nnunet(root: Path, channels=("T2", "ADC"), cases=("a", "b"), ending=".nii.gz", **facts: Any) -> Path:
    """nnU-Net raw, of these channels."""
    numbers = [f"{number:04d}" for number in range(len(channels))]
    touch(root, *(f"imagesTr/{case}_{number}{ending}" for case in cases for number in numbers))
    touch(root, *(f"labelsTr/{case}{ending}" for case in cases))
    labels = {"background": 0, "lesion": 1}
    named = {str(number): name for number, name in enumerate(channels)}
    return declare(root, **{"channel_names": named, "labels": labels, "file_ending": ending, **facts})
