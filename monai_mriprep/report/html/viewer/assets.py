"""The files that a page with a viewer holds: the script, its style, and NiiVue."""

from __future__ import annotations

import base64
from importlib.resources import files

__all__ = [
    "NIIVUE",
    "NIIVUE_SHA256",
    "NIIVUE_SOURCE",
    "niivue_base64",
    "niivue_licences",
    "viewer_script",
    "viewer_style",
]

NIIVUE = "niivue.umd.js.gz"
"""NiiVue 0.69.0, compressed; where it comes from, and how to take another version: ``NIIVUE.md`` beside it."""
NIIVUE_SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
"""Of the script that it inflates to, as published."""
NIIVUE_SOURCE = f"'sha256-{base64.b64encode(bytes.fromhex(NIIVUE_SHA256)).decode()}'"
"""The same for a content security policy, which lets a browser run this script and no other."""


def niivue_base64() -> str:
    """NiiVue as the page holds it until it is wanted: gzip, base64, 1 MB."""
    return base64.b64encode(_here(NIIVUE)).decode()


def niivue_licences() -> str:
    """The notices that a copy of NiiVue must carry, as plain text."""
    return _here("LICENSE-NIIVUE.txt").decode()


def viewer_script() -> str:
    """JavaScript that gives every ``<div class="viewer" data-case=...>`` with a volume its button."""
    return _here("viewer.js").decode()


def viewer_style() -> str:
    """CSS of what the script makes."""
    return _here("viewer.css").decode()


def _here(name: str) -> bytes:
    return files("monai_mriprep.report.html.viewer").joinpath(name).read_bytes()
