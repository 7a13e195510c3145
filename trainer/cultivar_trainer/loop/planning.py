"""Which plan holds from when: recorded, shown in plan.json, and repeated where a run repeats another, to its end."""

from cultivar.v1 import event_pb2, state_pb2
from cultivar_contract import files
from cultivar_trainer.errors import EpochsReached
from cultivar_trainer.execution import Plan
from cultivar_trainer.loop.job import Job, Phase, PlanRecord


def begin(job: Job, phase: Phase, step: int) -> None:
    """Record the plan under which a phase begins.

    Args:
        job: keeps the record.
        phase: about to begin.
        step: updates that the candidate has made before.
    """
    job.plans.append(PlanRecord(plan=job.plan, phase=phase.kind, candidate=phase.candidate, step=step))


def change(job: Job, plan: Plan, *, reason: str, phase: state_pb2.TrainingPhase, candidate: int, step: int) -> None:
    """Go on under another plan.

    Args:
        job: gets the plan.
        plan: holds from now on.
        reason: for people.
        phase: from which it holds.
        candidate: number of the candidate, 0 where there is one.
        step: updates that the candidate has made before.
    """
    job.plan = plan
    job.plans.append(PlanRecord(plan=plan, phase=phase, candidate=candidate, step=step))
    files.write_json(job.plan_file, plan.to_json())
    job.journal.plan_changed(event_pb2.PlanChanged(reason=reason, phase=phase, step=step), plan.to_json())


def follow(job: Job, phase: Phase, step: int) -> None:
    """Change the plan before an update where the run that this one repeats did."""
    for record in job.repeated:
        place = (record.phase, record.candidate, record.step)
        if place == (phase.kind, phase.candidate, step) and record.plan != job.plan:
            change(
                job,
                record.plan,
                reason="the run that this one repeats changed it here",
                phase=phase.kind,
                candidate=phase.candidate,
                step=step,
            )


def check_end(job: Job) -> None:
    """Let no epoch begin that the run which this one repeats did not finish.

    Raises:
        EpochsReached: that run was ended here.
    """
    if 0 < job.stop_after_epochs <= job.progress.whole_epochs:
        raise EpochsReached
