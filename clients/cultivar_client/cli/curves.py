"""Curves of a job: drawn in the terminal from its events, or saved as the trainer drew them."""

import asyncio
import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from cultivar.v1 import event_pb2, training_pb2
from cultivar_client.cli import session
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import print_json
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS
from cultivar_client.errors import CultivarError

NARROWEST = 60
"""Columns below which curves are no help."""
_SIDE_BY_SIDE = 100
_WIDEST = 80
"""Of one panel."""
_TITLES = ("loss (nats)", "top-1 accuracy (share of images)")
_ROWS = 15
_READ_TIMEOUT_S = 10.0
_TICKS = 6
_FAR = 20.0
"""Losses whose largest is so many times their median are drawn on a logarithmic axis."""
_SUFFIXES = (".svg", ".png", ".json")
_TRAINING, _VALIDATION = "braille", "o"
_BRAILLE = re.compile("[\u2800-\u28ff]+")


def save(
    name: str,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Save them as a .svg, .png or .json file.", metavar="FILE")
    ] = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Draw a job's loss and accuracy over epochs in the terminal, or save them as a picture or as JSON."""
    if output is not None and output.suffix not in _SUFFIXES:
        raise typer.BadParameter(f"{output}: name a file that ends in {', '.join(_SUFFIXES)}", param_hint="--output")

    async def work(client: Client) -> int:
        job = await client.get_training_job(name)
        if output is None and not as_json:
            typer.echo(await picture(client, job))
            return session.DONE
        suffix = ".json" if output is None else output.suffix
        folder = Path(tempfile.gettempdir()) if output is None else output.parent
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".curves.") as temporary:
            try:
                path = await client.download_artifact(job.name, f"curves{suffix}", temporary)
            except CultivarError as error:
                if error.code != "NOT_FOUND":
                    raise
                return session.fail(
                    f"{job.name} has no curves{suffix}: it is drawn when training ends; leave out -o and --json to see "
                    "the epochs so far"
                )
            if output is None:
                print_json(json.loads(path.read_text()))
                return session.DONE
            path.replace(output)
        if as_json:
            print_json({"path": str(output)})
        else:
            typer.echo(str(output))
        return session.DONE

    session.run(address, token, work)


def wanted(curves: bool | None) -> bool:
    """Tells whether to draw: as asked, else where standard output is a terminal with room for it."""
    if curves is not None:
        return curves
    return sys.stdout.isatty() and sys.stdout.encoding.lower().startswith("utf") and _columns() >= NARROWEST


async def picture(client: Client, job: training_pb2.TrainingJob) -> str:
    """Returns the curves of the epochs so far of a job's best candidate as text. Raises CultivarError."""
    epochs = await _epochs(client, job)
    candidate = job.best_epoch.candidate if job.HasField("best_epoch") else job.latest_epoch.candidate
    turning = job.fit.turning_epoch if job.fit.HasField("turning_epoch") else None
    return draw(
        [one for one in epochs if one.candidate == candidate],
        selected=job.best_epoch.epoch,
        turning=turning,
        columns=max(NARROWEST, _columns()),
        coloured=sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
    )


def draw(
    epochs: Sequence[event_pb2.EpochFinished],
    *,
    selected: int = 0,
    turning: int | None = None,
    columns: int = 80,
    coloured: bool = False,
) -> str:
    """Returns loss and accuracy over epochs as text: beside each other where there is room, else below.

    Args:
        epochs: of one candidate; those without finite figures are left out.
        selected: the epoch to mark; 0: none.
        turning: the epoch after which validation loss turns up.
        columns: of the terminal.
        coloured: whether to write ANSI colours.
    """
    shown = [one for one in epochs if all(map(math.isfinite, _figures(one)))]
    if not shown:
        return "no epochs yet"
    beside = columns >= _SIDE_BY_SIDE
    width = min(columns // 2, _WIDEST) if beside else min(columns, _WIDEST)
    numbers = [one.epoch for one in shown]
    panels = [
        _panel(
            title,
            numbers,
            [_figures(one)[position] for one in shown],
            [_figures(one)[position + 2] for one in shown],
            marks=[(selected, "default"), (turning, "dotted")],
            width=width,
        )
        for position, title in enumerate(_TITLES)
    ]
    if beside:
        lines = [f"{left:{width}}{right}".rstrip() for left, right in zip(*panels, strict=True)]
    else:
        lines = [line for panel in panels for line in panel]
    if coloured:
        lines = [_colour(line) for line in lines]
    return "\n".join([*lines, _legend(selected, turning, coloured=coloured)])


def _panel(
    title: str,
    epochs: list[int],
    training: list[float],
    validation: list[float],
    *,
    marks: list[tuple[int | None, str]],
    width: int,
) -> list[str]:
    """Returns the lines of one pair of curves, `width` columns wide at most."""
    # Loads for half a second, which other commands need not wait.
    import plotext

    # The only figure there is. What it draws is never larger than the terminal.
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, _ROWS)
    figure.title(title)
    figure.label("epoch")
    figure.draw(figure.signal(epochs, training, marker=_TRAINING).lines())
    figure.draw(figure.signal(epochs, validation, marker=_VALIDATION))
    for epoch, style in marks:
        if epoch in epochs:
            figure.line(epoch, "v", style=style)
    _set_limits(figure, epochs, training + validation, is_loss=title == _TITLES[0])
    return [line.rstrip() for line in figure.build().string(colorless=True).splitlines()]


async def _epochs(client: Client, job: training_pb2.TrainingJob) -> list[event_pb2.EpochFinished]:
    """Returns the epochs that a job's events tell of so far, in order."""
    epochs = []
    if job.last_event:
        try:
            # All of it is there already, so a stream that does not end in time hangs.
            async with asyncio.timeout(_READ_TIMEOUT_S), aclosing(client.watch_training_job(job.name)) as events:
                async for event in events:
                    if event.HasField("epoch_finished"):
                        epochs.append(event.epoch_finished)
                    if event.number >= job.last_event:
                        break
        except TimeoutError:
            typer.echo(f"warning: {job.name}'s events did not all arrive in {_READ_TIMEOUT_S:.0f} s", err=True)
    return epochs


def _figures(epoch: event_pb2.EpochFinished) -> tuple[float, float, float, float]:
    """Returns what is drawn: the training figures in the order of _TITLES, then the validation figures."""
    return epoch.train_loss, epoch.train_accuracy, epoch.val_loss, epoch.val_accuracy


def _set_limits(figure: Any, epochs: list[int], values: list[float], *, is_loss: bool) -> None:
    """Sets the range of both axes, and whole numbers of epochs as ticks."""
    first, last = epochs[0], epochs[-1]
    step = max(1, math.ceil((last - first) / _TICKS))
    ticks = [*range(first, last - step // 2, step), last] if last > first else [first]
    across = figure.ruler("x")
    across.lim(first - 0.5, last + 0.5)
    across.ticks(ticks, [str(one) for one in ticks])
    low, high = min(values), max(values)
    if is_loss and low > 0 and high > _FAR * median(values):
        figure.ruler("y").scale("log")
    elif low == high or len(epochs) == 1:
        figure.ruler("y").lim(0, 1.1 * high if is_loss and high > 0 else 1)


def _legend(selected: int, turning: int | None, *, coloured: bool) -> str:
    line, ring = "⠒⠒ training, as seen", "o validation"
    if coloured:
        line, ring = typer.style(line, fg="cyan"), typer.style(ring, fg="yellow")
    parts = [line, ring]
    if selected:
        parts.append(f"│ best epoch {selected}")
    if turning is not None:
        parts.append(f"┊ validation loss turns up after epoch {turning}")
    return "   ".join(parts)


def _colour(line: str) -> str:
    """Colours the marks in a row of the canvas, which has no letters; plotext's own colours come with a background."""
    if not any(mark in line for mark in "│┤"):
        return line
    line = line.replace(_VALIDATION, typer.style(_VALIDATION, fg="yellow"))
    return _BRAILLE.sub(lambda found: typer.style(found[0], fg="cyan"), line)


def _columns() -> int:
    return shutil.get_terminal_size().columns
