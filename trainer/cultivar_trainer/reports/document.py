"""A report of headings, text, tables and pictures, written as one HTML or Markdown file, all text escaped."""

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cultivar_trainer.reports import markup


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


def to_html(document: Document) -> str:
    """Return one page that needs no network, holds its pictures, and runs no script."""
    return markup.page(document.title, map(_html, document.blocks))


def to_markdown(document: Document) -> str:
    """Return one file (GitHub's flavour of tables) that holds its pictures."""
    blocks = [f"# {_literal(document.title)}", *(_markdown(block) for block in document.blocks)]
    return "\n\n".join(blocks) + "\n"


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{markup.text(text)}</h{level}>\n"
        case Paragraph(text):
            return markup.paragraph(text)
        case Bullets(items):
            return markup.bullets(items)
        case Table(columns, rows):
            return markup.table(columns, [list(map(markup.text, row)) for row in rows])
        case Picture(svg, _, text):
            return f"<p>{markup.image(svg, 'svg+xml', text)}</p>\n"
        case Code(text):
            return markup.code(text)


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
            return f"{fence}\n{markup.printable(text, keep_lines=True)}\n{fence}"


def _markdown_row(row: Sequence[str]) -> str:
    return "| " + " | ".join(_literal(text) for text in row) + " |"


def _literal(text: str) -> str:
    """Return text that Markdown shows as it is: no markup, no HTML, no line of its own."""
    escaped = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", html.escape(markup.printable(text), quote=False))
    # What makes a heading, list or rule where a line begins with it; a signed number makes none.
    return re.sub(r"^(\s*\d*)([#+\-=.)])(?=[\s#=\-]|$)", r"\1\\\2", escaped)
