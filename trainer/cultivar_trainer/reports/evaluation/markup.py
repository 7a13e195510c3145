"""HTML in pieces: whatever text comes in, none of it becomes markup."""

import base64
import html
from collections.abc import Iterable, Sequence

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 960px; margin: 2em auto; padding: 0 1em }}
h1 {{ font-size: 1.5em }} h2 {{ font-size: 1.25em; margin-top: 2em; border-bottom: 1px solid #ccc }}
h3 {{ font-size: 1.05em }} img {{ max-width: 100% }} p.note {{ color: #555 }}
table {{ border-collapse: collapse }} th, td {{ padding: .15em .8em .15em 0; text-align: left; vertical-align: top }}
th {{ border-bottom: 1px solid #999 }} td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums }}
pre {{ background: #f4f4f4; padding: .8em; overflow-x: auto }} summary {{ cursor: pointer; margin: .6em 0 }}
.bar {{ position: relative; display: inline-block; width: 160px; height: .8em; background: #eee }}
.bar i, .bar b {{ position: absolute; top: 0; bottom: 0 }} .bar i {{ background: #9ecae1 }}
.bar b {{ width: 2px; background: #0072B2 }}
.shots {{ display: flex; flex-wrap: wrap; gap: 1em }} .shots figure {{ margin: 0; width: 140px; font-size: 12px }}
.shots figcaption {{ overflow-wrap: anywhere }}
</style></head><body>
"""
"""Takes a title. The policy lets nothing be fetched and no script run, whatever a name should hold."""
TAIL = "</body></html>\n"


def text(value: object) -> str:
    """Return a value as text of a page: escaped, and without characters that do not show."""
    return html.escape("".join(one if one.isprintable() else "\ufffd" for one in str(value)))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are markup already; columns whose name ends in `>` hold numbers."""
    numeric = [column.endswith(">") for column in columns]

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="n">{value}</{tag}>' if is_number else f"<{tag}>{value}</{tag}>"
            for value, is_number in zip(values, numeric, strict=True)
        )

    head = cells("th", [text(column.removesuffix(">")) for column in columns])
    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>\n"


def image(data: bytes, kind: str, description: str) -> str:
    """Return a picture that is part of the page; kind: `jpeg` or `svg+xml`."""
    encoded = base64.b64encode(data).decode()
    return f'<img alt="{text(description)}" src="data:image/{kind};base64,{encoded}">'


def bar(share: float, low: float, high: float) -> str:
    """Return a share, 0 to 1, with its interval as a small drawing."""
    band = f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
    return f'<span class="bar">{band}<b style="left:{min(99.0, 100 * share):.1f}%"></b></span>'


def folded(summary: str, body: str) -> str:
    """Return what is shown when somebody opens it."""
    return f"<details><summary>{text(summary)}</summary>\n{body}</details>\n"
