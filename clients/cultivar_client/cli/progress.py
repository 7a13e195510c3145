"""Shows how far a long call is until its result arrives."""

from collections.abc import AsyncIterator
from typing import Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from cultivar_client.cli import figures
from cultivar_client.cli.output import console


async def result_of(updates: AsyncIterator[Any], field: str, *, quiet: bool) -> Any:
    """Returns what `field` of the last update holds; the others hold `progress`.

    Where there is no terminal each stage is named once, unless quiet.
    """
    target = console(stderr=quiet)
    stage, result = "", None
    bar = Progress(TextColumn("{task.description}", markup=False), BarColumn(), console=target, transient=True)
    bar.disable = not target.is_terminal
    task = bar.add_task("waiting", total=None)
    with bar:
        async for update in updates:
            if update.HasField(field):
                result = getattr(update, field)
                continue
            progress = update.progress
            line = figures.progress_line(progress)
            bar.update(task, description=line, completed=progress.done, total=progress.total or None)
            if not target.is_terminal and not quiet and progress.stage != stage:
                stage = progress.stage
                typer.echo(stage)
    return result
