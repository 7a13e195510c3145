"""Placement over eight simulated GPUs that other tenants use as well: no over-commit, none idle while a job fits."""

from pathlib import Path

import pytest

from benchmarks.placement.simulation import MAX_PROCESSES, simulate
from benchmarks.placement.world import Run, World, placed_on


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_over_committed_and_no_gpu_idles_while_a_job_fits(tmp_path: Path, seed: int) -> None:
    world = World(seed)
    placed: list[Run] = []

    def taken(gpu: int) -> tuple[int, int]:
        """Bytes that others use and our jobs are expected to take, and processes, by the world's own account."""
        ours = world.jobs_on(gpu)
        expected = sum(max(run.predicted_bytes, run.used_bytes(world.now)) for run in ours)
        return world.others_bytes(gpu) + expected, world.num_others(gpu) + len(ours)

    def fits_what_is_there(run: Run) -> None:
        placed.append(run)
        gpu = world.nvml.gpus[run.gpu]
        promised = sum(one.peak_bytes for one in world.jobs_on(run.gpu))
        size_bytes, processes = taken(run.gpu)
        assert world.others_bytes(run.gpu) + promised <= gpu.total_bytes
        assert size_bytes <= gpu.total_bytes
        assert processes <= MAX_PROCESSES

    def nothing_that_waits_fits() -> None:
        for gpu in range(world.num_gpus):
            size_bytes, processes = taken(gpu)
            free = world.nvml.gpus[gpu].total_bytes - size_bytes
            if processes < MAX_PROCESSES:
                assert not [run for run in world.waiting if run.predicted_bytes <= free]

    with placed_on(tmp_path, world.nvml, world.host) as placement:
        tally = await simulate(world, placement, on_placed=fits_what_is_there, on_second=nothing_that_waits_fits)

    assert len(placed) == world.num_jobs
    assert sum(tally.shares) / len(tally.shares) > 0.5
