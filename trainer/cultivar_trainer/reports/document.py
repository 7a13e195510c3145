"""A report of headings, text, tables and pictures, written as one HTML or Markdown file, all text escaped."""

import base64
import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a section."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names; those that end in `>` are of numbers, and align right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture within the file: SVG in HTML, PNG in Markdown, whose readers seldom show SVG."""

    svg: bytes
    png: bytes
    text: str
    """What it shows, for those who can't see it."""


@dataclass(frozen=True, slots=True)
class Code:
    """Text as it is typed."""

    text: str


Block = Heading | Paragraph | Bullets | Table | Picture | Code


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    blocks: Sequence[Block]


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
div { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { border-bottom: 1px solid #ddd; padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
.number { text-align: right; white-space: nowrap; }
pre { background: #f5f5f5; padding: 0.8rem; overflow-x: auto; font-size: 0.85rem; overflow-wrap: normal; }
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


def to_html(document: Document) -> str:
    """Return one page that needs no network, holds its pictures, and runs no script."""
    body = "\n".join(_html(block) for block in document.blocks)
    return _PAGE.substitute(title=_escaped(document.title), body=body)


def to_markdown(document: Document) -> str:
    """Return one file (GitHub's flavour of tables) that holds its pictures."""
    blocks = [f"# {_literal(document.title)}", *(_markdown(block) for block in document.blocks)]
    return "\n\n".join(blocks) + "\n"


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{_escaped(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_escaped(text)}</p>"
        case Bullets(items):
            return "\n".join(["<ul>", *(f"<li>{_escaped(item)}</li>" for item in items), "</ul>"])
        case Table(columns, rows):
            classes = [' class="number"' if name.endswith(">") else "" for name in columns]
            head = _html_row("th", classes, [name.removesuffix(">") for name in columns])
            lines = "\n".join(_html_row("td", classes, row) for row in rows)
            return f"<div><table>\n<thead>{head}</thead>\n<tbody>\n{lines}\n</tbody>\n</table></div>"
        case Picture(svg, _, text):
            data = base64.b64encode(svg).decode()
            return f'<p><img alt="{_escaped(text)}" src="data:image/svg+xml;base64,{data}"></p>'
        case Code(text):
            return f"<pre>{_escaped(text, keep_lines=True)}</pre>"


def _html_row(cell: str, classes: Sequence[str], row: Sequence[str]) -> str:
    cells = (f"<{cell}{its}>{_escaped(text)}</{cell}>" for its, text in zip(classes, row, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_literal(text)}"
        case Paragraph(text):
            return _literal(text)
        case Bullets(items):
            return "\n".join(f"- {_literal(item)}" for item in items)
        case Table(columns, rows):
            head = [name.removesuffix(">") for name in columns]
            rule = "| " + " | ".join("---:" if name.endswith(">") else "---" for name in columns) + " |"
            return "\n".join([_markdown_row(head), rule, *(_markdown_row(row) for row in rows)])
        case Picture(_, png, text):
            return f"![{_literal(text)}](data:image/png;base64,{base64.b64encode(png).decode()})"
        case Code(text):
            # A fence ends at as many backticks as it began with.
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            return f"{fence}\n{_printable(text, keep_lines=True)}\n{fence}"


def _markdown_row(row: Sequence[str]) -> str:
    return "| " + " | ".join(_literal(text) for text in row) + " |"


def _escaped(text: str, *, keep_lines: bool = False) -> str:
    return html.escape(_printable(text, keep_lines=keep_lines))


def _literal(text: str) -> str:
    """Return text that Markdown shows as it is: no markup, no HTML, no line of its own."""
    escaped = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", html.escape(_printable(text), quote=False))
    # What makes a heading, list or rule where a line begins with it; a signed number makes none.
    return re.sub(r"^(\s*\d*)([#+\-=.)])(?=[\s#=\-]|$)", r"\1\\\2", escaped)


def _printable(text: str, *, keep_lines: bool = False) -> str:
    def shown(character: str) -> str:
        if character == "\n":
            return character if keep_lines else " "
        return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in ("Cc", "Cs") else character

    return "".join(map(shown, text))
