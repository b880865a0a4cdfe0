"""The list of excluded cases: what its lines mean, and that no name of it is ignored in silence."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from monai_mriprep.dataset.exclusions import NOBODY, read_exclusions
from monai_mriprep.errors import DatasetError

LINES = {
    "alone": ("a", "a", ""),
    "as the report writes it": ("a  # the label lies in the air", "a", "the label lies in the air"),
    "one blank": ("a # why", "a", "why"),
    "tabs": ("a\t#\twhy", "a", "why"),
    "comment without text": ("a  #", "a", ""),
    "comment with a mark": ("a  # as in issue # 3, #4", "a", "as in issue # 3, #4"),
    "name with blanks": ("a b c  # why", "a b c", "why"),
    "name with a mark": ("scan #5  # why", "scan #5", "why"),
    "name that begins with a mark": ("#5  # why", "#5", "why"),
    "name with marks inside": ("a#b##c", "a#b##c", ""),
    "blanks around": ("   a   # why   ", "a", "why"),
}


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "exclude.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(("line", "case", "comment"), LINES.values(), ids=LINES)
def test_a_line(tmp_path, line, case, comment):
    found = read_exclusions(written(tmp_path, f"\n# all of June\n{line}\n"))
    assert [(one.case, one.comment, one.line) for one in found.by_name.values()] == [(case, comment, 3)]
    assert case in found
    assert found.comment(case) == comment
    assert found.comment("another") is None


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old macs"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a mark"])
def test_ends_and_marks_of_other_systems(tmp_path, end, mark):
    found = read_exclusions(written(tmp_path, mark + end.join(["# list", "", "a  # why", "  ", "b", "a  # again"])))
    assert {case: one.comment for case, one in found.by_name.items()} == {"a": "why", "b": ""}


def test_no_list_excludes_nobody():
    assert read_exclusions(None) is NOBODY
    assert "a" not in NOBODY
    assert NOBODY.unknown("data", ["a"]) == ()


def test_a_name_is_the_same_in_both_forms_of_unicode(tmp_path):
    apart = unicodedata.normalize("NFD", "Jürgen")
    found = read_exclusions(written(tmp_path, apart))
    assert apart in found
    assert "Jürgen" in found
    assert found.unknown("data", ["Jürgen"]) == found.unknown("data", [apart]) == ()


def test_a_name_that_fits_no_case_is_told_with_the_closest(tmp_path):
    path = written(tmp_path, "10000_0001\n10000_0002_0000.nii.gz  # blurred\nzebra\n10000_0001 #moved\n")
    suffix, stranger, glued = read_exclusions(path).unknown("/data", ["10000_0001", "10000_0002_0000"])
    assert suffix == (f"{path}, line 2: /data has no case '10000_0002_0000.nii.gz'; did you mean '10000_0002_0000'?")
    assert stranger == f"{path}, line 3: /data has no case 'zebra'"
    assert glued.endswith("did you mean '10000_0001'?; a comment begins with ' # ', with blanks")


def test_many_names_that_fit_no_case_are_counted(tmp_path):
    path = written(tmp_path, "".join(f"q{i}\n" for i in range(30)))
    told = read_exclusions(path).unknown("/data", ["a"])
    assert len(told) == 6
    assert told[-1] == f"{path}: 25 more names fit no case of /data"


def test_what_is_no_text_is_named_with_its_line(tmp_path):
    for content in ("a\nJürgen\n".encode("latin-1"), "\ufeffa\nJürgen\n".encode("utf-8")[:-8] + b"\xfc"):
        with pytest.raises(DatasetError, match=r"exclude\.txt, line 2: the byte 0xfc is not UTF-8; save the list as"):
            read_exclusions(written(tmp_path, content))
    with pytest.raises(DatasetError, match=r"exclude\.txt, line 1: the byte 0xff is not UTF-8"):
        read_exclusions(written(tmp_path, "a\n".encode("utf-16")))


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"missing\.txt: the list of excluded cases cannot be read \(No such file"):
        read_exclusions(tmp_path / "missing.txt")


def test_what_is_no_list_is_refused_or_told_in_short(tmp_path):
    with pytest.raises(DatasetError, match=r"exclude\.txt: holds more than 16 MiB; give a list of cases"):
        read_exclusions(written(tmp_path, bytes(2**24 + 1)))
    (told,) = read_exclusions(written(tmp_path, "\0" * 2**20)).unknown("/data", ["a"])
    assert "line 1: no case has so long a name: '\\x00" in told
    assert len(told) < 500 + len(str(tmp_path))


def test_the_comment_of_a_name_is_found_however_its_letters_are_composed(tmp_path):
    found = read_exclusions(written(tmp_path, unicodedata.normalize("NFD", "fälle_é  # moved")))
    assert [found.comment(unicodedata.normalize(form, "fälle_é")) for form in ("NFC", "NFD")] == ["moved", "moved"]


@pytest.mark.parametrize(("count", "rest"), [(5, []), (6, ["1 more name"])])
def test_up_to_five_names_that_fit_no_case_are_named_one_by_one(tmp_path, count, rest):
    warnings = read_exclusions(written(tmp_path, "\n".join("abcdef"[:count]))).unknown("here", ["z"])
    assert len(warnings) == 5 + len(rest)
    assert all(text in warnings[-1] for text in rest)
