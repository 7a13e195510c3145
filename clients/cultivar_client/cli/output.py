"""What commands print: JSON of messages, tables, and facts, as plain text where there is no terminal."""

import json
from collections.abc import Iterable, Sequence

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Wide enough that no table is cut in a pipe or file; nothing is padded to this width.
PIPE_WIDTH = 1000


def console(*, stderr: bool = False) -> Console:
    """Returns a console on standard output or standard error that colours nothing by itself."""
    target = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not target.is_terminal:
        target.width = PIPE_WIDTH
    return target


def json_of(message: Message) -> dict[str, object]:
    """Returns a message as proto JSON, with zeros and falses: a missing accuracy and 0.0 are not alike to a script."""
    return MessageToDict(message, always_print_fields_with_no_presence=True)


def print_json(value: Message | dict[str, object], *, one_line: bool = False) -> None:
    """Prints a message, or a dictionary of such, as JSON on standard output."""
    data = json_of(value) if isinstance(value, Message) else value
    typer.echo(json.dumps(data, ensure_ascii=False, indent=None if one_line else 2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "none") -> None:
    """Prints rows under column names; names that end in `>` are of numbers, and align right."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        if column.endswith(">"):
            # In pieces, a number is another number: where the width does not suffice, names are folded.
            table.add_column(column.removesuffix(">"), justify="right", no_wrap=True, overflow="ellipsis")
        else:
            table.add_column(column, overflow="fold")
    for row in rows:
        # Text, not str: names from the service are no markup.
        table.add_row(*(Text(str(cell)) for cell in row))
    if table.row_count == 0:
        typer.echo(empty)
        return
    console().print(table)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Prints name and value of each fact that has a value, one a line."""
    shown = [(name, value) for name, value in facts if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        typer.echo(f"{typer.style(name.ljust(width), bold=True)}  {value}")
