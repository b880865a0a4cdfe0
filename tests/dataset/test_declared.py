"""The three dialects of ``dataset.json``, and files that are none of them."""

import json

import pytest

from monai_mriprep.dataset.declared import Declared, ListedCase, read_declared
from tests.dataset.files import declare


def test_version_2_names_channels_labels_regions_and_the_ignored_value(tmp_path):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "ignore": 4}
    declare(tmp_path, channel_names={"1": "ADC", "0": "T2"}, labels=labels, file_ending=".nrrd")

    declared = read_declared(tmp_path)

    assert (declared.version, declared.channels, declared.file_ending) == (2, ("T2", "ADC"), ".nrrd")
    assert declared.label_values.names == {"background": (0,), "whole": (1, 2, 3), "core": (2, 3)}
    assert declared.label_values.ignore == 4


def test_version_1_and_the_decathlon_name_labels_by_their_values(tmp_path):
    declare(tmp_path, modality={"0": "FLAIR", "1": "T1w"}, labels={"0": "background", "1": "edema"})

    declared = read_declared(tmp_path)

    assert (declared.version, declared.channels) == (1, ("FLAIR", "T1w"))
    assert declared.label_values.names == {"background": (0,), "edema": (1,)}


def test_of_two_dialects_the_newer_one_counts(tmp_path):
    declare(tmp_path, modality={"0": "MRI"}, channel_names={"0": "T2", "1": "ADC"}, labels={"background": 0, "1": 2})

    declared = read_declared(tmp_path)

    assert (declared.version, declared.channels) == (2, ("T2", "ADC"))
    assert declared.label_values.names == {"background": (0,), "1": (2,)}


def test_what_else_version_1_calls_dataset_lists_no_cases(tmp_path):
    declare(tmp_path, modality={"0": "MRI"}, dataset="BRATS")

    assert read_declared(tmp_path) == Declared(1, ("MRI",))


def test_ten_channels_stand_in_the_order_of_their_numbers(tmp_path):
    declare(tmp_path, channel_names={str(number): f"c{number}" for number in (10, *range(10))})

    assert read_declared(tmp_path).channels == tuple(f"c{number}" for number in range(11))


def test_a_name_that_two_channels_have_gets_its_number(tmp_path):
    declare(tmp_path, channel_names={"0": "noNorm", "1": "MRI", "2": "noNorm"})

    assert read_declared(tmp_path).channels == ("noNorm_0000", "MRI", "noNorm_0002")


def test_cases_may_be_listed(tmp_path):
    listed = {"a": {"images": ["x/a_t1.mha"], "label": "y/a.mha"}}
    declare(tmp_path, channel_names={"0": "T1"}, labels={"background": 0}, dataset=listed)

    assert read_declared(tmp_path).cases == {"a": ListedCase(("x/a_t1.mha",), "y/a.mha")}


def test_without_a_file_and_with_one_of_another_program_nothing_is_declared(tmp_path):
    assert read_declared(tmp_path) == Declared()
    declare(tmp_path, training=[{"image": "a.npz"}], numTraining=1)
    assert read_declared(tmp_path) == Declared()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "7",
        json.dumps({"channel_names": ["T2"]}),
        json.dumps({"modality": {"0": "T2", "2": "ADC"}}),
        json.dumps({"channel_names": {"0": "T2", "1": "ADC"}, "file_ending": 7}),
    ],
    ids=["cut short", "a number", "no numbers", "a gap", "no text"],
)
def test_a_file_that_is_not_valid_declares_nothing_and_says_so(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text, encoding="utf-8")

    declared = read_declared(tmp_path)

    assert declared.version == 0
    assert str(tmp_path / "dataset.json") in declared.problem
