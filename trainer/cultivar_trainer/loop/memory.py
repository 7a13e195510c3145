"""Memory: what training takes of it, and what is done about lack of it on a GPU."""

import resource
from pathlib import Path

import torch

from cultivar.v1 import event_pb2, state_pb2
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.execution import free_memory
from cultivar_trainer.loop.job import Job
from cultivar_trainer.loop.planning import change

_CUDA_CONTEXT_BYTES = 512 << 20
"""What CUDA takes for itself in each process, kernels included; torch can't see it, and only NVML could."""


def make_room(job: Job) -> None:
    """Let go of what a failed step left on the device; whoever calls holds none of its tensors any more."""
    job.network.zero_grad(set_to_none=True)
    job.network.auxiliary_logits = ()
    free_memory()


def use_smaller_passes(
    job: Job, *, phase: state_pb2.TrainingPhase, candidate: int, step: int, smallest: int = 1
) -> None:
    """Halve the images per pass; the effective batch stays.

    Args:
        job: gets the new plan.
        phase: from which it holds.
        candidate: number of the candidate, 0 where there is one.
        step: updates that the candidate has made before.
        smallest: images that a pass needs.

    Raises:
        TaskFailed: OUT_OF_MEMORY where nothing is left to halve.
    """
    halved = job.plan.halved(smallest)
    if halved is None:
        raise TaskFailed(
            "OUT_OF_MEMORY",
            f"memory does not suffice for passes of {job.plan.micro_batch} image(s) at {job.recipe.input.size} px: "
            "use a smaller input.size, a smaller network or a larger execution.memory_limit_bytes",
        )
    change(job, halved, reason="out of memory", phase=phase, candidate=candidate, step=step)


def tell_memory(job: Job) -> None:
    """Tell what memory training takes; called after each update, it does so after an attempt's first."""
    if job.memory_told:
        return
    job.memory_told = True
    event = event_pb2.MemoryMeasured(host_bytes=_largest_resident_bytes())
    if job.plan.device.startswith("cuda"):
        event.gpu_bytes = torch.cuda.max_memory_reserved(torch.device(job.plan.device)) + _CUDA_CONTEXT_BYTES
    job.journal.memory_measured(event)


def resident_bytes() -> int:
    """Return the memory of this process that is resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _largest_resident_bytes() -> int:
    # VmHWM of proc(5), in KiB. getrusage would also count what the starting process had before it became this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
