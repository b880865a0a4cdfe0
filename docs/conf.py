"""The site: the pages of this folder and those beside the README, names from docstrings, notebooks that are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from monai_mriprep import __version__

ROOT = Path(__file__).resolve().parents[1]
FROM_ABOVE = {
    "index": "README.md",
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
}
"""Pages of the site that lie beside the README, where visitors of the repository look for them."""
LINK = re.compile(r"\]\((?!\w+:|#)([^)\s]+)\)")
"""To a file; those to headings and to other sites stay."""

os.environ["PATH"] = os.pathsep.join(
    (str(Path(sys.executable).parent), os.environ["PATH"])
)  # notebooks call our command

project = "monai-mriprep"
author = "monai-mriprep maintainers"
copyright = author
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
default_role = "autolink"
# Names of other packages lead nowhere without a network, and running text may name what is not public; types of ours in
# signatures must be on the site.
nitpick_ignore_regex = [("py:obj", ".*"), ("py:.*", r"(?!monai_mriprep\b).*"), ("py:class", r".*\.recipe_steps\..*")]

html_theme = "pydata_sphinx_theme"
html_title = "monai-mriprep"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False, "secondary_sidebar_items": ["page-toc"]}
html_sidebars = {"index": []}
html_show_sourcelink = False


def read_from_above(app: Any, page: str, source: list[str]) -> None:
    """Put the text of a page from above where its place is, and let links find it."""
    if page in FROM_ABOVE:
        text = (ROOT / FROM_ABOVE[page]).read_text(encoding="utf-8") + "\n" + source[0]
        source[0] = LINK.sub(lambda found: f"]({_on_site(found[1])})", text)
    elif "/" not in page:
        source[0] = re.sub(r"\]\(\.\./([^)\s]+)\)", lambda found: f"]({_on_site(found[1])})", source[0])


def _on_site(link: str) -> str:
    """Where a file leads to that is linked to from beside the README."""
    file, mark, anchor = link.partition("#")
    for page, name in FROM_ABOVE.items():
        if file == name:
            return f"{page}.md{mark}{anchor}"
    return link.removeprefix("docs/") if link.startswith("docs/") else f"../{link}"


def make_sample_report(app: Any, error: Exception | None) -> None:
    """Put the report of the demonstration beside the pages."""
    if error is not None or app.builder.format != "html":
        return
    command = [sys.executable, "-m", "monai_mriprep"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command, "demo", "demo", "--quiet"], cwd=folder, check=True, capture_output=True)
        shutil.copy(Path(folder, "demo/preprocessed/report.html"), Path(app.outdir, "sample-report.html"))


def setup(app: Any) -> None:
    """Sphinx calls it."""
    app.connect("source-read", read_from_above)
    app.connect("build-finished", make_sample_report)
