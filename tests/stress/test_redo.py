"""Kill -9 of a redo: either command goes on with it, and no case is done twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.verify.audit import verify_output
from tests.nursery import Nursery
from tests.runs import OUTPUT_FOLDERS, events, write_cases
from tests.stress.conftest import until

pytestmark = [pytest.mark.stress, pytest.mark.timeout(300)]

CASES = 8


@pytest.mark.parametrize("again", [[], ["--redo"]], ids=["run", "run --redo"])
@pytest.mark.parametrize("count", [1, 4])
def test_a_killed_redo(nursery: Nursery, tmp_path: Path, count: int, again: list[str]):
    root, output = write_cases(tmp_path / "dataset", CASES, (30, 90, 90), (2.0, 0.8, 0.8)), tmp_path / "out"
    common = ["run", root, output, "--workers", 2]
    target = ["--set", "target_spacing=[1.7, 0.7, 0.7]"]
    assert nursery.start(*common).finish()[0] == 0
    before = len(events(output))

    def done() -> Counter[str]:
        """How often each case was done; after a kill, a case may have been recorded once more by the journal."""
        since = (event for event in events(output)[before:] if event["event"] == "done")
        return Counter(case for case, _ in {(event["case"], event["outputs"]["image"]["mtime_ns"]) for event in since})

    run = nursery.start(*common, *target, "--redo")
    until(lambda: len(done()) >= count)
    run.kill()
    run.wait()
    until(lambda: not run.processes)
    time.sleep(0.05)
    refused = nursery.start(*common)
    assert refused.wait() == 2, refused.text
    assert "target spacing: (1.7, 0.7, 0.7) mm -> (2, 0.8, 0.8) mm" in refused.text
    status, text = nursery.start(*common, *target, *again).finish()
    assert status == 0, text
    assert done() == dict.fromkeys((f"case_{number}" for number in range(CASES)), 1)
    files = [path for folder in OUTPUT_FOLDERS for path in (output / folder).iterdir()]
    assert {tuple(np.load(path)["spacing"].tolist()) for path in files} == {(1.7, 0.7, 0.7)}
    assert len(files) == 2 * CASES
    assert json.loads((output / "run.json").read_text())["redo"] == {"number": 1, "complete": True}
    assert verify_output(output).findings == ()
