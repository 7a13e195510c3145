"""Jobs that repeat a version's training: compared with it, and not published."""

import json
from pathlib import Path
from typing import Any

from lone_jobs import create, jobs_of, when
from published_models import ALWAYS
from running_service import FAILED, PAUSED, SUCCEEDED, Client, make_config, refused, running

from cultivar.v1 import event_pb2, model_pb2, training_pb2
from cultivar_service.errors import FailedPrecondition
from cultivar_service.training.reproductions import Course, Reproductions

ORIGINAL = "models/flowers/versions/1"


class Comparison(Reproductions):
    """Finds every package equal, or none to compare with."""

    def __init__(self, *, is_there: bool) -> None:
        self._is_there = is_there

    async def course(self, name: str) -> Course:
        return Course(plans=[{"dtype": "float32", "of": name}], stop_after_epochs=3)

    async def compare(self, job: training_pb2.TrainingJob, package: Path) -> event_pb2.Reproduction:
        if not self._is_there:
            raise FailedPrecondition(f"{job.reproduces} is gone: there is nothing to compare", reason="VERSION_GONE")
        return event_pb2.Reproduction(identical=(package / "manifest.json").exists())


async def reproduce(folder: Path, package: Path, *, is_there: bool) -> tuple[training_pb2.TrainingJob, dict[str, Any]]:
    config = make_config(folder, package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
        await client.train()
    async with jobs_of(config, reproductions=Comparison(is_there=is_there)) as found:
        job_id = await create(found, reproduces=ORIGINAL)
        ended = await when(found, job_id, lambda job: job.state in (SUCCEEDED, FAILED))
        return ended, json.loads((found.directory(job_id).path / "request.json").read_text())["request"]


async def test_a_reproduction_keeps_to_the_version_s_plans_and_is_compared(tmp_path: Path, package: Path) -> None:
    job, request = await reproduce(tmp_path, package, is_there=True)

    assert request["plans"] == [{"dtype": "float32", "of": ORIGINAL}]
    assert request["stop_after_epochs"] == 3
    assert (job.state, job.model_version, job.reproduction.identical) == (SUCCEEDED, ORIGINAL, True)


async def test_a_reproduction_that_can_not_be_compared_fails_and_says_why(tmp_path: Path, package: Path) -> None:
    job, _ = await reproduce(tmp_path, package, is_there=False)

    assert (job.state, job.error.reason, job.model_version) == (FAILED, "VERSION_GONE", "")


async def test_a_version_is_kept_while_a_job_repeats_it(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
        version = (await trained(client, config.runs)).model_version
        live = (await trained(client, config.runs, publish=ALWAYS)).model_version
    async with jobs_of(config, reproductions=Comparison(is_there=True)) as found:
        job_id = await create(found, reproduces=version)
        await found.pause(job_id)
        await when(found, job_id, lambda job: job.state == PAUSED)

    async with running(config) as (_, client):
        refusal = await refused(client.models.DeleteModelVersion(model_pb2.DeleteModelVersionRequest(name=version)))
        await client.cancel(f"trainingJobs/{job_id}")
        await client.models.DeleteModelVersion(model_pb2.DeleteModelVersionRequest(name=version))

    assert live == "models/flowers/versions/2"
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "VERSION_IN_USE")
    assert job_id in refusal.message


async def trained(client: Client, runs: Path, **fields: Any) -> training_pb2.TrainingJob:
    job = await client.create_job(**fields)
    await client.first_epoch(job.name)
    (runs / job.name.removeprefix("trainingJobs/") / "go").touch()
    return await client.reached(job.name, SUCCEEDED)
