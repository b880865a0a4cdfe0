"""One of forty cases costs every worker its life that works on it: it fails, and no other, whoever the workers are."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pytest

from monai_mriprep import preprocess
from monai_mriprep.run import preprocess as module
from monai_mriprep.run.children import become_worker
from tests.cluster import cases_at_work
from tests.cluster.whole import require_whole
from tests.stress.conftest import count

pytestmark = [
    pytest.mark.stress,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore:.*mri_statistics", "ignore:.*stopped while some jobs"),
]

POOL = partial(ProcessPoolExecutor, 2, multiprocessing.get_context("fork"), initializer=become_worker, initargs=(0,))


def loader(request) -> dict:
    return {"workers": 2}


def process_pool(request) -> dict:
    return {"workers": 2, "executor": POOL}


def loky(request) -> dict:
    loky = pytest.importorskip("loky", reason="needs the extra servers")
    return {"workers": 2, "executor": partial(loky.get_reusable_executor, 2)}


def dask(request) -> dict:
    return {"client": request.getfixturevalue("local")}


def get_executor(request) -> dict:
    return {"workers": 2, "executor": request.getfixturevalue("local").get_executor}


@pytest.mark.parametrize("engine", [loader, process_pool, loky, dask, get_executor])
def test_exactly_the_poisoned_case_fails(forty, expected, tmp_path, monkeypatch, request, engine: Callable):
    options = engine(request)
    for number in range(count(1, 20)):
        poison = (cases_at_work.poisoned, cases_at_work.leaving)[number % 2]
        monkeypatch.setattr(module, "process_case", poison)
        output = tmp_path / str(number)
        summary = preprocess(forty, output, report=False, **options)
        (failure,) = summary.failed
        assert failure.case == cases_at_work.POISONED
        assert "tried twice, the second time alone" in failure.error
        require_whole(output, expected, (cases_at_work.POISONED,))
