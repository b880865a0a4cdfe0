"""A page as HTML: what is on it, that nothing of it is taken for markup or code, and that it needs nothing else."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from monai_mriprep.report.html.facts import Count
from monai_mriprep.report.html.viewer.views import Views
from monai_mriprep.report.html.viewer.volumes import ViewerVolume
from tests.report.html.pages import WEBP, case, files, front, grid, measures, page

HOSTILE = "<img src=x onerror=alert(1)>\"'></script><script>alert(2)</script>\u2028\u202e\u061c\x1b[31m&amp;{{7*7}}"
"""A name that would break out of text, attributes, scripts and lines, if it could."""
VOLUME = ViewerVolume("H4sI", "H4sI", ((1, "#e69f00"),), (1.0, 2.0, 3.0), 2.0)


def test_a_page_is_well_formed_and_says_what_it_is():
    html = front(page(case("a"), case("b", error="broken"), case("c", suspicions=("size",), warnings=("w",))))
    assert html.one("html")["lang"] == "en"
    assert html.one("head").one("title").text == "scans · preprocessing report"
    assert html.one("meta", name="generator")["content"] == "monai-mriprep 0.6.0"
    assert html.one("p", "verdict").text == "All is well."
    assert html.one("dl", "facts").text == "Dataset /data/scans"


def test_every_case_has_a_card_with_what_it_is():
    odd = case("b", suspicions=("label_empty",), warnings=("w",))
    html = front(page(case("a", error="broken\nbadly"), odd, case("c")))
    cards = list(html.every("article"))
    assert [(card["id"], card["data-case"], card["data-is"]) for card in cards] == [
        ("case-1", "a", "failed"),
        ("case-2", "b", "suspect warning"),
        ("case-3", "c", ""),
    ]
    assert cards[0].one("pre", "error").text == "broken badly"
    assert cards[1].one("ul", "suspect").text == "label empty its label_empty is unlike the others'"
    assert cards[1].one("ul", "warning").text == "w"
    assert list(cards[2].every("ul")) == []


def test_a_card_has_the_numbers_of_its_case():
    (card,) = front(page(case("a"))).every("article")
    rows = [[cell.text for cell in row.children if not isinstance(cell, str)] for row in card.every("tr")]
    assert rows == [
        ["", "before", "after"],
        ["size z y x", "10 x 20 x 30", "10 x 10 x 30"],
        ["spacing mm", "3 x 1 x 0.5", "3 x 2 x 0.5"],
        ["axes x y z", "RAS", "RAS"],
        ["class", "ml before", "after", "kept"],
        ["1", "1.2", "1.2", "100 %"],
        ["2", "0.3", "0.15", "50 %"],
    ]
    assert card.one("div", "intensity").text == "intensity 102 ± 20.2 over 1,234,567 voxels 0 200"
    numbers = {key: float(card[f"data-{key}"]) for key in ("spacing", "size", "intensity", "volume")}
    assert numbers == {"spacing": 3.0, "size": 6000.0, "intensity": 100.0, "volume": pytest.approx(1.5)}


def test_classes_have_the_colours_of_the_pictures():
    from monai_mriprep.pictures.palette import colour_of

    (card,) = front(page(case("a"))).every("article")
    assert [circle["fill"] for circle in card.one("table", "classes").every("circle")] == [colour_of(1), colour_of(2)]


def test_a_picture_is_in_the_page_with_its_size_and_words():
    (image,) = front(page(case("a")), lambda case: WEBP).every("img")
    assert base64.b64decode(image["src"].removeprefix("data:image/webp;base64,")) == WEBP.content
    assert (image["width"], image["height"], image["decoding"]) == ("40", "30", "async")
    assert image["alt"] == "Three planes of a: as scanned and as preprocessed"


def test_a_picture_that_shows_less_says_so():
    (figure,) = front(page(case("a")), lambda case: replace(WEBP, shows="the result", is_whole=False)).every(
        "figure", "picture"
    )
    assert figure.one("figcaption").text == "the result"


def test_a_case_of_which_nothing_is_known_has_a_card():
    nothing = case("a", grid=None, measures=None, before=None, after=None, target_grid=None, error="broken")
    html = front(page(nothing))
    assert html.one("article")["data-is"] == "failed"
    assert list(html.every("table", "grids")) == list(html.every("figure")) == []


def test_a_test_set_has_no_classes():
    html = front(page(case("a", before=None, after=None)))
    assert "data-volume" not in html.one("article").attributes
    assert list(html.every("table", "classes")) == []


def test_a_page_on_raw_scans_has_nothing_after():
    raw = replace(case("a", after=None, target_grid=None), is_done=False, moments=())
    html = front(page(raw, what="dataset check"))
    assert html.one("head").one("title").text == "scans · dataset check"
    rows = [
        [cell.text for cell in row.children if not isinstance(cell, str)] for row in html.one("article").every("tr")
    ]
    assert [len(row) for row in rows] == [2] * 7
    assert rows[1] == ["size z y x", "10 x 20 x 30"]
    assert rows[4:] == [["class", "ml"], ["1", "1.2"], ["2", "0.3"]]


def test_every_channel_has_its_intensities():
    html = front(page(case("a", measures=measures(10.0, 20.0)), channels=("t1", "flair")))
    said = [part.text for part in html.every("div", "intensity")]
    assert said == ["t1 102 ± 20.2 over 1,234,567 voxels 0 20", "flair 0 40"]


def test_dots_lead_to_cards_and_name_their_case():
    html = front(page(case("a"), case("b", grid=grid((10, 20, 30), (7.5, 1.0, 0.5)))))
    first = next(html.every("figure", "chart"))
    dots = {dot.text: dot["href"] for dot in first.every("a")}
    assert dots["b: z 7.5 mm"] == "#case-2"
    assert {href.removeprefix("#") for href in dots.values()} == {card["id"] for card in html.every("article")}


def test_a_count_filters_by_its_kind():
    html = front(page(case(), counts=(Count(1, "cases", "all"), Count(0, "failed", "failed"), Count(2, "skipped"))))
    counts = [
        (one.text, [link["data-filter"] for link in one.every("a")]) for one in html.one("ul", "counts").every("li")
    ]
    assert counts == [("1 cases", ["all"]), ("0 failed", ["failed"]), ("2 skipped", [])]


def test_many_notes_and_many_classes_do_not_fill_the_page():
    many = dict.fromkeys(range(14), 100)
    html = front(page(case("a", before=many, after=many), notes=tuple(map(str, range(10)))))
    assert html.one("details").text == "2 more 8 9"
    assert len(list(html.one("div", "scroll").every("tr"))) == 14  # with its head
    classes = front(page(case("a", before=dict.fromkeys(range(1000), 100)))).one("div", "scroll")
    assert len(list(classes.every("tr"))) == 201
    assert classes.one("p").text == "and 799 more classes"


# --- Safe -------------------------------------------------------------------------------------------------------------


def hostile_page():
    cards = (case(HOSTILE, error=HOSTILE, warnings=(HOSTILE,), suspicions=(HOSTILE,)), case(HOSTILE + "2"))
    return page(*cards, title=HOSTILE, notes=(HOSTILE,), channels=(HOSTILE,), key=HOSTILE, about_pictures=HOSTILE)


def test_a_hostile_name_is_text_wherever_it_stands():
    html = front(hostile_page(), lambda case: WEBP)
    assert html.one("article", id="case-1")["data-case"] == HOSTILE
    assert len(list(html.every("script"))) == 1
    assert {image["src"][:5] for image in html.every("img")} == {"data:"}
    handlers = [name for element in html.every() for name in element.attributes if name.startswith("on")]
    assert handlers == []
    assert "{{7*7}}" in html.one("h1").text


def test_characters_that_are_not_seen_are_written_out():
    shown = front(hostile_page()).one("h1").text
    assert r"\x1b[31m" in shown
    assert r"\u202e\u061c" in shown


def test_no_address_leads_out_of_the_page():
    html = front(hostile_page(), lambda case: WEBP)
    addresses = [
        value for element in html.every() for name, value in element.attributes.items() if name in ("href", "src")
    ]
    assert {address[:5] for address in addresses} <= {"#case", "data:"}
    assert not re.search(r"https?:|=\W?//|javascript:|@import|url\(", files(page(case()))["report.html"])


def test_the_policy_takes_no_script_and_no_style_but_ours():
    html = front(page(case()))
    policy = html.one("meta", **{"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag in ("style", "script"):
        text = "".join(html.one(tag).children)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert [element for element in html.every() if "style" in element.attributes] == []


def test_a_page_holds_the_volumes_of_its_views_and_says_why_others_have_none():
    views = Views({HOSTILE: VOLUME}, {"b": "its file is gone"})
    html = front(page(case(HOSTILE), case("b"), case("c")), views=views)
    cards = list(html.every("article"))
    assert cards[0].one("div", "viewer")["data-case"] == HOSTILE
    assert cards[1].one("p", "about").text == "No 3-D view: its file is gone."
    assert [len(list(card.every("div", "viewer"))) for card in cards] == [1, 0, 0]
    block = html.one("script", "viewer-volume")
    assert block["data-case"] == HOSTILE
    assert json.loads(block.text) == json.loads(json.dumps(VOLUME.to_json()))
    assert "Copyright (c) 2021, Niivue" in html.one("script", id="niivue-licences").text


def test_the_policy_takes_the_scripts_of_a_view():
    html = front(page(case("a")), views=Views({"a": VOLUME}))
    policy = html.one("meta", **{"http-equiv": "Content-Security-Policy"})["content"]
    codes = ["".join(script.children) for script in html.every("script") if "type" not in script.attributes]
    assert len(codes) == 2
    for code in (*codes, gzip.decompress(base64.b64decode(html.one("script", id="niivue").text)).decode()):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'" in policy


def test_a_page_without_a_view_holds_no_viewer():
    html = front(page(case("a")), views=Views(without={"a": "its file is gone"}))
    assert len(list(html.every("script"))) == 1


def test_a_name_that_is_no_text_is_written_out():
    assert r"scan\udcff" in files(page(case("scan\udcff")))["report.html"]


# --- For everybody ----------------------------------------------------------------------------------------------------


def test_headings_are_in_order():
    html = front(page(case(suspicions=("size",)), notes=("n",)))
    levels = [int(element.tag[1]) for element in html.every() if re.fullmatch(r"h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_ids_are_given_once_and_names_refer_to_them():
    html = front(page(case("a"), case("b")), lambda case: WEBP)
    ids = [element["id"] for element in html.every() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    referred = {element["aria-labelledby"] for element in html.every() if "aria-labelledby" in element.attributes}
    assert referred <= set(ids)


def test_every_field_has_a_name():
    html = front(page(case("a")))
    of_labels = {
        id(field) for label in html.every("label") for field in (*label.every("input"), *label.every("select"))
    }
    fields = [*html.every("input"), *html.every("select")]
    assert [field for field in fields if id(field) not in of_labels and "aria-label" not in field.attributes] == []


def test_the_page_is_whole_without_its_script():
    html = front(page(case("a")), lambda case: WEBP)
    needing = [one.tag for one in html.every(css="needs-script")]
    assert set(needing) == {"div", "form", "fieldset", "p"}
    shown = [html.one("article"), html.one("img"), next(html.every("figure", "chart")), html.one("p", id="methods")]
    assert all("needs-script" not in one.attributes.get("class", "") for one in shown)


# --- Many cases -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_many():
    bare = {"measures": None, "before": None, "after": None}
    cases = [case(f"case_{n}", error="broken" if n < 2 else None, **bare) for n in range(1001)]
    return files(page(*cases))


def test_a_report_on_many_cases_has_an_index_and_pages(of_many):
    assert list(of_many) == ["report.html", *(f"report/page-000{n}.html" for n in (1, 2))]
    text = of_many["report.html"]
    assert re.findall(r'id="case-(\d+)"', text) == ["1", "2"]
    places = re.findall(r'<li data-case="(\w+)" data-is="\w*"><a href="([^"]+)">', text)
    assert len(places) == 1001
    assert text.index('id="case-2"') < text.index('id="index"') < text.index(">case_0</bdi></a>")
    assert places[0] == ("case_0", "#case-1")
    assert places[1000] == ("case_1000", "report/page-0002.html#case-1001")
    assert 'id="case-1001"' in of_many["report/page-0002.html"]


def test_charts_on_many_cases_are_few_elements(of_many):
    assert of_many["report.html"].count("<circle") < 20
    assert 'class="points"' in of_many["report.html"]


def test_a_further_page_leads_back_and_has_no_verdict(of_many):
    text = of_many["report/page-0002.html"]
    assert 'href="../report.html"' in text
    assert 'href="../report/page-0001.html" rel="prev"' in text
    assert 'class="counts"' not in text
    assert 'rel="next"' not in text
    assert 'class="chart"' not in text
    assert 'href="report/page-0001.html" rel="next"' in of_many["report.html"]


def test_a_page_comes_in_pieces_and_reads_a_picture_when_its_card_is_due():
    from monai_mriprep.report.html.render import rendered

    read = []

    def picture_of(one):
        read.append(one.name)
        return WEBP

    ((_, pieces),) = rendered(page(*(case(f"case_{n}") for n in range(60))), picture_of)
    next(iter(pieces))
    assert len(read) < 30


def test_a_card_is_small():
    """A thousand of them, with pictures of 40 KiB, are to stay under 60 MB."""
    one, two = (len(files(page(*(case(f"case_{n}") for n in range(count))))["report.html"]) for count in (1, 2))
    assert two - one < 6000
