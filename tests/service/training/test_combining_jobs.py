"""Jobs that combine what other jobs make: held, released, failed and cancelled with them."""

import json
from pathlib import Path
from typing import Any

import pytest
from combinable_packages import combinable
from published_models import ALWAYS, NEVER
from running_service import (
    CANCELLED,
    FAILED,
    PAUSED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Client,
    eventually,
    make_config,
    make_spec,
    refused,
    running,
    scheduling,
    states,
)

from cultivar.v1 import model_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_service.config import Config

ENSEMBLE, SOUP = training_pb2.COMBINATION_METHOD_ENSEMBLE, training_pb2.COMBINATION_METHOD_SOUP


def members_of(count: int, **fields: Any) -> pb.EnsembleSpec:
    return pb.EnsembleSpec(members=count, **fields)


def let_go(config: Config, *names: str) -> None:
    for name in names:
        folder = config.runs / name.removeprefix("trainingJobs/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "go").touch()


def asked_of(config: Config, name: str) -> dict[str, Any]:
    return json.loads((config.runs / name.removeprefix("trainingJobs/") / "request.json").read_text())["request"]


async def combine(client: Client, *members: str, **fields: Any) -> training_pb2.TrainingJob:
    request = model_pb2.CombineModelsRequest(**{"model": "joined", "method": ENSEMBLE, **fields}, members=members)
    return await client.models.CombineModels(request)


async def waiting_for(client: Client, name: str, reason: str) -> training_pb2.TrainingJob:
    async def seen() -> training_pb2.TrainingJob | None:
        job = await client.job(name)
        return job if job.waiting_reason == reason else None

    return await eventually(seen)


async def test_an_ensemble_in_a_request_trains_its_members_then_combines_them(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, package=package)
    async with running(config) as (_, client):
        await client.import_flowers()

        sampling = pb.ENSEMBLE_SAMPLING_BOOTSTRAP
        job = await client.create_job(seed=7, ensemble=members_of(3, sampling=sampling), request_id="once")
        again = await client.create_job(seed=7, ensemble=members_of(3, sampling=sampling), request_id="once")
        ended = await client.reached(job.name, SUCCEEDED)
        members = [await client.job(name) for name in ended.combination.members]
        events = await client.events(job.name)

    assert again.name == job.name
    assert ended.combination.method == ENSEMBLE
    assert [one.recipe.seed for one in members] == [7, 8, 9]
    assert [one.recipe.data.bootstrap_seed for one in members] == [7, 8, 9]
    assert {one.recipe.publish for one in members} == {NEVER}
    assert {one.recipe.test_evaluation for one in members} == {pb.TEST_EVALUATION_DEFERRED}
    assert not any(one.recipe.HasField("ensemble") or one.spec.HasField("ensemble") for one in members)
    asked = asked_of(config, job.name)
    assert asked["members"] == [one.model_version for one in members]
    assert asked["packages"] == [str(config.models / "flowers" / one[-1]) for one in asked["members"]]
    assert asked["method"] == "ENSEMBLE"
    assert ended.members_compared.combined_accuracy == 0.75
    assert states(events) == [QUEUED, RUNNING, SUCCEEDED]
    assert ended.model_version == "models/flowers/versions/4"


async def test_validate_only_says_what_an_ensemble_queues(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, package=package)) as (_, client):
        await client.import_flowers()
        create = training_pb2.CreateTrainingJobRequest

        answer = await client.training.CreateTrainingJob(
            create(spec=make_spec(ensemble=members_of(5)), validate_only=True)
        )
        too_large = await refused(client.create_job(architecture="vgg16", ensemble=members_of(4)))
        too_many = await refused(client.create_job(ensemble=members_of(33)))
        seeds = await refused(client.create_job(seed=2**63 - 2, ensemble=members_of(2)))
        listed = await client.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())

    assert "5 jobs train the members, with seeds 0 to 4; this one waits" in answer.warnings[-1]
    assert (too_large.code, too_large.fields) == ("INVALID_ARGUMENT", ["spec.ensemble.members"])
    assert (too_many.code, too_many.fields) == ("INVALID_ARGUMENT", ["spec.ensemble.members"])
    assert (seeds.code, seeds.fields) == ("INVALID_ARGUMENT", ["spec.seed"])
    assert not listed.training_jobs


async def test_the_queue_takes_an_ensemble_whole_or_not_at_all(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package, max_queued_jobs=3)) as (_, client):
        await client.import_flowers()

        refusal = await refused(client.create_job(ensemble=members_of(3)))
        listed = await client.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())

    assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
    assert not listed.training_jobs


@pytest.mark.slow
async def test_a_combining_job_waits_over_a_restart_and_keeps_what_it_needs(tmp_path: Path) -> None:
    config = make_config(tmp_path, behaviour="gated", package=combinable(tmp_path / "package"))
    async with running(config) as (_, client):
        await client.import_flowers()
        finished = await client.create_job()
        let_go(config, finished.name)
        version = (await client.reached(finished.name, SUCCEEDED)).model_version
        live = await client.create_job(publish=ALWAYS)
        let_go(config, live.name)
        await client.reached(live.name, SUCCEEDED)
        ahead = [await client.create_job(seed=seed) for seed in (1, 2)]
        job = await combine(client, version, ahead[0].name, ahead[1].name, publish=ALWAYS)
        in_use = await refused(client.models.DeleteModelVersion(model_pb2.DeleteModelVersionRequest(name=version)))
        behind = await client.create_job(seed=3)

    async with running(config) as (_, client):
        held = await waiting_for(client, job.name, f"{ahead[0].name}, {ahead[1].name}")
        let_go(config, ahead[0].name)
        await waiting_for(client, job.name, ahead[1].name)
        first = await client.job(ahead[0].name)
        member = training_pb2.DeleteTrainingJobRequest(name=first.name)
        job_in_use = await refused(client.training.DeleteTrainingJob(member))
        let_go(config, ahead[1].name, behind.name, job.name)
        ended = await client.reached(job.name, SUCCEEDED)
        await client.training.DeleteTrainingJob(member)
        await client.models.DeleteModelVersion(model_pb2.DeleteModelVersionRequest(name=version))

    assert held.queue_position == 0
    assert (in_use.reason, job_in_use.reason) == ("VERSION_IN_USE", "JOB_IN_USE")
    assert job.name in in_use.message
    assert job.name in job_in_use.message
    assert ended.model_version == "models/joined/versions/1"
    assert asked_of(config, job.name)["members"][:2] == [version, first.model_version]


async def test_a_member_that_fails_fails_the_job(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="fail", package=package)) as (_, client):
        await client.import_flowers()
        job = await client.create_job(ensemble=members_of(2))
        ended = await client.reached(job.name, FAILED)
        export = await refused(client.export(job.name))

    assert ended.error.reason == "MEMBER_FAILED"
    assert ended.combination.members[0] in ended.error.message
    assert "EMPTY_SPLIT" in ended.error.message
    assert (export.code, export.reason) == ("FAILED_PRECONDITION", "JOB_NOT_EXPORTABLE")


async def test_cancelling_an_ensemble_cancels_its_members_but_not_those_of_others(
    tmp_path: Path, package: Path
) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
        other = await client.create_job(scheduling=scheduling(priority=5))
        ensemble = await client.create_job(ensemble=members_of(2))
        named = await combine(client, other.name, ensemble.combination.members[1])

        await client.cancel(ensemble.name)
        members = [await client.reached(one, CANCELLED) for one in ensemble.combination.members]
        failed = await client.reached(named.name, FAILED)
        theirs = await client.job(other.name)

        assert (await client.job(ensemble.name)).state == CANCELLED
        assert len(members) == 2
        assert failed.error.reason == "MEMBER_FAILED"
        assert theirs.state in (QUEUED, RUNNING)
        await client.cancel(other.name)
        await client.reached(other.name, CANCELLED)


async def test_a_held_job_can_be_paused_and_waits_on_when_it_is_resumed(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
        job = await client.create_job(ensemble=members_of(2))
        let_go(config, job.combination.members[0])
        await waiting_for(client, job.name, job.combination.members[1])

        paused = await client.pause(job.name)
        let_go(config, job.combination.members[1])
        await client.reached(job.combination.members[1], SUCCEEDED)
        still = await client.job(job.name)
        await client.resume(job.name)
        let_go(config, job.name)
        ended = await client.reached(job.name, SUCCEEDED)

    assert (paused.state, still.state) == (PAUSED, PAUSED)
    assert ended.members_compared.members[1].kept
