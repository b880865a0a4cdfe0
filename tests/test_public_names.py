"""The flat names of the package, whatever was imported before: also `restore`, which a room is called as well."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from monai.bundle.config_parser import ConfigParser

import monai_mriprep

RESTORE = """
import sys, pytest
from monai_mriprep.errors import RecordError
with pytest.raises(RecordError, match="no finished case"):
    restore(sys.argv[1], sys.argv[1], sys.argv[1])
with pytest.raises(TypeError, match="argument"):
    restore(sys.argv[1])
"""


def run_python(code: str, *arguments: object) -> None:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


ROOM_FIRST = "import monai_mriprep.restore\nfrom monai_mriprep import restore"
OTHER_ORDERS = (
    "from monai_mriprep import restore",
    "from monai_mriprep.restore.command import restore_each\nfrom monai_mriprep import restore",
    "from monai_mriprep import restore\nfrom monai_mriprep.restore.command import restore_each",
    "import monai_mriprep, monai_mriprep.restore.matching\nrestore = monai_mriprep.restore",
)


@pytest.mark.parametrize(
    "imports", [ROOM_FIRST, *(pytest.param(imports, marks=pytest.mark.stress) for imports in OTHER_ORDERS)]
)
def test_restore_can_be_called_whatever_was_imported_before(tmp_path, imports):
    run_python(imports + RESTORE, tmp_path)


def test_restore_is_the_function_itself_and_is_looked_up_once():
    run_python(
        "import monai_mriprep, types\n"
        "restore = monai_mriprep.restore\n"
        "assert isinstance(restore, types.FunctionType) and 'probabilities' in restore.__annotations__\n"
        "from monai_mriprep.restore import command\n"
        "assert vars(monai_mriprep)['restore'] is restore is command.restore"
    )


def test_the_room_has_the_signature_and_the_warnings_of_the_function(tmp_path):
    run_python(
        "import inspect, sys, warnings\n"
        "import monai_mriprep.restore as room\n"
        "from monai_mriprep.restore import command\n"
        "assert inspect.signature(room) == inspect.signature(command.restore)\n"
        "command.restore_each = lambda *given: command.RestoreSummary(None, (), ('a.npz: too small',))\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    room('out', 'predictions', 'back')\n"
        "assert [warning.filename for warning in caught] == ['<string>'], caught\n"
    )


def test_monais_configurations_find_the_function(tmp_path):
    """Their `locate` imports the room."""
    parser = ConfigParser({"back": {"_target_": "monai_mriprep.restore", "_mode_": "callable"}})
    assert list(inspect.signature(parser.get_parsed_content("back")).parameters)[:3] == [
        "output_root",
        "predictions",
        "restored",
    ]


def test_the_room_of_restore_costs_nothing():
    run_python("import sys, monai_mriprep.restore; assert not {'torch', 'monai', 'numpy'} & set(sys.modules)")


@pytest.mark.parametrize("name", monai_mriprep.__all__)
def test_every_public_name_is_found(name):
    assert getattr(monai_mriprep, name) is getattr(monai_mriprep, name)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        monai_mriprep.nothing  # noqa: B018
