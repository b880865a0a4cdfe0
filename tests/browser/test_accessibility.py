"""No serious finding of axe, in light and in dark."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.stress

SERIOUS = ("serious", "critical")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["planted", "mixed", "test_set", "old", "raw", "spacings"])
def test_axe_finds_nothing_serious(name, scheme, opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    page = opened(name, color_scheme=scheme)
    if name == "planted":
        page.locator('[data-case="thick_slices"]').get_by_text("Look at it in 3-D").click()
        page.wait_for_selector(".viewer-stage[data-ready]", timeout=60_000)
    found = axe.run(page).response["violations"]
    serious = {
        violation["id"]: [node["html"][:200] for node in violation["nodes"]][:3]
        for violation in found
        if violation["impact"] in SERIOUS
    }
    assert serious == {}
