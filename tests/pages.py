"""Reads HTML pages, with a parser and with a browser."""

import html.parser
import shutil
import subprocess

import pytest

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
