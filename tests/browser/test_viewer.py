"""The 3-D view in a browser: it opens on a click, shows image and label, and is reached by the keyboard alone."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.stress


@pytest.fixture(scope="module")
def browser_without_webgl(launch):
    return launch("--disable-3d-apis")


def card_of(page, case):
    return page.locator(f'article.card[data-case="{case}"]')


def view(page, case):
    """Open the view of a case, and wait until it has drawn."""
    card_of(page, case).get_by_text("Look at it in 3-D").click()
    page.wait_for_selector(".viewer-stage[data-ready]", timeout=60_000)
    return page.locator(".viewer-stage")


def pixels(canvas) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)


def coloured(canvas) -> int:
    """Pixels that are not grey: those of the label."""
    return int((np.ptp(pixels(canvas), axis=-1) > 40).sum())


def test_a_suspect_is_shown_with_its_label(opened):
    page = opened("planted")
    stage = view(page, "thick_slices")
    canvas = stage.locator("canvas")
    assert np.ptp(pixels(canvas)) > 150
    assert "class" in stage.locator(".viewer-legend").inner_text()
    before = coloured(canvas)
    assert before > 100
    stage.get_by_label("Opacity of the label").fill("0")
    page.wait_for_timeout(300)
    assert coloured(canvas) < before / 5


def test_the_keyboard_opens_moves_and_closes_it(opened):
    page = opened("planted")
    button = card_of(page, "thick_slices").get_by_text("Look at it in 3-D")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".viewer-stage[data-ready]", timeout=60_000)
    status = page.locator(".viewer-status")
    before = status.inner_text()
    assert "mm (R, A, S)" in before
    for key in ("ArrowLeft", "ArrowLeft", "PageUp"):
        page.keyboard.press(key)
    assert status.inner_text() != before
    page.keyboard.press("j")  # a key of the page, which rests
    assert page.locator("canvas").evaluate("canvas => canvas === document.activeElement")
    page.get_by_text("To the centre").click()
    assert status.inner_text() == before
    page.keyboard.press("Escape")
    assert page.locator(".viewer-stage").count() == 0
    assert button.evaluate("button => button === document.activeElement")


def test_one_view_is_open_at_a_time(opened):
    page = opened("planted")
    view(page, "thick_slices")
    view(page, "empty_label")
    assert page.locator("canvas").count() == 1
    assert card_of(page, "thick_slices").get_by_text("Look at it in 3-D").is_visible()


def test_only_cases_that_were_done_have_a_view(opened):
    page = opened("planted")
    assert card_of(page, "cut_short").get_by_text("Look at it in 3-D").count() == 0


def test_without_webgl_the_picture_stays_and_a_sentence_says_why(opened, browser_without_webgl):
    page = opened("planted", browser_without_webgl)
    card = card_of(page, "thick_slices")
    card.get_by_text("Look at it in 3-D").click()
    assert "This browser has no WebGL 2" in card.locator(".viewer").inner_text()
    assert card.locator("img").is_visible()
    assert page.locator("canvas").count() == 0
