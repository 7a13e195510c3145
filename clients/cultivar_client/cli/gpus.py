"""`cultivar gpus`: who has what of the service's GPUs, and where a job would go."""

import re
from typing import Annotated

import typer

from cultivar.v1 import training_pb2
from cultivar_client.cli import figures, session
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import print_facts, print_json, print_table
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", re.ASCII)
_MOST_BYTES = 2**62


def gpus(
    memory: Annotated[
        str | None,
        typer.Option(help="Tell where a job that takes so much would go.", metavar="SIZE, such as 6GiB or 500MB"),
    ] = None,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """List the service's GPUs: memory used, reserved and free, and the processes on them."""
    memory_bytes = 0 if memory is None else _read_size(memory)

    async def work(client: Client) -> int:
        answer = await client.list_gpus(memory_bytes=memory_bytes)
        if as_json:
            print_json(answer)
        else:
            _print(answer)
        return session.DONE

    session.run(address, token, work)


def _print(answer: training_pb2.ListGpusResponse) -> None:
    columns = ("gpu>", "name", "used>", "reserved>", "free>", "total>", "processes>")
    print_table(columns, [_row(gpu) for gpu in answer.gpus], empty="no GPUs")
    processes = [(gpu.index, process) for gpu in answer.gpus for process in gpu.processes]
    if processes:
        typer.echo()
        rows = [
            (
                index,
                process.pid,
                figures.size(process.used_bytes) if process.HasField("used_bytes") else "?",
                process.owner or "somebody else",
            )
            for index, process in processes
        ]
        print_table(("gpu>", "pid>", "memory>", "owner"), rows)
    typer.echo()
    print_facts(
        [
            ("cores", f"{answer.cores - answer.cores_used} of {answer.cores} free"),
            ("memory", f"{figures.size(answer.host_free_bytes)} of {figures.size(answer.host_total_bytes)} free"),
            ("placement", answer.placement),
        ]
    )


def _row(gpu: training_pb2.Gpu) -> tuple[object, ...]:
    sizes = (gpu.used_bytes, gpu.reserved_bytes, gpu.free_bytes, gpu.total_bytes)
    return (gpu.index, gpu.name, *map(figures.size, sizes), f"{len(gpu.processes)}/{gpu.max_processes}")


def _read_size(text: str) -> int:
    """Returns a size in bytes, at least 1. Raises typer.BadParameter."""
    found = _SIZE.fullmatch(text.strip().lower())
    size_bytes = round(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
    if not 1 <= size_bytes <= _MOST_BYTES:
        raise typer.BadParameter(f"{text!r}: write a size such as 6GiB or 500MB", param_hint="--memory")
    return size_bytes
