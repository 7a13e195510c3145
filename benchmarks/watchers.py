"""Trains one network again and again, unwatched and watched by 50, and prints what watching costs an epoch.

    python benchmarks/watchers.py

Service, real trainer and watchers are processes of their own on this host; the network is LeNet-5 on drawn flowers: an
epoch takes a fraction of a second, and its events come thick. One watcher opens its stream and never reads it, the
others read every event, each over a connection of its own. Jobs take turns; the figure is the median over --rounds of a
job's median epoch, training and validation together. Bound: 5 % more than unwatched. The service's own CPU is told per
epoch, which neighbours on the host change less.
"""

import argparse
import asyncio
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cultivar_client import Client

BOUND = 1.05
SERVICE = (sys.executable, "-m", "cultivar_service", "--grpc-address", "127.0.0.1:0")


def main() -> None:
    """Measure and print; exit with 1 where the bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30, help="of each job")
    parser.add_argument("--watchers", type=int, default=50)
    parser.add_argument("--watch", nargs=2, metavar=("ADDRESS", "JOB"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        asyncio.run(watch(*options.watch, options.watchers))
        return
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "service.log"
        with log.open("wb") as file:
            command = [*SERVICE, "--metrics-address", "127.0.0.1:0", "--data-dir", f"{name}/data"]
            service = subprocess.Popen(command, stderr=file)
        try:
            sys.exit(
                asyncio.run(
                    measure(address_of(service, log), service.pid, options.rounds, options.epochs, options.watchers)
                )
            )
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait()
            for trainer in trainers(Path(name)):  # those of a measurement that was broken off
                os.kill(trainer, signal.SIGKILL)


async def measure(address: str, pid: int, rounds: int, epochs: int, num_watchers: int) -> int:
    """Train by turns; return the exit status."""
    from cultivar_client import Client

    alone, watched, sizes = [], [], []
    async with Client(address) as client:
        begun = await client.create_dataset("flowers", builtin="procedural-flowers")
        async for _ in client.wait_for_dataset(begun.name):
            pass
        await train(client, address, 2, 0)  # what is derived from the data once is derived now
        for number in range(rounds):
            start = cpu_seconds(pid)
            alone.append(await train(client, address, epochs, 0))
            between = cpu_seconds(pid)
            watched.append(await train(client, address, epochs, num_watchers))
            cpu_ms = [1000 * spent / epochs for spent in (between - start, cpu_seconds(pid) - between)]
            sizes.append(rss_bytes(pid))
            print(f"round {number + 1}: {alone[-1]:.4f} s alone, {watched[-1]:.4f} s watched; ", end="")
            print(f"service {cpu_ms[0]:.0f} and {cpu_ms[1]:.0f} ms of CPU an epoch", flush=True)
    ratio = statistics.median(watched) / statistics.median(alone)
    print(
        f"an epoch alone {statistics.median(alone):.4f} s, watched by {num_watchers} {statistics.median(watched):.4f} s"
    )
    print(f"{ratio:.3f} times (bound {BOUND}); RSS of the service {sizes[0] / 1e6:.1f} to {sizes[-1] / 1e6:.1f} MB")
    return int(ratio > BOUND)


async def train(client: "Client", address: str, epochs: int, num_watchers: int) -> float:
    """Train one job to its end; return the median of its epochs, in seconds."""
    from cultivar.v1 import state_pb2

    spec = {"dataset": "flowers", "architecture": "lenet5", "mode": "scratch", "epochs": epochs, "publish": "never"}
    job = await client.create_training_job(spec)
    watchers = None
    if num_watchers:
        command = [sys.executable, __file__, "--watchers", str(num_watchers), "--watch", address, job.name]
        watchers = await asyncio.create_subprocess_exec(*command)
    while job.state < state_pb2.TRAINING_JOB_STATE_SUCCEEDED:
        await asyncio.sleep(0.5)  # who watched it would be measured too
        job = await client.get_training_job(job.name)
    assert job.state == state_pb2.TRAINING_JOB_STATE_SUCCEEDED, job.error.message
    if watchers is not None:
        assert await watchers.wait() == 0, "a watcher saw a gap"
    events = [
        event.epoch_finished async for event in client.watch_training_job(job.name) if event.HasField("epoch_finished")
    ]
    return statistics.median(one.train_seconds + one.val_seconds for one in events)


async def watch(address: str, name: str, num_watchers: int) -> None:
    """Watch a job to its end with so many streams, of which one is never read."""
    import grpc

    from cultivar.v1 import training_pb2, training_pb2_grpc

    request = training_pb2.WatchTrainingJobRequest(name=name, heartbeat_seconds=1)

    async def read() -> None:
        async with grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            stream = training_pb2_grpc.TrainingServiceStub(channel).WatchTrainingJob(request)
            numbers = [event.number async for event in stream if event.number]
        assert numbers == list(range(1, len(numbers) + 1))

    async with grpc.aio.insecure_channel(address) as channel:
        stalled = training_pb2_grpc.TrainingServiceStub(channel).WatchTrainingJob(request)
        await stalled.read()
        await asyncio.gather(*(read() for _ in range(num_watchers - 1)))
        stalled.cancel()


def address_of(service: "subprocess.Popen[bytes]", log: Path) -> str:
    """Return where a service listens, once its log says so."""
    while (found := re.search(r"serving gRPC on (\S+),", log.read_text())) is None:
        assert service.poll() is None, log.read_text()
        time.sleep(0.05)
    return found[1]


def cpu_seconds(pid: int) -> float:
    """Return the seconds that a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    """Return a process's resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def trainers(folder: Path) -> list[int]:
    """Return the processes that still hold a run directory of this service."""
    from cultivar_contract.run_directory import RunDirectory

    holders = (RunDirectory(run).holder() for run in folder.glob("data/runs/*"))
    return [one.pid for one in holders if one is not None]


if __name__ == "__main__":
    main()
