"""The report in a browser: it opens from a file, needs nothing else, and does what it offers."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.stress

SETS = ("demo", "planted", "mixed", "test_set", "old", "raw")
NARROW = {"viewport": {"width": 400, "height": 800}}


def shown(page) -> list[str]:
    """The cases whose cards are shown, in their order."""
    cards = page.locator("article.card")
    return [card.get_attribute("data-case") for card in cards.all() if card.is_visible()]


@pytest.mark.parametrize("name", SETS)
def test_a_report_opens_with_its_verdict_and_a_card_for_each_case(name, opened):
    page = opened(name)
    verdict = page.locator(".verdict")
    assert "case" in verdict.inner_text()
    assert verdict.bounding_box()["y"] < 300
    tiles = [tile.bounding_box()["y"] for tile in page.locator(".counts li").all()[:4]]
    assert len(set(tiles)) == 1  # in one row
    cards = page.locator("article.card")
    cases = {"demo": 5, "planted": 11, "mixed": 8, "test_set": 3, "old": 2, "raw": 11}[name]
    assert cards.count() >= cases


@pytest.mark.parametrize("name", ["planted", "mixed", "test_set"])
def test_every_done_case_has_its_picture(name, opened):
    page = opened(name)
    for card in page.locator("article.card:not([data-is*=failed])").all():
        card.scroll_into_view_if_needed()
        picture = card.locator("img")
        page.wait_for_function("image => image.complete && image.naturalWidth > 100", arg=picture.element_handle())
        assert card.get_attribute("data-case") in picture.get_attribute("alt")


def test_what_was_planted_comes_first_and_filters_tell_it_apart(opened):
    page = opened("planted")
    assert set(shown(page)[:3]) == {"cut_short", "thick_slices", "empty_label"}
    page.get_by_role("radio", name="Suspects").check()
    assert {"thick_slices", "empty_label"} <= set(shown(page))
    assert "plain_3" not in shown(page)
    page.get_by_role("radio", name="Failed").check()
    assert shown(page) == ["cut_short"]
    page.get_by_role("radio", name="All").check()
    page.get_by_placeholder("name, warning, reason").fill("plain_3")
    assert shown(page) == ["plain_3"]
    page.get_by_placeholder("name, warning, reason").fill("no such case")
    assert shown(page) == []
    assert page.get_by_text("No case is like that.").is_visible()


def test_cards_are_sorted(opened):
    page = opened("planted")
    page.get_by_label("Order").select_option("case")
    assert shown(page) == sorted(shown(page))
    page.get_by_label("Order").select_option("spacing")
    assert "thick_slices" in shown(page)[-2:]


def test_a_dot_leads_to_its_case(opened):
    page = opened("planted")
    dot = page.locator(".chart a", has=page.locator("title", has_text="thick_slices")).first
    dot.dispatch_event("click")
    assert page.url.endswith(dot.get_attribute("href"))
    assert page.locator("article.card:target").get_attribute("data-case") == "thick_slices"


def test_a_dot_leads_to_a_case_that_a_filter_hides(opened):
    page = opened("planted")
    page.get_by_role("radio", name="Failed").check()
    page.locator(".chart a", has=page.locator("title", has_text="thick_slices")).first.dispatch_event("click")
    assert page.locator("article.card:target").is_visible()
    assert page.get_by_role("radio", name="All").is_checked()


def test_the_keyboard_walks_and_rates_and_the_ratings_are_downloaded(opened, tmp_path):
    page = opened("planted")
    names = shown(page)
    for key in ("j", "3", "c"):
        page.keyboard.press(key)
    page.keyboard.type("moves a lot")
    for key in ("Escape", "j", "2", "j", "1", "j", "3", "0", "k"):
        page.keyboard.press(key)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download exclude.txt").click()
    assert download.value.suggested_filename == "exclude.txt"
    download.value.save_as(tmp_path / "exclude.txt")
    text = (tmp_path / "exclude.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == [f"{names[0]}  # moves a lot"]
    assert f"# look again: {names[1]}" in text
    assert f"# keep: {names[2]}" in text
    assert names[3] not in text


def test_ratings_are_there_when_the_page_is_opened_again(opened):
    page = opened("planted")
    card = page.locator("article.card").first
    card.get_by_role("radio", name="exclude").check()
    page.reload()
    assert page.locator("article.card").first.get_attribute("data-rating") == "exclude"


@pytest.mark.parametrize("name", SETS)
def test_a_narrow_page_needs_no_horizontal_scrolling(name, opened):
    page = opened(name, **NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_dark_is_dark_and_light_is_light(opened):
    luminance = "getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number)"
    assert max(opened("planted", color_scheme="dark").evaluate(luminance)) < 60
    light = opened("planted", color_scheme="light")
    assert min(light.evaluate(luminance)) > 200
    light.keyboard.press("t")
    assert max(light.evaluate(luminance)) < 60


def test_print_holds_every_case(opened):
    page = opened("planted")
    page.get_by_placeholder("name, warning, reason").fill("plain_3")
    page.get_by_placeholder("name, warning, reason").fill("")
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth)")
    page.emulate_media(media="print")
    assert len(shown(page)) == 11
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Subtype /Image") == 10
    assert not page.locator(".controls").is_visible()


def test_without_javascript_everything_is_there_but_the_controls(opened):
    page = opened("planted", java_script_enabled=False)
    assert page.locator(".verdict").is_visible()
    assert len(shown(page)) == 11
    assert not page.locator(".controls").is_visible()
    assert page.locator("article.card img").first.is_visible()
    assert page.locator("button:visible").count() == 0
