"""Jobs that repeat a version's training: compared with it, and not published."""

import json
from pathlib import Path
from typing import Any

from lone_jobs import create, jobs_of, when
from running_service import FAILED, SUCCEEDED, make_config, running

from cultivar.v1 import event_pb2, training_pb2
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
