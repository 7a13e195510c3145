"""The real `cultivar-service` over a data directory of its own: started, killed, and started again on the same port."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.chaos import trainers

PROGRAM = Path(sys.executable).with_name("cultivar-service")
_STOP_S = 60.0
"""Seconds that a service gets to end after SIGTERM."""


class NotServing(RuntimeError):
    """The service did not come to answer within its time."""


@dataclass(kw_only=True, slots=True)
class ServiceProcess:
    """The service, dead or alive, and everything that works for it."""

    folder: Path
    """Keeps the data directory and the log."""
    sources: Path
    """The data sets root."""
    retry_delay_s: float = 0.1
    """Seconds before a lost job's next attempt."""
    address: str = ""
    """Where gRPC listens: the same after every start."""
    started: float = 0.0
    """When it was started last, by the monotonic clock."""
    serving: bool = False
    """Whether it has answered since it was started last."""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Make the folder and choose a port."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the service has said, of all its starts."""
        return self.folder / "service.log"

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the process; it is not yet serving then."""
        assert not self.alive
        environment = {
            **os.environ,
            "CULTIVAR_DATA_DIR": str(self.data),
            "CULTIVAR_DATASETS_ROOT": str(self.sources),
            "CULTIVAR_GRPC_ADDRESS": self.address,
            "CULTIVAR_METRICS_ADDRESS": "127.0.0.1:0",
            "CULTIVAR_RETRY_DELAY_S": str(self.retry_delay_s),
        }
        self.serving = False
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(PROGRAM)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started = time.monotonic()

    async def until_serving(self, within_s: float) -> float:
        """Wait until the health service says SERVING; return the seconds since the start.

        A process that is killed meanwhile ends the wait, too: `serving` tells.

        Raises:
            NotServing: it ended by itself, or took longer than `within_s` seconds.
        """
        process = self.process
        assert process is not None
        while process.poll() is None:
            if await self._says_serving():
                self.serving = process.poll() is None
                return time.monotonic() - self.started
            if time.monotonic() - self.started > within_s:
                raise NotServing(f"not SERVING {within_s:g} s after its start")
            await asyncio.sleep(0.1)
        if process.returncode != -signal.SIGKILL:
            raise NotServing(f"ended by itself with status {process.returncode} while it started")
        return time.monotonic() - self.started

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.serving = False

    async def stop(self) -> int:
        """End the process in order; return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, _STOP_S)

    def clear_away(self) -> None:
        """End the service and every trainer below its data directory, now."""
        self.kill()
        while left := trainers.living(self.data):
            for trainer in left:
                trainers.kill(trainer, self.data)
            time.sleep(0.05)

    async def _says_serving(self) -> bool:
        # A channel of its own: one that has failed waits before it tries again.
        async with grpc.aio.insecure_channel(self.address) as channel:
            try:
                answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1.0)
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
