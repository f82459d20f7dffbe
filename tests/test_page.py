"""A page that needs nothing but itself: read by a parser, and where there is one by a browser."""

import html.parser
import shutil
import subprocess

import numpy as np
import pytest

from utils.figures import COLOURS, new_figure, png
from utils.page import Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LOADS = {"src", "href", "srcset", "data", "poster", "action", "background"}


class Reader(html.parser.HTMLParser):
    """Keeps what a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def problems(text):
    """What keeps a page from being self-contained and readable."""
    reader = Reader(text)
    found = [f"{tag} loads {attrs[name][:40]}" for tag, attrs in reader.tags for name in LOADS & set(attrs)]
    found = [problem for problem in found if " loads data:image/" not in problem]
    found += [f"there is a {tag}" for tag in ("script", "link", "iframe", "object", "embed") if reader.all(tag)]
    found += ["a style loads something" for word in reader.words if "url(" in word or "@import" in word]
    found += ["a picture has no words" for attrs in reader.all("img") if not attrs.get("alt")]
    if not any(attrs.get("name") == "viewport" and "device-width" in attrs["content"] for attrs in reader.all("meta")):
        found.append("a phone would show it at the width of a desk")
    if not reader.all("html")[0].get("lang"):
        found.append("it does not say its language")
    return found


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
def test_a_fault_in_it_would_be_found(fault, found):
    assert problems(example().html().replace("</body>", fault + "</body>")) == [found]


def test_what_means_something_in_html_is_shown_as_it_is():
    page = Page("a < b")
    page.text("<script>alert(1)</script>")
    page.table([("<b>", 1)], ("<i>",))
    page.picture(b"", "gif", 'a "quoted" > picture')
    reader = Reader(page.html())
    assert problems(page.html()) == []
    assert "<script>alert(1)</script>" in reader.words
    assert reader.all("img")[0]["alt"] == 'a "quoted" > picture'


def test_the_browser_is_told_to_load_nothing():
    (policy,) = [attrs["content"] for attrs in Reader(example().html()).all("meta") if "http-equiv" in attrs]
    assert policy.startswith("default-src 'none'; img-src data:")


def measured(path, width):
    """What a browser of so many pixels makes of a page: its width and height, and whether it shows every picture.

    A table or picture that is cut off at the right counts as a picture that is not shown.
    """
    # The page itself may run no script; a frame around it that measures it may.
    frame = path.with_name("frame.html")
    frame.write_text(
        f'<body style="margin:0"><iframe src="{path.name}" style="border:0;width:{width}px;height:2000px" onload="'
        "let inside = this.contentDocument.documentElement, pictures = [...this.contentDocument.images];"
        "let cut = [...this.contentDocument.querySelectorAll('.scroll')].some(box => box.scrollWidth > box.clientWidth);"
        "let shown = pictures.every(p => p.naturalWidth > 0 && p.width <= inside.clientWidth);"
        "document.title = [inside.scrollWidth, inside.scrollHeight, shown && !cut].join(' ')"
        '"></iframe>'
    )
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --allow-file-access-from-files --dump-dom"
    profile = f"--user-data-dir={path.parent / 'profile'}"
    command = [CHROMIUM, *flags.split(), profile, f"--window-size={width},800", frame.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=280).stdout
    across, down, pictures = shown.partition("<title>")[2].partition("</title>")[0].split()
    return int(across), int(down), pictures == "true"


needs_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")


@needs_a_browser
@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_the_page_without_scrolling_sideways(tmp_path, width):
    across, down, pictures = measured(example().save(tmp_path / "page.html"), width)
    assert across <= width
    assert down > 300
    assert pictures


def test_a_folded_table_is_closed_behind_its_words():
    page = Page("Toy-v0")
    page.table([("tau", 0.001)], ("parameter", "value"), folded="1 parameter & its default")
    reader = Reader(page.html())
    assert reader.all("details") == [{}]  # not open
    assert "1 parameter & its default" in reader.words


def test_a_film_stands_beside_its_caption():
    page = Page("Toy-v0")
    page.picture(b"", "gif", "A film", "What it shows")
    assert Reader(page.html()).all("figure") == [{"class": "film"}]
