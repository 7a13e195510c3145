"""HTML in pieces: whatever text comes in, none of it becomes markup."""

import base64
import html
import unicodedata
from collections.abc import Iterable, Sequence
from string import Template

_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of what follows them (Unicode Annex 9), so that a name could show as another."""
# The policy forbids whatever a browser might fetch or run, should an escape ever be missing.
_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; overflow-wrap: anywhere; }
h1 { line-height: 1.2; }
h2 { border-bottom: 1px solid #ccc; margin-top: 2rem; }
img { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { border-bottom: 1px solid #ddd; padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
.number { text-align: right; white-space: nowrap; }
.note { color: #555; }
pre { background: #f5f5f5; padding: 0.8rem; overflow-x: auto; font-size: 0.85rem; overflow-wrap: normal; }
summary { cursor: pointer; margin: 0.6rem 0; }
.bar { position: relative; display: inline-block; width: 160px; height: 0.8em; background: #eee; }
.bar i, .bar b { position: absolute; top: 0; bottom: 0; }
.bar i { background: #9ecae1; }
.bar b { width: 2px; background: #0072B2; }
.shots { display: flex; flex-wrap: wrap; gap: 1rem; }
.shots figure { margin: 0; width: 140px; font-size: 0.8rem; }
</style>
</head>
<body>
<h1>$title</h1>
$body</body>
</html>
""")


def page(title: str, body: Iterable[str]) -> str:
    """Return one page that needs no network and runs no script.

    Args:
        title: as text.
        body: pieces of markup, each ending its line.
    """
    return _PAGE.substitute(title=text(title), body="".join(body))


def text(value: str, *, keep_lines: bool = False) -> str:
    """Return text as markup that shows it."""
    return html.escape(printable(value, keep_lines=keep_lines))


def printable(value: str, *, keep_lines: bool = False) -> str:
    """Return text with a mark for each character that has no shape, or turns the direction of the rest.

    Args:
        value: the text.
        keep_lines: whether ends of lines stay; else they become spaces.
    """

    def shown(character: str) -> str:
        if character == "\n":
            return character if keep_lines else " "
        hidden = character in _TURNING or unicodedata.category(character) in ("Cc", "Cs")
        return "\N{REPLACEMENT CHARACTER}" if hidden else character

    return value if value.isprintable() else "".join(map(shown, value))


def paragraph(value: str, *, note: bool = False) -> str:
    """Return running text; a note is paler."""
    opening = '<p class="note">' if note else "<p>"
    return f"{opening}{text(value)}</p>\n"


def bullets(items: Iterable[str]) -> str:
    """Return a list of texts."""
    return "\n".join(["<ul>", *(f"<li>{text(item)}</li>" for item in items), "</ul>\n"])


def code(value: str) -> str:
    """Return text as it is typed."""
    return f"<pre>{text(value, keep_lines=True)}</pre>\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are markup already; columns whose name ends in `>` hold numbers.

    Args:
        columns: their names, as text; without any, the table has no head.
        rows: of cells, as many as there are columns.
    """
    classes = [' class="number"' if name.endswith(">") else "" for name in columns]

    def row(tag: str, cells: Sequence[str]) -> str:
        filled = (f"<{tag}{its}>{cell}</{tag}>" for its, cell in zip(classes or [""] * len(cells), cells, strict=True))
        return f"<tr>{''.join(filled)}</tr>"

    head = f"<thead>{row('th', [text(name.removesuffix('>')) for name in columns])}</thead>\n" if columns else ""
    body = "\n".join(row("td", cells) for cells in rows)
    return f'<div class="wide"><table>\n{head}<tbody>\n{body}\n</tbody></table></div>\n'


def image(data: bytes, kind: str, description: str) -> str:
    """Return a picture that is part of the page; kind: `jpeg` or `svg+xml`."""
    encoded = base64.b64encode(data).decode()
    return f'<img alt="{text(description)}" src="data:image/{kind};base64,{encoded}">'


def bar(share: float, low: float, high: float) -> str:
    """Return a share, 0 to 1, with its interval as a small drawing."""
    band = f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
    return f'<span class="bar">{band}<b style="left:{min(99.0, 100 * share):.1f}%"></b></span>'


def folded(summary: str, body: str) -> str:
    """Return markup that is shown when somebody opens it."""
    return f"<details><summary>{text(summary)}</summary>\n{body}</details>\n"
