"""Names of outputs, and cases that would share one."""

import pytest

from monai_mriprep.dataset.case_files import CaseFiles, refuse_shared_outputs
from monai_mriprep.errors import DatasetError
from monai_mriprep.types import IMAGE, LABEL


def test_a_label_in_the_folder_of_labels_keeps_its_name():
    case = CaseFiles("a_0000", ("a_0000.mha",), "a.mha")

    assert (case.image_output, case.label_output) == ("a_0000.npz", "a.npz")


def test_a_label_in_the_folder_of_its_case_is_named_like_the_case():
    case = CaseFiles("a", ("a/t1.nii.gz", "a/t2.nii.gz"), "a/seg.nii.gz")

    assert (case.image_output, case.label_output) == ("a.npz", "a.npz")


def test_files_and_outputs_are_told_by_role():
    case = CaseFiles("a", ("a_t1.mha", "a_t2.mha"), "a_seg.mha")

    assert (case.of(IMAGE), case.of(LABEL)) == (("a_t1.mha", "a_t2.mha"), ("a_seg.mha",))
    assert (case.output(IMAGE), case.output(LABEL)) == ("a.npz", "a_seg.npz")
    assert CaseFiles("a", ("a.mha",)).of(LABEL) == ()


@pytest.mark.parametrize(
    ("one", "other"), [("a", "a"), ("Case", "case"), ("M\u00fcller", "Mu\u0308ller")], ids=["equal", "case", "unicode"]
)
def test_two_cases_with_one_output_are_refused_with_the_names_of_both(one, other):
    cases = [CaseFiles(one, ("HGG/t1.mha",)), CaseFiles("b", ("b.mha",)), CaseFiles(other, ("LGG/t1.mha",))]

    with pytest.raises(DatasetError, match=r"'HGG/t1\.mha' and 'LGG/t1\.mha' would both become"):
        refuse_shared_outputs(cases)


def test_two_labels_with_one_output_are_refused():
    cases = [CaseFiles("a", ("a.mha",), "x/a.mha"), CaseFiles("b", ("b.mha",), "a.mha")]

    with pytest.raises(DatasetError, match=r"both become a\.npz"):
        refuse_shared_outputs(cases)
