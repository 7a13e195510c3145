"""What is done about lack of GPU memory: smaller passes from then on, told and recorded."""

from cultivar.v1 import event_pb2, state_pb2
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.execution import free_memory
from cultivar_trainer.loop.job import Job, PlanRecord


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
    job.plan = halved
    job.plans.append(PlanRecord(plan=halved, phase=phase, candidate=candidate, step=step))
    event = event_pb2.PlanChanged(reason="out of memory", phase=phase, step=step)
    job.journal.plan_changed(event, halved.to_json())
