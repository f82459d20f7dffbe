"""One self-contained HTML page: it contains its pictures, has no script and loads no other file."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from utils.storage.files import write_file

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; color: #282828; background: #fff;
       font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #ccc; }
figure { margin: 1rem 0; } img { display: block; max-width: 100%; height: auto; }
figcaption { color: #595959; font-size: .9rem; }
.film { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: center; } .film img { width: 30rem; }
.film figcaption { flex: 1 1 16rem; max-width: 30rem; font-size: 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e4e4e4; vertical-align: top; }
tbody:first-child td:last-child { overflow-wrap: anywhere; }
td { font-variant-numeric: tabular-nums; } summary { cursor: pointer; margin: .8rem 0; }
.warning { border-left: .3rem solid #d55e00; padding-left: .7rem; }
@media screen and (max-width: 40rem) { body { padding: .6rem; } h1 { font-size: 1.3rem; } table { font-size: .75rem; }
               th, td { padding-right: .3rem; } }
@media print { body { max-width: none; font-size: 10pt; } figure, tr { break-inside: avoid; } h2 { break-after: avoid; }
               .scroll { overflow: visible; } }
"""
# The browser may load nothing but the pictures inside the page.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Page:
    """A page, filled from top to bottom. Texts are plain and are escaped."""

    def __init__(self, title: str):
        self._title = title
        self._parts: list[str] = [f"<h1>{html.escape(title)}</h1>"]

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str, warning: bool = False) -> None:
        """A paragraph."""
        opening = '<p class="warning">' if warning else "<p>"
        self._parts.append(f"{opening}{html.escape(text)}</p>")

    def picture(self, content: bytes, kind: str, alt: str, caption: str = "", narrow: bytes | None = None) -> None:
        """A picture; `kind` is png or gif, `alt` describes it. A GIF is shown beside its caption.

        `narrow`, of the same kind, replaces it on a narrow screen.
        """
        below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
        image = f'<img alt="{html.escape(alt)}" src="{_data(content, kind)}">'
        if narrow is not None:
            source = f'<source media="(max-width: 40rem)" srcset="{_data(narrow, kind)}">'
            image = f"<picture>{source}{image}</picture>"
        opening = '<figure class="film">' if kind == "gif" else "<figure>"
        self._parts.append(f"{opening}{image}{below}</figure>")

    def table(self, rows: Iterable[Sequence[object]], header: Sequence[str] = (), folded: str = "") -> None:
        """A table; with `folded`, it is collapsed under this summary. A table wider than the screen scrolls."""
        head = f"<thead><tr>{_cells(header, 'th')}</tr></thead>" if header else ""
        body = "".join(f"<tr>{_cells(row, 'td')}</tr>" for row in rows)
        table = f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'
        summary = f"<summary>{html.escape(folded)}</summary>"
        self._parts.append(f"<details>{summary}{table}</details>" if folded else table)

    def html(self) -> str:
        """The page as HTML."""
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            f"<title>{html.escape(self._title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
            + "\n".join(self._parts)
            + "\n</body>\n</html>\n"
        )

    def save(self, path: Path) -> Path:
        """Write the page; returns the path. Raises StorageError."""
        return write_file(path, self.html().encode())


def _data(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _cells(values: Sequence[object], kind: str) -> str:
    return "".join(f"<{kind}>{html.escape(str(value))}</{kind}>" for value in values)
