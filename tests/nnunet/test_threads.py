"""How many threads compute inside nnU-Net's processes."""

from __future__ import annotations

import pytest
import torch

from monai_mriprep.nnunet import threads as module
from monai_mriprep.nnunet.threads import limited_threads, one_thread_in_workers


@pytest.mark.parametrize(
    ("asked", "processors", "most", "used"), [(8, 2, None, 2), (1, 2, None, 1), (8, 4, 1, 1), (1, 4, 2, 1)]
)
def test_no_more_than_processors_and_as_before_afterwards(threads, monkeypatch, asked, processors, most, used):
    monkeypatch.setattr(module, "processors", lambda: processors)
    threads(asked)
    with limited_threads(most):
        assert torch.get_num_threads() == used
    assert torch.get_num_threads() == asked
    with pytest.raises(ZeroDivisionError), limited_threads(most):
        _ = 1 / 0
    assert torch.get_num_threads() == asked


@pytest.mark.parametrize(("parent", "used"), [(None, 3), (object(), 1)])
def test_a_worker_takes_one(threads, monkeypatch, parent, used):
    monkeypatch.setattr(module, "processors", lambda: 9)
    monkeypatch.setattr(module, "parent_process", lambda: parent)
    threads(3)
    with one_thread_in_workers():
        assert torch.get_num_threads() == used
