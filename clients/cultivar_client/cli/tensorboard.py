"""`cultivar tensorboard`: shows jobs in TensorBoard, on this machine, while they run and after."""

import asyncio
import importlib.util
import re
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from cultivar.v1 import state_pb2
from cultivar_client.cli import figures, session
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import print_json
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS
from cultivar_client.download import path_inside
from cultivar_client.errors import CultivarError
from cultivar_client.growing_files import refresh

PREFIX = "tensorboard/"
REFRESH_S = 3.0
"""Time between two looks for new points of jobs that run."""
START_S = 120.0
"""TensorBoard loads for some seconds, and for longer on a busy machine."""
FINAL = (
    state_pb2.TRAINING_JOB_STATE_SUCCEEDED,
    state_pb2.TRAINING_JOB_STATE_FAILED,
    state_pb2.TRAINING_JOB_STATE_CANCELLED,
)
_URL = re.compile(r"http://127\.0\.0\.1:\d+/\S*")


def tensorboard(
    names: Annotated[list[str], typer.Argument(metavar="JOB...", help="Jobs to show beside each other.")],
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0: any that is free. Default: 6006 or one after it."),
    ] = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Show jobs in TensorBoard until Ctrl-C; jobs that run get new points every few seconds."""

    async def work(client: Client) -> int:
        if importlib.util.find_spec("tensorboard") is None:
            return session.fail("tensorboard is not installed here: pip install 'cultivar[tensorboard]'")
        with tempfile.TemporaryDirectory(prefix="cultivar-tensorboard-") as name:
            folder = Path(name)
            running = await _fetch(client, names, folder)
            if not running and not await asyncio.to_thread(_has_points, folder):
                return session.fail(
                    f"{', '.join(names)}: no points for TensorBoard: jobs write them from their first epoch on where "
                    "diagnostics.tensorboard is true"
                )
            async with _started(folder, port) as (process, url):
                if as_json:
                    print_json({"url": url, "running": running}, one_line=True)
                else:
                    typer.echo(f"TensorBoard: {url}  (Ctrl-C ends it)")
                sys.stdout.flush()
                await _keep_fresh(client, running, folder, process)
                await process.wait()
        return session.fail("TensorBoard has ended by itself")

    session.run(address, token, work)


def _has_points(folder: Path) -> bool:
    return any(folder.rglob("*tfevents*"))


async def _fetch(client: Client, names: Sequence[str], folder: Path) -> list[str]:
    """Brings jobs' copies up to date; returns those that go on."""
    running = []
    for name in names:
        # Asked for first: whatever a job writes before it ends is there when it is seen to have ended.
        job = await client.get_training_job(name)
        await refresh(client, job.name, PREFIX, path_inside(folder, job.name.removeprefix("trainingJobs/")))
        if job.state not in FINAL:
            running.append(job.name)
    return running


async def _keep_fresh(client: Client, running: Sequence[str], folder: Path, process: Process) -> None:
    """Brings copies up to date until the jobs have ended, or TensorBoard has."""
    told = False
    while running and process.returncode is None:
        await asyncio.sleep(REFRESH_S)
        try:
            running = await _fetch(client, running, folder)
            told = False
        except CultivarError as error:
            if error.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                raise
            if not told:
                typer.echo(f"waits for the service: {error.message}", err=True)
            told = True


@asynccontextmanager
async def _started(folder: Path, port: int | None) -> AsyncIterator[tuple[Process, str]]:
    """Starts TensorBoard on a folder, for this machine alone; gives its process and URL, and ends it.

    Raises CultivarError where it does not come up.
    """
    command = ["-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1", "--reload_interval", "3"]
    if port is not None:
        command += ["--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, limit=1 << 20
    )
    lines: deque[str] = deque(maxlen=5)
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    reader = asyncio.create_task(_read(process, lines, url))
    try:
        try:
            found = await asyncio.wait_for(asyncio.shield(url), START_S)
        except TimeoutError:
            raise _not_started(f"no answer in {figures.duration(START_S)}", lines) from None
        if not found:
            raise _not_started("it ended", lines)
        yield process, found
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _read(process: Process, lines: deque[str], url: "asyncio.Future[str]") -> None:
    """Reads what TensorBoard prints, to its end, so that its pipe never fills; tells its URL, empty for none."""
    assert process.stdout is not None
    async for line in process.stdout:
        text = line.decode(errors="replace").strip()
        lines.append(text)
        if not url.done() and (found := _URL.search(text)):
            url.set_result(found.group())
    if not url.done():
        url.set_result("")


def _not_started(how: str, lines: Sequence[str]) -> CultivarError:
    said = "; ".join(line for line in lines if line)
    return CultivarError(f"TensorBoard did not start: {how}{f': {said}' if said else ''}", code="UNAVAILABLE")
