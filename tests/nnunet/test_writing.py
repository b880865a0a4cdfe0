"""A case as it is written: read by nnU-Net's own class, and never there by half."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (the extra nnunet)")

import blosc2
from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, infer_dataset_class, nnUNetDatasetBlosc2

from monai_mriprep.nnunet import writing
from monai_mriprep.nnunet.writing import Cut, save_case
from tests.nnunet.raw import CAMPAIGN
from tests.test_docs import ROOT

RNG = np.random.default_rng(1)
DATA = RNG.normal(size=(2, 9, 30, 31)).astype(np.float32)
LABEL = RNG.integers(-1, 3, (1, 9, 30, 31)).astype(np.int16)
CUTS = tuple(Cut(*comp_blosc2_params(one.shape, (8, 16, 16), one.itemsize)) for one in (DATA, LABEL))


def test_nnunet_reads_it(tmp_path):
    turned = np.asfortranarray(DATA)
    cuts = Cut((1, 4, 16, 16), (1, 8, 30, 31)), Cut((1, 8, 8, 8), (1, 9, 30, 31))
    save_case(str(tmp_path / "a.b"), turned, LABEL, {"spacing": [1, 2, 3]}, cuts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.b2nd", "a.b.pkl", "a.b_seg.b2nd"]
    assert infer_dataset_class(str(tmp_path)) is nnUNetDatasetBlosc2
    data, label, before, facts = nnUNetDatasetBlosc2(str(tmp_path))["a.b"]
    np.testing.assert_array_equal(data[:], DATA)
    np.testing.assert_array_equal(label[:], LABEL)
    assert [(array.blocks, array.chunks) for array in (data, label)] == [*cuts]
    assert (data.dtype, label.dtype, before, facts) == (np.float32, np.int16, None, {"spacing": [1, 2, 3]})


def test_a_case_is_replaced(tmp_path):
    for factor in (1, 2):
        save_case(str(tmp_path / "a"), factor * DATA, LABEL, {}, CUTS)
    np.testing.assert_array_equal(nnUNetDatasetBlosc2(str(tmp_path))["a"][0][:], 2 * DATA)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("calls", range(3))
def test_wherever_it_stops_no_case_is_there_that_only_looks_done(tmp_path, monkeypatch, calls, before):
    """At each of the three files, also in place of older ones: the case is listed only with all of them."""
    if before:
        save_case(str(tmp_path / "a"), DATA, LABEL, {}, CUTS)

    class StoppedError(Exception):
        pass

    left = [None] * calls
    replace = writing.Path.replace

    def replace_or_stop(path, target):
        assert path.parent.name.startswith(".a."), "which nnU-Net does not see"
        if not left:
            raise StoppedError
        left.pop()
        return replace(path, target)

    monkeypatch.setattr(writing.Path, "replace", replace_or_stop)
    with pytest.raises(StoppedError):
        save_case(str(tmp_path / "a"), DATA, LABEL, {}, CUTS)
    assert nnUNetDatasetBlosc2.get_identifiers(str(tmp_path)) == []


WRITER = """
import sys
import numpy as np
from tests.nnunet.test_writing import CUTS, DATA, LABEL
from monai_mriprep.nnunet.writing import Cut, save_case
from tests.nnunet.raw import CAMPAIGN
from tests.test_docs import ROOT
for number in range(100000):
    save_case(f"{sys.argv[1]}/case_{number}", DATA, LABEL, {"number": number}, CUTS)
    print(number, flush=True)
"""


def test_whenever_it_is_killed_every_case_that_is_listed_is_whole(tmp_path):
    for kill in range(20 if CAMPAIGN else 2):
        folder = tmp_path / str(kill)
        folder.mkdir()
        writer = subprocess.Popen([sys.executable, "-c", WRITER, folder], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(3):
            writer.stdout.readline()
        time.sleep(0.0013 * kill)
        writer.kill()
        writer.communicate()
        dataset = nnUNetDatasetBlosc2(str(folder))
        assert len(dataset.identifiers) > 1
        for case in dataset.identifiers:
            data, label, _, facts = dataset[case]
            np.testing.assert_array_equal(data[:], DATA)
            np.testing.assert_array_equal(label[:], LABEL)
            assert case == f"case_{facts['number']}"
        assert infer_dataset_class(str(folder)) is nnUNetDatasetBlosc2


def test_what_a_killed_run_leaves_is_not_seen(tmp_path):
    save_case(str(tmp_path / "a"), DATA, LABEL, {}, CUTS)
    (tmp_path / ".b.x1y2").mkdir()
    (tmp_path / ".b.x1y2" / "b.b2nd").write_bytes(b"half")
    assert infer_dataset_class(str(tmp_path)) is nnUNetDatasetBlosc2
    assert nnUNetDatasetBlosc2.get_identifiers(str(tmp_path)) == ["a"]


def test_values_that_were_not_interpolated_are_not_shuffled(tmp_path):
    few = np.round(DATA * 20)
    for resampled in (True, False):
        save_case(str(tmp_path / str(resampled)), few, LABEL, {}, CUTS, resampled)
    assert np.array_equal(blosc2.open(str(tmp_path / "False.b2nd"))[:], few)
    assert blosc2.open(str(tmp_path / "False.b2nd")).schunk.cparams.filters[0] == blosc2.Filter.NOFILTER
    assert blosc2.open(str(tmp_path / "True.b2nd")).schunk.cparams.filters[0] == blosc2.Filter.SHUFFLE
