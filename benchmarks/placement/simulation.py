"""Works off a queue on simulated GPUs, and tells what jobs had of them of what they could have had."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.placement.world import Run, World
from cultivar_service.catalog import jobs
from cultivar_service.placement.placement import Place, Placement

MAX_PROCESSES = 5
MAX_SECONDS = 20_000
"""After which a queue counts as stuck."""


@dataclass
class Tally:
    """What came of a simulation."""

    makespan_s: int = 0
    """Until the last job had ended."""
    decisions_s: list[float] = field(default_factory=list)
    """Wall time of each decision."""
    idle_gpu_s: int = 0
    """Seconds in which a GPU had no job while jobs waited."""
    shares: list[float] = field(default_factory=list)
    """For each second and GPU while jobs waited: what jobs had, at their peaks, of what other tenants left them of
    memory or of processes, whichever was scarcer. An oracle that packs perfectly has 1."""


async def simulate(
    world: World,
    placement: Placement,
    *,
    on_placed: Callable[[Run], None] = lambda run: None,
    on_second: Callable[[], None] = lambda: None,
) -> Tally:
    """Let time pass until every job has run.

    Args:
        world: its jobs wait.
        placement: over its devices.
        on_placed: called when a job was given a GPU, before its trainer takes anything.
        on_second: called when the queue was worked off as far as there is room.
    """
    tally, changed = Tally(), True
    while world.waiting or world.running:
        assert world.now < MAX_SECONDS, f"{len(world.waiting)} jobs still wait"
        # As the queue does: at once when a job ends or tells its memory, else every few seconds.
        if changed or world.now % 5 == 0:
            await _work_off(world, placement, tally, on_placed)
            on_second()
        if world.waiting:
            tally.idle_gpu_s += sum(not world.jobs_on(gpu) for gpu in range(world.num_gpus))
            tally.shares += [_share(world, gpu) for gpu in range(world.num_gpus)]
        told, ended = world.advance()
        for run in told:
            await placement.learn(run.job)
        for run in ended:
            placement.release(jobs.identifier(run.job))
        changed = bool(told or ended)
    tally.makespan_s = world.now
    return tally


def _share(world: World, gpu: int) -> float:
    ours, left_bytes = world.jobs_on(gpu), world.nvml.gpus[gpu].total_bytes - world.others_bytes(gpu)
    in_memory = sum(run.peak_bytes for run in ours) / left_bytes if left_bytes else 1.0
    places = MAX_PROCESSES - world.num_others(gpu)
    return max(in_memory, len(ours) / places if places > len(ours) else 1.0)


async def _work_off(world: World, placement: Placement, tally: Tally, on_placed: Callable[[Run], None]) -> None:
    for run in list(world.waiting):
        started = time.perf_counter()
        found = await placement.place(run.job)
        tally.decisions_s.append(time.perf_counter() - started)
        if isinstance(found, Place):
            world.begin(run, found.event)
            on_placed(run)
