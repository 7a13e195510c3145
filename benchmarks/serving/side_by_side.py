"""Measures servers in turns, pinned to one core, with the client on another, and writes a line for each window."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from benchmarks.serving.servers import Running, Server, checkout_path


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One kind of window."""

    name: str
    """Such as `c=32`."""
    arguments: tuple[str, ...]
    """The load generator's."""
    tensor: bool = False
    """Whether pixels are sent."""


def closed(concurrency: int, *, tensor: bool = False) -> Cell:
    """Return a closed loop."""
    # Memory is read at the window's edges, where most of it is used.
    memory = ("--memory",) if concurrency >= 32 else ()
    name = f"uint8 c={concurrency}" if tensor else f"c={concurrency}"
    return Cell(name=name, arguments=("--concurrency", str(concurrency), *memory), tensor=tensor)


AFTER_BURST = Cell(name="c=1 after burst", arguments=("--concurrency", "1", "--burst", "64", "2", "--warm-up", "0"))
OVERLOAD = tuple(
    Cell(name=f"c=256 {retry}", arguments=("--concurrency", "256", "--retry", retry, "--memory"))
    for retry in ("honour", "at-once")
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Where and how it is measured."""

    workload: Path
    checkout: Path
    logs: Path
    server_core: int
    client_core: int
    seconds: float
    """Of a window."""
    warm_up_s: float
    foreign_limit: float
    """Share of a core that others may take in a window; it is measured again otherwise."""
    repeats: int
    """How often a window is measured again."""
    out: TextIO

    def write(self, **fields: Any) -> dict[str, Any]:
        """Write a line of results."""
        print(json.dumps(fields), file=self.out, flush=True)
        return fields

    def start(self, server: Server) -> tuple[Running, float]:
        """Start a server; return it with the seconds to its first right answer.

        Raises:
            RuntimeError: it doesn't answer.
        """
        expected = json.loads(self._expected(server).read_text())[0]
        image = sorted((self.workload / "images").glob("*.jpg"))[0].read_bytes()
        running = Running(server, core=self.server_core, folder=self.logs)
        try:
            return running, running.first_right_answer_s(image, expected)
        except BaseException:
            running.close()
            raise

    def window(self, running: Running, cell: Cell, round_number: int) -> dict[str, Any]:
        """Measure one window; where others took too much of the host, again."""
        for attempt in range(1 + self.repeats):
            figures = self.load(running, cell)
            quiet = figures["foreign_core_share"] <= self.foreign_limit
            self.write(
                kind="window",
                server=running.server.key,
                cell=cell.name,
                round=round_number,
                counts=quiet or attempt == self.repeats,
                quiet=quiet,
                **figures,
            )
            if quiet:
                break
        return figures

    def load(self, running: Running, cell: Cell) -> dict[str, Any]:
        """Run the load generator once; return its line."""
        server = running.server
        protocol = server.tensor_protocol if cell.tensor else server.protocol
        assert protocol is not None
        command = [
            *(sys.executable, "-m", "benchmarks.serving.load", "--protocol", protocol, "--address", server.address),
            *("--images", str(self.workload / "images"), "--expected", str(self._expected(server, cell.tensor))),
            *("--watch", str(running.pid), "--core", str(self.client_core), "--seconds", str(self.seconds)),
            *("--warm-up", str(self.warm_up_s), *cell.arguments),
        ]
        if cell.tensor:
            command += ["--pixels", str(self.workload / "pixels.npy")]
        return dict(json.loads(_output(command)))

    def in_process(self, round_number: int) -> dict[str, Any]:
        """Measure the loop without a server, on the server's core."""
        command = [
            *(sys.executable, "-m", "benchmarks.serving.in_process", str(self.workload)),
            *("--core", str(self.server_core), "--seconds", str(min(1.0, self.seconds / 5))),
        ]
        figures = json.loads(_output(command, PYTHONPATH=checkout_path(self.checkout)))
        return self.write(kind="in_process", round=round_number, **figures)

    def _expected(self, server: Server, tensor: bool = False) -> Path:
        name = "expected_float.json" if server.float_input and not tensor else "expected.json"
        return self.workload / name


def measure(
    bench: Bench, servers: Sequence[Server], concurrencies: Sequence[int], *, rounds: int, extras: bool
) -> None:
    """Measure every server's cells, round by round, servers in turns within each cell.

    Args:
        bench: where and how.
        servers: what to compare.
        concurrencies: of the closed loops.
        rounds: how often.
        extras: also after a burst, with tensors, under overload.
    """
    started: dict[Server, Running] = {}
    try:
        for server, running in _started(bench, servers):
            started[server] = running
        for round_number in range(rounds):
            for cell in _cells(concurrencies, extras=extras):
                if cell.name == f"c={max(concurrencies)}":
                    bench.in_process(round_number)
                for server in _rotated(list(started), round_number):
                    if cell.tensor and server.tensor_protocol is None:
                        continue
                    if cell in OVERLOAD and server.variant != "ours":
                        continue
                    running = started[server]
                    running.resume()
                    figures = bench.window(running, cell, round_number)
                    running.pause()
                    _say(server, cell, figures)
    finally:
        for running in started.values():
            running.close()


def cold_starts(bench: Bench, servers: Sequence[Server], *, times: int) -> None:
    """Start every server some times, in turns; then end it with requests under way."""
    for number in range(times):
        for server in servers:
            try:
                running, seconds = bench.start(server)
            except RuntimeError as error:
                print(error, file=sys.stderr)
                continue
            try:
                bench.write(kind="start", server=server.key, round=number, seconds=round(seconds, 3))
                cell = Cell(name="SIGTERM", arguments=("--concurrency", "32", "--terminate"))
                figures = bench.load(running, cell)
                bench.write(kind="sigterm", server=server.key, round=number, **figures)
                print(f"{server.key}: first right answer after {seconds:.2f} s; SIGTERM: {figures}", file=sys.stderr)
            finally:
                running.close()


def _started(bench: Bench, servers: Sequence[Server]) -> Iterator[tuple[Server, Running]]:
    for server in servers:
        try:
            running, seconds = bench.start(server)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            bench.write(kind="failed", server=server.key, error=str(error))
            continue
        print(f"{server.key}: answers after {seconds:.2f} s", file=sys.stderr)
        running.pause()
        yield server, running


def _cells(concurrencies: Sequence[int], *, extras: bool) -> list[Cell]:
    cells = [closed(one) for one in concurrencies]
    if extras:
        cells += [AFTER_BURST, *(closed(one, tensor=True) for one in concurrencies), *OVERLOAD]
    return cells


def _rotated(servers: list[Server], number: int) -> list[Server]:
    shift = number % len(servers) if servers else 0
    return servers[shift:] + servers[:shift]


def _output(command: Sequence[str], **environment: str) -> str:
    import os

    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def _say(server: Server, cell: Cell, figures: dict[str, Any]) -> None:
    latency = figures["latency_ms"]
    print(
        f"{server.key:32} {cell.name:16} {figures['goodput']:7.1f}/s  p50 {latency.get('p50', 0):7.2f}  "
        f"p99 {latency.get('p99', 0):7.2f} ms  {figures['server_ms_per_answer']} ms CPU each  "
        f"foreign {figures['foreign_core_share']:.2f}  client {figures['client_core_share']:.2f}  "
        f"wrong {figures['wrong']}  errors {figures['errors']}",
        file=sys.stderr,
    )
