"""What sharing GPUs by prediction costs and brings, on eight simulated GPUs that other tenants use as well.

    python -m benchmarks.placement [--seeds N] [--jobs N]

Each seed's queue is worked off twice: first by estimates until a job of a shape was measured, then with all peaks
known. `had` is what jobs had of what other tenants left of memory or processes, whichever was scarcer, while jobs
waited: 1 for an oracle that packs perfectly. `idle` is the share of GPUs without a job in that time.
"""

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

from benchmarks.placement.simulation import Tally, simulate
from benchmarks.placement.world import World, placed_on


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=200)
    arguments = parser.parse_args()
    print("seed  peaks      jobs  makespan   had  idle GPUs  decision median       p99")
    for seed in range(1, arguments.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            for peaks in ("estimated", "known"):
                tally = asyncio.run(_run(Path(folder), seed, arguments.jobs))
                print(f"{seed:4d}  {peaks:9s}  {arguments.jobs:4d}  {_line(tally)}", flush=True)


async def _run(folder: Path, seed: int, num_jobs: int) -> Tally:
    world = World(seed, num_jobs=num_jobs)
    with placed_on(folder, world.nvml, world.host) as placement:
        return await simulate(world, placement)


def _line(tally: Tally) -> str:
    times_ms = sorted(1000 * seconds for seconds in tally.decisions_s)
    idle = tally.idle_gpu_s / len(tally.shares)
    return (
        f"{tally.makespan_s:6d} s  {statistics.fmean(tally.shares):4.2f}  {idle:9.2f}"
        f"  {statistics.median(times_ms):12.2f} ms  {times_ms[int(0.99 * len(times_ms))]:5.2f} ms"
    )


if __name__ == "__main__":
    main()
