"""Queues 1,000 jobs over gRPC and prints what submitting and listing them takes.

    python benchmarks/job_queue.py

The service is a process of its own; its trainer is never started (`max_running_jobs` are held by one job that waits).
Submits go over one channel, --clients at a time; pages of 50 are listed with all jobs queued. RSS is read from the
kernel before the first job, after the last, and after listing. Bounds: 200 submits a second, 50 ms a page.
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
    from running_service import Client

SUBMITS_PER_SECOND, PAGE_MS = 200.0, 50.0
HELPERS = Path(__file__).parents[1] / "tests/service"
SERVICE = """
import asyncio, logging, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from running_service import make_config
from cultivar_service.__main__ import serve
logging.basicConfig(level=logging.INFO)
asyncio.run(serve(make_config(Path(sys.argv[2]), behaviour="gated", max_queued_jobs=100_000)))
"""


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=16, help="submits under way at a time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "service.log"
        with log.open("wb") as file:
            service = subprocess.Popen([sys.executable, "-c", SERVICE, str(HELPERS), name], stderr=file)
        try:
            address = address_of(service, log)
            sys.exit(asyncio.run(measure(address, service.pid, options.jobs, options.clients)))
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait()
            for trainer in trainers(Path(name)):
                os.kill(trainer, signal.SIGKILL)


async def measure(address: str, pid: int, num_jobs: int, num_clients: int) -> int:
    """Queue and list jobs; return the exit status."""
    sys.path.insert(0, str(HELPERS))
    from running_service import connected

    async with connected(address) as client:
        await client.import_flowers()
        first = await client.create_job()
        await client.first_epoch(first.name)  # it holds the only slot
        before = rss_bytes(pid)
        remaining = iter(range(num_jobs))

        async def submit() -> None:
            for _ in remaining:
                await client.create_job()

        started, cpu_before = time.perf_counter(), cpu_seconds(pid)
        await asyncio.gather(*(submit() for _ in range(num_clients)))
        seconds, cpu = time.perf_counter() - started, cpu_seconds(pid) - cpu_before
        after = rss_bytes(pid)
        pages = [await page_seconds(client) for _ in range(20)]
        listed = rss_bytes(pid)
    rate, page_ms = num_jobs / seconds, 1000 * statistics.median(pages)
    print(f"{num_jobs} submits, {num_clients} at a time: {rate:.0f} a second (bound {SUBMITS_PER_SECOND:g}), ", end="")
    print(f"{1000 * cpu / num_jobs:.1f} ms of the service's CPU each")
    print(f"a page of 50: median {page_ms:.1f} ms, largest {1000 * max(pages):.1f} ms (bound {PAGE_MS:g})")
    print(f"RSS {before / 1e6:.1f} MB, with {num_jobs} jobs {after / 1e6:.1f} MB, listed {listed / 1e6:.1f} MB")
    return int(rate < SUBMITS_PER_SECOND or page_ms > PAGE_MS)


async def page_seconds(client: "Client") -> float:
    """Return the seconds that the newest page takes."""
    from cultivar.v1 import training_pb2

    started = time.perf_counter()
    await client.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest(page_size=50))
    return time.perf_counter() - started


def address_of(service: "subprocess.Popen[bytes]", log: Path) -> str:
    """Return where a service listens, once its log says so."""
    while (found := re.search(r"serving gRPC on (\S+),", log.read_text())) is None:
        assert service.poll() is None, log.read_text()
        time.sleep(0.05)
    return found[1]


def rss_bytes(pid: int) -> int:
    """Return a process's resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """Return the seconds that a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def trainers(folder: Path) -> list[int]:
    """Return the processes that still hold a run directory of this service."""
    from cultivar_contract.run_directory import RunDirectory

    holders = (RunDirectory(run).holder() for run in folder.glob("data/runs/*"))
    return [one.pid for one in holders if one is not None]


if __name__ == "__main__":
    main()
