"""Creators: what one token made, another can't cancel or delete without scope admin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from certificates import client_with, make_tokens
from running_service import CANCELLED, Client, eventually, make_config, refused, running

from cultivar.v1 import dataset_pb2, model_pb2, training_pb2
from cultivar_service.caller import Caller
from cultivar_service.config import Security
from cultivar_service.errors import PermissionDenied


@asynccontextmanager
async def three_clients(folder: Path, behaviour: str, package: Path) -> AsyncIterator[tuple[Client, Client, Client]]:
    """Clients of two trainers and of an admin."""
    path, made = make_tokens(folder, ann="train", ben="train", boss="admin")
    config = make_config(folder, behaviour=behaviour, package=package, security=Security(tokens_file=path))
    async with (
        running(config) as (service, _),
        client_with(service.grpc_address, made["ann"]) as ann,
        client_with(service.grpc_address, made["ben"]) as ben,
        client_with(service.grpc_address, made["boss"]) as boss,
    ):
        yield ann, ben, boss


async def test_who_made_a_data_set_a_job_and_a_version_is_told_and_others_can_not_delete_them(
    tmp_path: Path, package: Path
) -> None:
    async with three_clients(tmp_path, "succeed", package) as (ann, ben, boss):
        dataset = await ann.import_flowers()
        job = await ann.train()
        version = await ben.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=job.model_version))

        async def deletions(client: Client) -> list[str]:
            return [
                (await refused(call)).reason
                for call in (
                    client.training.DeleteTrainingJob(training_pb2.DeleteTrainingJobRequest(name=job.name)),
                    client.datasets.DeleteDataset(dataset_pb2.DeleteDatasetRequest(name=dataset.name)),
                    client.models.DeleteModelVersion(model_pb2.DeleteModelVersionRequest(name=version.name)),
                    client.models.DeleteModel(model_pb2.DeleteModelRequest(name="flowers")),
                )
            ]

        assert [one.creator for one in (dataset, job, version)] == ["ann"] * 3
        assert await deletions(ben) == ["NOT_CREATOR"] * 4
        await ann.training.DeleteTrainingJob(training_pb2.DeleteTrainingJobRequest(name=job.name))
        await ann.models.DeleteModel(model_pb2.DeleteModelRequest(name="flowers"))
        await boss.datasets.DeleteDataset(dataset_pb2.DeleteDatasetRequest(name=dataset.name))


async def test_cancelling_the_job_of_another_needs_admin(tmp_path: Path, package: Path) -> None:
    async with three_clients(tmp_path, "gated", package) as (ann, ben, boss):
        await ann.import_flowers()
        job = await ann.create_job()
        request = training_pb2.CancelTrainingJobRequest(name=job.name)

        refusal = await refused(ben.training.CancelTrainingJob(request))
        await boss.training.CancelTrainingJob(request)

        async def over() -> bool | None:
            return (await ben.job(job.name)).state == CANCELLED or None

        assert (refusal.code, refusal.reason) == ("PERMISSION_DENIED", "NOT_CREATOR")
        assert await eventually(over)


def test_what_was_made_without_tokens_is_for_admins_once_there_are_tokens() -> None:
    boss = Caller(request_id="1", name="boss", is_admin=True)
    boss.check_may_change("trainingJobs/1", "")
    with pytest.raises(PermissionDenied, match="made without a token"):
        Caller(request_id="1", name="ann").check_may_change("trainingJobs/1", "")
