"""Inspections: what the service checks itself, what it asks of the trainer, and how it answers."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published_models import publish
from running_service import Client, Refusal, drain, make_config, refused, running
from tiny_package import RED, SIZE

from cultivar.v1 import dataset_pb2
from cultivar.v1 import model_pb2 as pb
from cultivar_contract import files
from cultivar_contract.package import ENSEMBLE

VERSION = "models/flowers/versions/1"
FEATURE_MAPS, FILTERS = pb.INSPECTION_VIEW_FEATURE_MAPS, pb.INSPECTION_VIEW_FILTERS
EXCITING, ASCENT = pb.INSPECTION_VIEW_EXCITING_IMAGES, pb.INSPECTION_VIEW_GRADIENT_ASCENT
SEPARATING = pb.INSPECTION_VIEW_SEPARATING_CHANNELS
INVALID = "INVALID_ARGUMENT"


@asynccontextmanager
async def started(folder: Path, make_package: Callable[..., Path], behaviour: str = "succeed") -> AsyncIterator[Client]:
    """A service whose model `flowers` was trained on the data set that it has."""
    recipe = {"dataset": "datasets/flowers/versions/1", "selectionMetric": "SELECTION_METRIC_TOP1"}
    package = make_package("one", weights=True, recipe=recipe)
    async with running(make_config(folder, behaviour=behaviour, package=package)) as (service, client):
        imported = await client.import_flowers()
        manifest = files.read_json(package / "manifest.json")
        manifest["dataset"]["digest"] = imported.digest
        files.write_json(package / "manifest.json", manifest)
        await publish(service, package)
        yield client


def inspecting(client: Client, view: int = FILTERS, **fields: Any) -> Any:
    return client.models.InspectModel(pb.InspectModelRequest(**{"name": "flowers", "view": view, **fields}))


async def refusal_of(client: Client, view: int = FILTERS, **fields: Any) -> Refusal:
    return await refused(drain(inspecting(client, view, **fields)))


async def asked_of_the_trainer(client: Client, view: int, **fields: Any) -> dict[str, Any]:
    updates = await drain(inspecting(client, view, **fields))
    picture = b"".join(update.data for update in updates)
    return dict(json.loads(picture[3 : picture.index(b"\0")]))


async def test_progress_comes_first_then_what_the_picture_shows_then_the_picture(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with started(tmp_path, make_package) as client:
        updates = await drain(inspecting(client))

        kinds = [update.WhichOneof("update") for update in updates]
        assert kinds == ["progress", "inspection", "data", "data", "data", "data"]
        found = updates[1].inspection
        assert (found.model_version, found.view, found.channels[0].value) == (VERSION, FILTERS, 0.5)
        assert found.size_bytes == sum(len(update.data) for update in updates)
        assert not list((tmp_path / "data/scratch").iterdir())


async def test_the_trainer_is_told_all_that_a_view_needs_and_no_more(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with started(tmp_path, make_package) as client:
        filters = await asked_of_the_trainer(client, FILTERS)
        sent = await asked_of_the_trainer(client, FEATURE_MAPS, image=RED, layer="conv")
        ascent = await asked_of_the_trainer(client, ASCENT, channel=3, steps=7, seed=-5)
        separating = await asked_of_the_trainer(client, SEPARATING, classes=["rose", "lily"], count=2)

    data = tmp_path / "data"
    assert (filters["package"], filters["dataset"], filters["count"]) == (str(data / "models/flowers/1"), "", 64)
    assert (sent["dataset"], sent["layer"], sent["count"]) == ("", "conv", 9)
    pixels = np.frombuffer(base64.b64decode(sent["pixels"]), np.uint8).reshape(SIZE, SIZE, 3)
    assert (pixels == (220, 10, 20)).all()
    assert (ascent["channel"], ascent["steps"], ascent["seed"], ascent["dataset"]) == (3, 7, -5, "")
    assert (separating["classes"], separating["count"]) == (["rose", "lily"], 2)
    assert separating["dataset"] == str(data / "datasets/flowers/1")


async def test_a_finished_job_means_the_version_that_it_made(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    package = make_package("one", weights=True)
    async with running(make_config(tmp_path, package=package)) as (_, client):
        await client.import_flowers()
        job = await client.train()

        updates = await drain(inspecting(client, name=job.name))

        assert updates[1].inspection.model_version == job.model_version == VERSION
        assert (await refusal_of(client, name="trainingJobs/none")).code == "NOT_FOUND"


@pytest.mark.all
async def test_an_unfinished_job_has_nothing_to_inspect(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        await client.import_flowers()
        job = await client.create_job()
        await client.first_epoch(job.name)

        found = await refusal_of(client, name=job.name)

        assert (found.code, found.reason, found.fields) == ("FAILED_PRECONDITION", "JOB_NOT_SUCCEEDED", ["name"])
        await client.cancel(job.name)


async def test_without_its_data_set_a_model_still_shows_what_needs_none(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with started(tmp_path, make_package) as client:
        await client.datasets.DeleteDataset(dataset_pb2.DeleteDatasetRequest(name="flowers/versions/1"))

        for view, fields in (
            (FEATURE_MAPS, {}),
            (EXCITING, {"channel": 0}),
            (SEPARATING, {"classes": ["rose", "lily"]}),
        ):
            found = await refusal_of(client, view, **fields)
            assert (found.code, found.reason) == ("FAILED_PRECONDITION", "DATASET_GONE")
        assert await drain(inspecting(client, FILTERS))
        assert await drain(inspecting(client, FEATURE_MAPS, image=RED))


async def test_what_only_the_trainer_can_judge_comes_back_at_its_field(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with started(tmp_path, make_package, behaviour="crash") as client:
        layer = await refusal_of(client, EXCITING, layer="conv9", channel=0)

    assert (layer.code, layer.reason, layer.fields) == (INVALID, "INVALID_LAYER", ["layer"])
    assert layer.message == "layer: it names what there is"


@pytest.mark.all
async def test_other_refusals_of_the_trainer_are_passed_on(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with started(tmp_path, make_package, behaviour="fail") as client:
        found = await refusal_of(client)

    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "NO_VALIDATION_IMAGES")


async def test_a_request_that_can_not_be_is_refused_before_a_trainer_starts(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with started(tmp_path, make_package, behaviour="stubborn") as client:

        async def fields(view: int, **fields: Any) -> list[str]:
            found = await refusal_of(client, view, **fields)
            assert found.code == INVALID, found.message
            return found.fields

        assert await fields(0) == ["view"]
        assert await fields(77) == ["view"]
        assert await fields(FILTERS, name="") == ["name"]
        assert await fields(FILTERS, layer="conv", channel=1, steps=3) == ["layer", "channel", "steps"]
        assert await fields(EXCITING) == ["channel"]
        assert await fields(EXCITING, channel=-1, count=65) == ["channel", "count"]
        assert await fields(ASCENT, channel=0, steps=0) == ["steps"]
        assert await fields(ASCENT, channel=0, steps=513, layer="x" * 201) == ["steps", "layer"]
        assert await fields(FEATURE_MAPS, count=0, validation_image=-1) == ["validation_image", "count"]
        assert await fields(FEATURE_MAPS, image=RED, validation_image=0) == ["validation_image"]
        assert await fields(FEATURE_MAPS, image=b"no image") == ["image"]
        for classes in ([], ["rose"], ["rose", "lily", "aster"], ["rose", "rose"], ["rose", "tulip"]):
            assert await fields(SEPARATING, classes=classes) == ["classes"]
        assert (await refusal_of(client, name="tulips")).code == "NOT_FOUND"
        assert (await refusal_of(client, FEATURE_MAPS, image=b"\xff\xd8\xff broken")).reason == "CORRUPT_IMAGE"


async def test_a_package_without_weights_is_named(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        await publish(service, make_package("bare"))

        found = await refusal_of(client)

    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "PACKAGE_WITHOUT_WEIGHTS")


async def test_an_ensemble_has_no_layers_of_its_own(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    package = make_package("ensemble", weights=True)
    manifest = files.read_json(package / "manifest.json")
    files.write_json(package / "manifest.json", {**manifest, "combination": {"method": ENSEMBLE}})
    async with running(make_config(tmp_path)) as (service, client):
        await publish(service, package)

        found = await refusal_of(client)

    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "IS_ENSEMBLE")
