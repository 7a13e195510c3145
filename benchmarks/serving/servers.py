"""The servers that are compared: how each is started, what it speaks, and its life as processes."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving import processes
from benchmarks.serving.protocols import PROTOCOLS, Inputs, Refused

START_S = 180.0
"""A server that doesn't answer by then has failed."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Server:
    """How a server is started and spoken to."""

    name: str
    """Such as `FastAPI`."""
    variant: str
    """`as shipped`, `like for like`; ours: `ours`."""
    command: Sequence[str]
    port: int
    """Where it answers."""
    protocols: Mapping[str, str]
    """Which of PROTOCOLS it speaks, by what is sent: `jpeg`, and perhaps `uint8`, `infer` (a JPEG by the Open Inference
    Protocol, where that isn't the first) and `stream`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    float_input: bool = False
    """Whether it answers from the float-input graph and pixels prepared by hand."""

    @property
    def key(self) -> str:
        """What it is called in results."""
        return f"{self.name}, {self.variant}" if self.variant != "ours" else self.name

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"127.0.0.1:{self.port}"


class Running:
    """A started server; stopped processes wait until it is measured."""

    def __init__(self, server: Server, *, core: int, folder: Path) -> None:
        self.server = server
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / (server.key.replace(", ", "-").replace(" ", "_").lower() + ".log")
        plain = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        one_thread = {"OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
        self.started = time.perf_counter()
        with self.log.open("wb") as log, processes.pinned(core):  # before it counts its cores
            self._process = subprocess.Popen(
                list(server.command),
                env={**plain, **one_thread, **server.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def first_right_answer_s(self, image: bytes, expected: int) -> float:
        """Wait for a right answer; return the seconds since the start.

        Raises:
            RuntimeError: it ended, or there was none in time.
        """
        last = "no connection"
        while time.perf_counter() - self.started < START_S:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.server.key} ended with {self._process.returncode}: see {self.log}")
            if not _listens(self.server.port):
                time.sleep(0.005)
                continue
            last = asyncio.run(_ask(self.server, image, expected))
            if last == "right":
                return time.perf_counter() - self.started
            time.sleep(0.02)
        raise RuntimeError(f"{self.server.key} gave no right answer in {START_S:g} s ({last}): see {self.log}")

    def pause(self) -> None:
        """Stop all its processes, so that those of idle servers take no time from the measured one."""
        processes.signal_all(processes.family(self.pid), signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        processes.signal_all(processes.family(self.pid), signal.SIGCONT)

    def close(self) -> None:
        """End it and everything that it started."""
        family = processes.family(self.pid)
        self.resume()
        processes.signal_all([self.pid], signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        processes.signal_all(processes.alive([*family, *processes.family(self.pid)]), signal.SIGKILL)
        self._process.wait(15)

    def reap(self) -> None:
        """Collect the status of a process that has ended or is about to; it would count as alive otherwise."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.01)


def checkout_path(checkout: Path) -> str:
    """Return the PYTHONPATH of a checkout's packages."""
    return os.pathsep.join(str(checkout / one) for one in ("protos", "contract", "service", "trainer", "clients"))


_taken: set[int] = set()


def free_ports() -> int:
    """Return the first of five ports in a row that nobody listens on and that this run hasn't given out."""
    while True:
        first = random.randrange(20_000, 32_000, 5)
        if first not in _taken and not any(_listens(first + one) for one in range(5)):
            _taken.add(first)
            return first


def ours(checkout: Path, workload: Path, python: str, settings: Mapping[str, str]) -> Server:
    """Return our service, from a checkout."""
    port = free_ports()
    return Server(
        name="Cultivar",
        variant="ours",
        command=(
            *(python, "-m", "cultivar_service", "--data-dir", str(workload / "data")),
            *("--grpc-address", f"127.0.0.1:{port}", "--metrics-address", "127.0.0.1:0"),
        ),
        port=port,
        protocols={
            "jpeg": "cultivar",
            "uint8": "infer-uint8",
            "infer": "infer-jpeg",
            "stream": "cultivar-stream",
        },
        environment={"PYTHONPATH": checkout_path(checkout), "OMP_WAIT_POLICY": "passive", **settings},
    )


def _listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


async def _ask(server: Server, image: bytes, expected: int) -> str:
    connection = PROTOCOLS[server.protocols["jpeg"]](server.address, Inputs([image]))
    try:
        answer = await asyncio.wait_for(connection.ask(0), 60)
        return "right" if answer == expected else f"class {answer}, not {expected}"
    except (Refused, TimeoutError) as error:
        return str(error) or type(error).__name__
    finally:
        await connection.close()
