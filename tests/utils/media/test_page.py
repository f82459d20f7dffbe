"""A page that needs nothing but itself: read by a parser, and where there is one by a browser."""

import numpy as np
import pytest
from pages import Reader, measured, needs_a_browser, problems

from utils.media.figures import COLOURS, new_figure, png
from utils.media.page import Page


def example():
    figure = new_figure(8, 3)
    figure.subplots().plot(np.arange(3), color=COLOURS[0])
    page = Page("Toy-v0 & <friends>")
    page.heading("A picture")
    page.picture(png(figure), "png", "A line that rises", "Below it, words")
    page.text("raise v_max", warning=True)
    page.picture(png(figure), "png", "The same line", narrow=png(figure))
    page.table([(f"row {i}", "x " * 30, 1.5) for i in range(3)], ("name", "value", "more"))
    return page


def test_a_page_is_self_contained_and_readable():
    assert problems(example().html()) == []


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ('<img alt="x" src="https://a.example/x.png">', "img loads https://a.example/x.png"),
        ('<img src="data:image/png;base64,">', "a picture has no words"),
        ("<script>1</script>", "there is a script"),
        ('<style>a { background: url("x") }</style>', "a style loads something"),
    ],
)
def test_the_page_checker_finds_faults(fault, found):
    assert problems(example().html().replace("</body>", fault + "</body>")) == [found]


def test_html_characters_are_escaped():
    page = Page("a < b")
    page.text("<script>alert(1)</script>")
    page.table([("<b>", 1)], ("<i>",))
    page.picture(b"", "gif", 'a "quoted" > picture')
    reader = Reader(page.html())
    assert problems(page.html()) == []
    assert "<script>alert(1)</script>" in reader.words
    assert reader.all("img")[0]["alt"] == 'a "quoted" > picture'


def test_content_security_policy_forbids_loading():
    (policy,) = [attrs["content"] for attrs in Reader(example().html()).all("meta") if "http-equiv" in attrs]
    assert policy.startswith("default-src 'none'; img-src data:")


@needs_a_browser
@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_the_page_without_scrolling_sideways(tmp_path, width):
    across, down, pictures = measured(example().save(tmp_path / "page.html"), width)
    assert across <= width
    assert down > 300
    assert pictures


def test_a_folded_table_is_collapsed_under_its_summary():
    page = Page("Toy-v0")
    page.table([("tau", 0.001)], ("parameter", "value"), folded="1 parameter & its default")
    reader = Reader(page.html())
    assert reader.all("details") == [{}]  # not open
    assert "1 parameter & its default" in reader.words


def test_a_gif_is_shown_beside_its_caption():
    page = Page("Toy-v0")
    page.picture(b"", "gif", "A film", "What it shows")
    assert Reader(page.html()).all("figure") == [{"class": "film"}]
