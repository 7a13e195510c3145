"""Measures servers in turns, pinned to one core, with the client on another, and writes a line for each window."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
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
    sends: str = "jpeg"
    """What is sent: a key of the server's protocols."""
    ours_only: bool = False
    """Whether peers are left out."""


def closed(concurrency: int, *, sends: str = "jpeg", ours_only: bool = False) -> Cell:
    """Return a closed loop."""
    # Memory is read at the window's edges, where most of it is used.
    memory = ("--memory",) if concurrency >= 32 else ()
    return Cell(
        name=f"c={concurrency}" if sends == "jpeg" else f"{sends} c={concurrency}",
        arguments=("--concurrency", str(concurrency), *memory),
        sends=sends,
        ours_only=ours_only,
    )


AFTER_BURST = Cell(name="c=1 after burst", arguments=("--concurrency", "1", "--burst", "64", "2", "--warm-up", "0"))
OVERLOAD = tuple(
    Cell(name=f"c=256 {retry}", arguments=("--concurrency", "256", "--retry", retry, "--memory"), ours_only=True)
    for retry in ("honour", "at-once")
)
SIGTERM = Cell(name="SIGTERM", arguments=("--concurrency", "32", "--terminate"))


def cells(concurrencies: Sequence[int], *, extras: bool) -> list[Cell]:
    """Return what to measure; `extras`: also after a burst, with pixels, on streams, under overload."""
    found = [closed(one) for one in concurrencies]
    if extras:
        found += [AFTER_BURST, *(closed(one, sends="uint8") for one in concurrencies)]
        found += [closed(32, sends="infer", ours_only=True), closed(32, sends="stream", ours_only=True)]
        found += [closed(64, ours_only=True), *OVERLOAD]
    return found


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

    def write(self, **fields: Any) -> None:
        """Write a line of results."""
        print(json.dumps(fields), file=self.out, flush=True)

    def failed(self, server: Server, error: Exception) -> None:
        """Write that a server could not be measured; the others still are."""
        print(error, file=sys.stderr)
        self.write(kind="failed", server=server.key, error=str(error))

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

    def window(self, running: Running, cell: Cell, number: int) -> dict[str, Any]:
        """Measure one window of a round; where others took too much of the host, again.

        Raises:
            RuntimeError: the load generator failed.
        """
        for attempt in range(1 + self.repeats):
            figures = self.load(running, cell)
            quiet = figures["foreign_core_share"] <= self.foreign_limit
            counts = quiet or attempt == self.repeats
            about = {"server": running.server.key, "cell": cell.name, "round": number}
            self.write(kind="window", **about, counts=counts, quiet=quiet, **figures)
            if quiet:
                break
        return figures

    def load(self, running: Running, cell: Cell) -> dict[str, Any]:
        """Run the load generator once; return its line.

        Raises:
            RuntimeError: it failed.
        """
        server, tensor = running.server, cell.sends == "uint8"
        command = [
            *(sys.executable, "-m", "benchmarks.serving.load", "--protocol", server.protocols[cell.sends]),
            *("--address", server.address, "--watch", str(running.pid), "--core", str(self.client_core)),
            *("--images", str(self.workload / "images"), "--expected", str(self._expected(server, tensor))),
            *("--seconds", str(self.seconds), "--warm-up", str(self.warm_up_s), *cell.arguments),
        ]
        if tensor:
            command += ["--pixels", str(self.workload / "pixels.npy")]
        return dict(json.loads(_output(command)))

    def in_process(self, number: int) -> None:
        """Measure the loop without a server, on the server's core."""
        command = [
            *(sys.executable, "-m", "benchmarks.serving.in_process", str(self.workload)),
            *("--core", str(self.server_core), "--seconds", str(min(1.0, self.seconds / 5))),
        ]
        figures = json.loads(_output(command, PYTHONPATH=checkout_path(self.checkout)))
        self.write(kind="in_process", round=number, **figures)

    def _expected(self, server: Server, tensor: bool = False) -> Path:
        name = "expected_float.json" if server.float_input and not tensor else "expected.json"
        return self.workload / name


def measure(bench: Bench, servers: Sequence[Server], cells: Sequence[Cell], *, rounds: int) -> None:
    """Measure servers in turns within each cell, cells in turns within each round.

    Between their windows servers are stopped (SIGSTOP): they keep their memory and their warm state, and take no time.
    """
    started: dict[Server, Running] = {}
    try:
        for server in servers:
            if (running := _started(bench, server)) is not None:
                started[server] = running
        for number in range(rounds):
            bench.in_process(number)
            for cell in cells:
                for server in _rotated(list(started), number):
                    if cell.sends in server.protocols and not (cell.ours_only and server.variant != "ours"):
                        _measure_one(bench, started[server], cell, number)
    finally:
        for running in started.values():
            running.close()


def start_and_terminate(bench: Bench, servers: Sequence[Server], *, times: int) -> None:
    """Start every server some times, in turns, and end it with 32 requests under way."""
    for number in range(times):
        for server in servers:
            try:
                running, seconds = bench.start(server)
            except RuntimeError as error:
                bench.failed(server, error)
                continue
            try:
                bench.write(kind="start", server=server.key, round=number, seconds=round(seconds, 3))
                figures = bench.load(running, SIGTERM)
                bench.write(kind="sigterm", server=server.key, round=number, **figures)
                print(f"{server.key}: right answer after {seconds:.2f} s; SIGTERM: {figures}", file=sys.stderr)
            except RuntimeError as error:
                bench.failed(server, error)
            finally:
                running.close()


def _started(bench: Bench, server: Server) -> Running | None:
    try:
        running, seconds = bench.start(server)
    except RuntimeError as error:
        bench.failed(server, error)
        return None
    print(f"{server.key}: answers after {seconds:.2f} s", file=sys.stderr)
    running.pause()
    return running


def _measure_one(bench: Bench, running: Running, cell: Cell, number: int) -> None:
    running.resume()
    try:
        _say(running.server, cell, bench.window(running, cell, number))
    except RuntimeError as error:
        bench.failed(running.server, error)
    finally:
        running.pause()


def _rotated(servers: list[Server], number: int) -> list[Server]:
    shift = number % len(servers) if servers else 0
    return servers[shift:] + servers[:shift]


def _output(command: Sequence[str], **environment: str) -> str:
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def _say(server: Server, cell: Cell, figures: dict[str, Any]) -> None:
    latency = figures["latency_ms"]
    print(
        f"{server.key:26} {cell.name:16} {figures['goodput']:7.1f}/s  p50 {latency.get('p50', 0):7.2f}  "
        f"p99 {latency.get('p99', 0):7.2f} ms  CPU {figures['server_ms_per_answer']} ms each  "
        f"client {figures['client_core_share']:.2f}  foreign {figures['foreign_core_share']:.2f}  "
        f"wrong {figures['wrong']}  errors {figures['errors']}",
        file=sys.stderr,
    )
