"""Tables that fit, and sentences that are broken between words."""

from __future__ import annotations

from monai_mriprep.report.lines import rough_time, table, wrapped

ROWS = [["case", "size", "memory", "type"], ["a", "4x8x9", "1.5 MiB", "int16"], ["b" * 9, "?", "?", "?"]]


def test_a_rough_time_has_the_unit_that_fits_it():
    assert [rough_time(seconds) for seconds in (1.2, 99, 130, 7300)] == [
        "1 second",
        "99 seconds",
        "2 minutes",
        "2 hours",
    ]


def test_columns_have_one_width_each():
    assert list(table(ROWS)) == [
        "case       size   memory   type",
        "a          4x8x9  1.5 MiB  int16",
        "bbbbbbbbb  ?      ?        ?",
    ]


def test_columns_that_do_not_fit_are_left_out_in_their_order_and_named():
    assert list(table(ROWS, 32, ["type", "memory"])) == list(table(ROWS))
    *rows, left_out = table(ROWS, 31, ["type", "memory"])
    assert rows == ["case       size   memory", "a          4x8x9  1.5 MiB", "bbbbbbbbb  ?      ?"]
    assert left_out == "(no room for type: in a wider window, or by --json)"
    *rows, left_out = table(ROWS, 20, ["type", "nothing", "memory"])
    assert rows[0] == "case       size"
    assert left_out == "(no room for type, memory: in a wider window, or by --json)"


def test_one_long_name_does_not_take_the_room_of_the_columns():
    rows = list(table([*ROWS, ["c" * 60, "1x1x1", "?", "int8"]], 60, ["type"]))
    assert rows[0] == f"{'case':30}  size   memory   type"
    assert rows[3] == f"{'c' * 60}  1x1x1  ?        int8"


def test_lines_are_broken_between_words_and_at_no_other_place():
    path = "/data/" + "x" * 90
    text = f"warning: {path}: is no file that can be read, as it is empty, has no header\nshort\n  x {'word ' * 20}"
    lines = wrapped(text, 40).split("\n")
    assert lines[:3] == ["warning:", f"  {path}:", "  is no file that can be read, as it is"]
    assert [line for line in lines if len(line) > 40] == [f"  {path}:"]
    assert "short" in lines
    assert lines[-1].startswith("    word")
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_heading_stays_with_the_path_beside_it():
    row = "results       /data/" + "x" * 90
    assert wrapped(row, 40) == row
    assert wrapped("a  b " + "word " * 9, 20).startswith("a  b word word word\n  word")
