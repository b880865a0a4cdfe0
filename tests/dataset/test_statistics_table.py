"""Tables as people and programs write them."""

import pytest

from monai_mriprep.dataset.statistics import SpacingStatistics
from monai_mriprep.errors import StatisticsError

HEADER = "median_spacing,10th_percentile_spacing\n"
EXPECTED = SpacingStatistics((3.3, 0.75, 0.5), (3.0, 0.5, 0.25))


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "mri_statistics.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


GOOD = {
    "blanks": HEADER + "[3.3 0.75 0.5],[3.0 0.5 0.25]\n",
    "more blanks": HEADER + " [ 3.3   0.75 0.5 ] , [3  .5 .25]\n\n",
    "commas, quoted": HEADER + '"[3.3, 0.75, 0.5]","3.0,0.5,0.25"\n',
    "no brackets": HEADER + "3.3 0.75 0.5,3 0.5 0.25",
    "parentheses": HEADER + "(3.3 0.75 0.5),(3 0.5 0.25)",
    "numpy wrappers": HEADER + '"[np.float64(3.3), np.float64(0.75), np.float64(0.5)]","(numpy.float32(3), 0.5, .25)"',
    "extra columns, other order": (
        "median_size,10th_percentile_spacing,median_spacing\n[20 320 320],[3 0.5 0.25],[3.3 0.75 0.5]\n"
    ),
    "byte order mark, crlf": "\ufeff" + HEADER.replace("\n", "\r\n") + "[3.3 0.75 0.5],[3 0.5 0.25]\r\n",
    "semicolons": HEADER.replace(",", ";") + "[3.3 0.75 0.5];[3.0, 0.5, 0.25]\n",
    "tabs": HEADER.replace(",", "\t") + "[3.3, 0.75, 0.5]\t[3.0 0.5 0.25]\n",
    "arrays": HEADER + '"array([3.3 , 0.75, 0.5 ])","np.array([3, 0.5, 0.25], dtype=float32)"\n',
    "an array of wrapped numbers": HEADER + '"array([np.float64(3.3), np.float64(.75), np.float64(.5)])",3 0.5 0.25\n',
    "quoted twice": '"""median_spacing""","10th_percentile_spacing"\n"""[3.3, 0.75, 0.5]""","\'[3 0.5 0.25]\'"\n',
    "exponents": HEADER + "[3.3e0 75E-2 +.5],[3. 5e-1 0.25]\n",
    "line break in a cell": HEADER + '"[3.3 0.75\n 0.5]",[3 0.5 0.25]\n',
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_tables_are_read_tolerantly(table, text):
    assert SpacingStatistics.from_csv(table(text)) == EXPECTED


BAD = {
    "missing column": ("median_spacing\n[1 1 1]\n", "'10th_percentile_spacing' is missing"),
    "column twice": ("median_spacing,median_spacing,10th_percentile_spacing\n1 1 1,1 1 1,1 1 1\n", "twice"),
    "empty": ("", "'median_spacing' is missing"),
    "no row": (HEADER, "no row"),
    "two rows": (HEADER + "[1 1 1],[1 1 1]\n" * 2, r"2 rows; choose one with `statistics_row` \(0 to 1\)"),
    "nan": (HEADER + "[nan 1 1],[1 1 1]\n", r"'median_spacing' holds '\[nan 1 1\]'"),
    "infinite": (HEADER + "[1 1 1],[1 inf 1]\n", r"'10th_percentile_spacing' holds '\[1 inf 1\]'"),
    "negative": (HEADER + "[1 -1 1],[1 1 1]\n", "three positive finite numbers"),
    "zero": (HEADER + "[1 1 1],[0 1 1]\n", "three positive finite numbers"),
    "text": (HEADER + "[a b c],[1 1 1]\n", "'\\[a b c\\]'"),
    "two numbers": (HEADER + "[1 1],[1 1 1]\n", "three"),
    "four numbers": (HEADER + "[1 1 1 1],[1 1 1]\n", "three"),
    "empty cell": (HEADER + ",[1 1 1]\n", "three"),
    "commas, not quoted": (HEADER + "[1, 1, 1],[1, 1, 1]\n", "quote cells that hold commas"),
    "semicolons, not quoted": (HEADER.replace(",", ";") + "[1; 1; 1];[1; 1; 1]\n", "quote cells that hold semicolons"),
    "decimal commas": (HEADER.replace(",", ";") + "[3,3 0,7 0,7];[3 0,7 0,7]\n", r"'\[3,3 0,7 0,7\]'"),
    "a digit separator of Python's": (HEADER + "[1_0 1 1],[1 1 1]\n", r"'\[1_0 1 1\]'"),
    "digits of another script": (HEADER + "[\u0663 1 1],[1 1 1]\n", "three positive finite"),
    "percentile over the median": (
        HEADER + "[1 1 1],[1 1.2 1]\n",
        r"10th percentile \(1, 1.2, 1\) is above the median",
    ),
    "columns exchanged": (HEADER + "[3 0.5 0.25],[3.3 0.75 0.5]\n", "columns exchanged"),
    "open quote": (HEADER + '"[1 1 1],[1 1 1]\n', "not a CSV"),
    "code": (HEADER + "__import__('os'),[1 1 1]\n", "three"),
}


@pytest.mark.parametrize(("text", "problem"), BAD.values(), ids=BAD)
def test_bad_tables_name_file_and_problem(table, text, problem):
    path = table(text)

    with pytest.raises(StatisticsError, match=problem) as caught:
        SpacingStatistics.from_csv(path)

    assert str(path) in str(caught.value)


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "long.csv").write_bytes(b"x" * (2 << 20))

    with pytest.raises(StatisticsError, match="no such file"):
        SpacingStatistics.from_csv(tmp_path / "gone.csv")
    with pytest.raises(StatisticsError, match="no such file"):
        SpacingStatistics.from_csv(tmp_path)
    with pytest.raises(StatisticsError, match="text"):
        SpacingStatistics.from_csv(tmp_path / "binary.csv")
    with pytest.raises(StatisticsError, match="bytes"):
        SpacingStatistics.from_csv(tmp_path / "long.csv")


def test_a_row_can_be_chosen(table):
    path = table(HEADER + "[9 9 9],[9 9 9]\n[3.3 0.75 0.5],[3 0.5 0.25]\n")

    assert SpacingStatistics.from_csv(path, row=1) == EXPECTED
    for row in (2, -1):
        with pytest.raises(StatisticsError, match=f"statistics_row = {row}, but the rows are 0 to 1"):
            SpacingStatistics.from_csv(path, row=row)
