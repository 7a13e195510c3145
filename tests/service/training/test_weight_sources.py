"""Jobs that start from another model version or a finished job."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from published_models import NEVER, publish
from running_service import Client, make_config, make_spec, refused, running

from cultivar.v1 import model_pb2, training_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_service.server import Service

FULL = pb.FINE_TUNING_MODE_FULL
VERSION = "models/flowers/versions/1"


@asynccontextmanager
async def started(folder: Path, package: Path, behaviour: str = "succeed") -> AsyncIterator[tuple[Service, Client]]:
    """A service with a data set, and a model `flowers` that a 20 px LeNet-5 was trained for."""
    async with running(make_config(folder, behaviour=behaviour, package=package)) as (service, client):
        await client.import_flowers()
        await publish(service, package)
        yield service, client


def pretrained(make_package: Callable[..., Path], name: str = "one", **settings: Any) -> Path:
    recipe = {"architecture": "lenet5", "input": {"size": 20}, "selectionMetric": "SELECTION_METRIC_TOP1"}
    return make_package(name, recipe=recipe, weights=True, **settings)


async def resolved(client: Client, weights: str, **fields: Any) -> training_pb2.TrainingJob:
    spec = make_spec(mode=FULL, weights=weights, **fields)
    return await client.training.CreateTrainingJob(training_pb2.CreateTrainingJobRequest(spec=spec, validate_only=True))


async def test_every_name_of_a_version_becomes_its_full_name_and_brings_its_input(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with started(tmp_path, pretrained(make_package)) as (_, client):
        for name in ("flowers", "flowers@live", "flowers/versions/1", VERSION, "models/flowers"):
            recipe = (await resolved(client, name)).recipe
            assert (recipe.weights, recipe.input.size) == (VERSION, 20)


async def test_a_file_wins_over_a_model_of_its_name(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with started(tmp_path, pretrained(make_package)) as (_, client):
        (tmp_path / "weights/flowers").write_bytes(b"w")

        assert (await resolved(client, "flowers")).recipe.weights == "flowers"


async def test_a_finished_job_s_weights_are_those_of_its_version(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    package = pretrained(make_package)
    async with running(make_config(tmp_path, package=package)) as (_, client):
        await client.import_flowers()
        job = await client.train()
        assert (await resolved(client, job.name)).recipe.weights == VERSION

        version = model_pb2.DeleteModelRequest(name="flowers")
        await client.models.DeleteModel(version)
        gone = await refused(resolved(client, job.name))
        assert (gone.code, gone.reason, gone.fields) == ("FAILED_PRECONDITION", "SOURCE_VERSION_GONE", ["spec.weights"])


async def test_a_job_that_starts_from_a_version_is_told_its_folder_and_keeps_it_there(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with started(tmp_path, pretrained(make_package), behaviour="gated") as (service, client):
        await publish(service, pretrained(make_package, "two"), policy=NEVER)
        job = await client.create_job(mode=FULL, weights="flowers/versions/2")
        await client.first_epoch(job.name)
        unfinished = await refused(resolved(client, job.name))
        request = json.loads((tmp_path / "data/runs" / job.name.split("/")[1] / "request.json").read_text())["request"]
        second = model_pb2.DeleteModelVersionRequest(name="flowers/versions/2")
        in_use = await refused(client.models.DeleteModelVersion(second))
        model_in_use = await refused(client.models.DeleteModel(model_pb2.DeleteModelRequest(name="flowers")))
        await client.training.CancelTrainingJob(training_pb2.CancelTrainingJobRequest(name=job.name))
        await client.events(job.name)
        await client.models.DeleteModelVersion(second)
        without_source = await refused(client.export(job.name))

        assert (unfinished.code, unfinished.reason) == ("FAILED_PRECONDITION", "JOB_NOT_SUCCEEDED")
        assert request["source"] == str((tmp_path / "data/models/flowers/2").resolve())
        assert request["recipe"]["weights"] == "models/flowers/versions/2"
        assert (in_use.code, in_use.reason) == ("FAILED_PRECONDITION", "VERSION_IN_USE")
        assert job.name in model_in_use.message
        assert (without_source.code, without_source.reason) == ("FAILED_PRECONDITION", "SOURCE_VERSION_GONE")


async def test_weights_that_nobody_can_give_are_refused_beside_all_else(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with started(tmp_path, pretrained(make_package)) as (service, client):
        await publish(service, make_package("bare"), policy=NEVER)

        async def refusal(weights: str, **fields: Any) -> tuple[str, list[str]]:
            found = await refused(resolved(client, weights, **fields))
            return found.code, found.fields

        weights = ["spec.weights"]
        assert await refusal("tulips") == ("INVALID_ARGUMENT", weights)
        assert await refusal("tulips@live") == ("NOT_FOUND", weights)
        assert await refusal("flowers/versions/9") == ("NOT_FOUND", weights)
        assert await refusal("trainingJobs/none") == ("NOT_FOUND", weights)
        assert await refusal("flowers/versions/2") == ("FAILED_PRECONDITION", weights)
        both = ("INVALID_ARGUMENT", ["spec.epochs", "spec.weights"])
        assert await refusal("flowers/versions/9", epochs=-1) == both
        assert await refusal("flowers", architecture="resnet18") == ("INVALID_ARGUMENT", weights)
        scratch = training_pb2.CreateTrainingJobRequest(spec=make_spec(weights="flowers/versions/9"))
        assert (await refused(client.training.CreateTrainingJob(scratch))).fields == weights
