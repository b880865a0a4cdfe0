"""What must be true of an output folder in the end."""

from __future__ import annotations

from pathlib import Path

from monai_mriprep.verify.audit import verify_output
from tests.runs import events, left_over, outputs

CASES = 40


def require_whole(output: Path, expected: dict[str, str], failed: tuple[str, ...] = ()) -> None:
    """All is there but what has failed, the same as without a cluster, and each case was done once.

    Where a run was killed after a record and before its sync, the next one writes the same record again.
    """
    paths = {f"{folder}/{case}.npz" for folder in ("imagesTr", "labelsTr") for case in failed}
    assert outputs(output) == {path: digest for path, digest in expected.items() if path not in paths}
    done = [(event["case"], str(event["outputs"])) for event in events(output) if event["event"] == "done"]
    names = {f"case_{number}" for number in range(CASES)}
    assert sorted(case for case, _ in set(done)) == sorted(names.difference(failed))
    assert left_over(output) == []
    assert len(verify_output(output).findings) == len(failed)
