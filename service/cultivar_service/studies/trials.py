"""A study's jobs: made with it in one step, and looked at whenever something was done to one of them."""

from collections.abc import Sequence

import sqlalchemy as sa

from cultivar.v1 import state_pb2, study_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_service.catalog import jobs, studies
from cultivar_service.catalog.storage import new_identifier
from cultivar_service.catalog.study_record import CANCELLED, CANCELLING, EVALUATING, RUNNING, enter, now
from cultivar_service.studies import figures, results
from cultivar_service.studies.comparison import Variant
from cultivar_service.studies.variants import seeds_of

Study = study_pb2.TrainingStudy


def make_trials(study: Study, variants: Sequence[Variant]) -> list[training_pb2.TrainingJob]:
    """Return a job for each variant and seed, and note them in the study."""
    pairs = [(variant, seed) for variant in variants for seed in seeds_of(study.spec)]
    return [_trial(study, job_id, *pair) for job_id, pair in zip(_identifiers(len(pairs)), pairs, strict=True)]


def look(connection: sa.Connection, study_id: str) -> Study:
    """Bring a study up to date with its jobs, and let it go on once all of them have ended."""

    def edit(study: Study) -> list[study_pb2.StudyEvent]:
        if study.state not in (RUNNING, CANCELLING):
            return []
        states = jobs.states(connection, [one.training_job.rpartition("/")[2] for one in study.trials])
        happened, metric = [], pb.SELECTION_METRIC_UNSPECIFIED
        for trial in study.trials:
            job_id = trial.training_job.rpartition("/")[2]
            if states.get(job_id) == trial.state:
                continue
            job = jobs.get(connection, job_id)
            assert job is not None, "trials of a study under way can't be deleted"
            figures.take(connection, trial, job)
            happened.append(now(study_pb2.StudyEvent(trial_changed=trial)))
            metric = job.recipe.selection_metric
        if happened:
            results.tabulate(study, metric, results.no_images)
        if all(one.state in jobs.FINAL for one in study.trials):
            happened.append(enter(study, CANCELLED if study.state == CANCELLING else EVALUATING))
        return happened

    return studies.change(connection, study_id, edit)


def _identifiers(count: int) -> list[str]:
    """Return so many different identifiers: of hundreds that are made at once, two may be equal."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[new_identifier()] = None
    return list(found)


def _trial(study: Study, job_id: str, variant: Variant, seed: int) -> training_pb2.TrainingJob:
    """Make the job of a variant and a seed, and note it in the study."""
    job = training_pb2.TrainingJob(
        name=f"trainingJobs/{job_id}",
        state=state_pb2.TRAINING_JOB_STATE_QUEUED,
        spec=variant.spec,
        recipe=variant.recipe,
        creator=study.creator,
        study=study.name,
    )
    for spec in (job.spec, job.recipe):
        # The study decides, on validation figures alone, which model goes live and when test images are read.
        spec.seed = seed
        spec.publish, spec.test_evaluation = pb.PUBLISH_POLICY_NEVER, pb.TEST_EVALUATION_DEFERRED
    job.create_time.CopyFrom(study.create_time)
    study.trials.add(variant=variant.name, seed=seed, training_job=job.name, state=job.state)
    return job
