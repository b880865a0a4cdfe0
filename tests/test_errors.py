"""The tree of errors, and how the package warns and logs."""

from __future__ import annotations

import errno
import inspect
import logging
import pickle
import re
import warnings

import pytest

from monai_mriprep import errors
from monai_mriprep.errors import (
    DiskFullError,
    MriprepError,
    MriprepWarning,
    OutputError,
    VolumeError,
    counted,
    first_names,
    is_disk_full,
    package_logger,
    warn,
    write_error,
)

KINDS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, MriprepError)]


def test_the_drawn_tree_is_that_of_the_classes():
    drawn, above = {}, {}
    for line in errors.__doc__.splitlines():
        if found := re.match(r"    ([│ ├└─]*)(\w+Error)\b", line):
            depth = len(found[1]) // 4
            above[depth] = found[2]
            drawn[found[2]] = above.get(depth - 1)
    parents = {kind.__name__: kind.__base__.__name__ for kind in KINDS}
    assert drawn == parents | {"MriprepError": None}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, VolumeError)])
def test_an_error_of_a_file_names_it_also_after_a_way_between_processes(kind):
    error = kind("scans/a.mha", "its header is damaged")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert type(one) is kind
        assert str(one) == "scans/a.mha: its header is damaged"
        assert (one.path, one.problem) == ("scans/a.mha", "its header is damaged")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_an_error_of_its_own(number):
    assert is_disk_full(OSError(number, ""))
    assert type(write_error(OSError(number, ""), "full")) is DiskFullError
    assert type(write_error(OSError(errno.EACCES, ""), "closed")) is OutputError
    assert str(write_error(OSError(number, ""), "full")) == "full"


def test_one_thing_is_not_said_to_be_many():
    assert [counted(n, "label voxel") for n in (0, 1, 2)] == ["0 label voxels", "1 label voxel", "2 label voxels"]


def test_five_names_are_shown():
    assert first_names(tuple("abcde")) == "a, b, c, d, e"
    assert first_names(tuple("abcdefg")) == "a, b, c, d, e and 2 more"


def test_a_warning_is_logged_and_points_to_the_line_of_the_caller(caplog):
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING, "monai_mriprep"):
        warnings.simplefilter("always")
        line = inspect.currentframe().f_lineno + 1
        warn(["look at this", "and at that"])
    assert [(str(w.message), w.category, w.filename, w.lineno) for w in caught] == [
        (text, MriprepWarning, __file__, line) for text in ("look at this", "and at that")
    ]
    assert [record.getMessage() for record in caplog.records] == ["look at this", "and at that"]


def test_the_logger_has_one_handler_that_shows_nothing():
    assert package_logger() is package_logger() is logging.getLogger("monai_mriprep")
    assert [type(handler) for handler in package_logger().handlers].count(logging.NullHandler) == 1


def test_a_handler_that_fails_loses_the_message_and_no_more(monkeypatch):
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError(record.getMessage())

    monkeypatch.setattr(logging.getLogger(), "handlers", [Broken()])
    package_logger().error("look at this")
    with pytest.warns(MriprepWarning, match="and at that"):
        warn(["and at that"])
