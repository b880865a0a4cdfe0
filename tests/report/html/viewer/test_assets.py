"""The files that the page holds: NiiVue as it was published, with its licences."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re

from monai_mriprep.report.html.viewer import assets
from tests.test_docs import ROOT

NOTE = (ROOT / "monai_mriprep" / "report" / "html" / "viewer" / "NIIVUE.md").read_text(encoding="utf-8")


def niivue() -> bytes:
    return gzip.decompress(base64.b64decode(assets.niivue_base64()))


def test_niivue_is_the_file_that_was_published():
    code = niivue()
    assert hashlib.sha256(code).hexdigest() == assets.NIIVUE_SHA256
    assert assets.NIIVUE_SHA256 in NOTE
    assert f"{len(code):,}" in NOTE


def test_niivue_compiles_no_text():
    assert not re.search(rb"\bnew Function\b|\beval\(|\bnew Worker\b|\bimportScripts\b", niivue())


def test_the_licences_name_the_version_and_what_it_brings():
    version = re.search(r"\| version \| ([\d.]+)", NOTE)[1]
    licences = assets.niivue_licences()
    assert f"NiiVue {version} (BSD 2-Clause License)" in licences
    for work in ("fflate", "gl-matrix", "nifti-reader-js", "zarrita", "numcodecs", "C-Blosc", "Roboto"):
        assert work in licences


def test_script_and_style_end_no_element_that_holds_them():
    assert "</" not in assets.viewer_script() + assets.viewer_style()
    assert b"</script" not in niivue()
