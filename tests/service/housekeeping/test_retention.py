"""What leaves by itself, and what stays."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from google.protobuf.message import Message
from published_models import ALWAYS, publish
from running_service import CANCELLED, Client, make_config, refused, running

from cultivar.v1 import dataset_pb2, model_pb2

DAY_S = 86_400


async def versions(client: Client) -> list[int]:
    request = model_pb2.ListModelVersionsRequest(parent="models/flowers")
    listed = await client.models.ListModelVersions(request)
    return sorted(int(one.name.rpartition("/")[2]) for one in listed.model_versions)


async def test_the_newest_versions_and_those_in_use_stay(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with running(make_config(tmp_path, keep_versions=1)) as (service, client):
        for number in range(1, 6):
            await publish(service, make_package(f"job-{number}"), policy=ALWAYS)
        await client.models.SetModelAlias(
            model_pb2.SetModelAliasRequest(name="flowers", alias="canary", model_version="flowers/versions/2")
        )

        await service.housekeeper.tidy()

        # 5 is live, a rollback goes back to 4, an alias points to 2.
        assert await versions(client) == [2, 4, 5]
        assert sorted(path.name for path in (tmp_path / "data/models/flowers").iterdir()) == ["2", "4", "5"]


async def test_checkpoints_of_a_finished_job_go_at_once_its_log_later_its_record_never(
    tmp_path: Path, package: Path
) -> None:
    config = make_config(tmp_path, package=package, keep_runs_days=30)
    async with running(config) as (service, client):
        await client.import_flowers()
        job = await client.train()
        folder = config.runs / job.name.removeprefix("trainingJobs/")
        (folder / "checkpoint").mkdir()
        (folder / ".history.json.0123").touch()

        await service.housekeeper.tidy()
        assert sorted(path.name for path in folder.iterdir()) == ["attempts", "lock", "request.json", "result.json"]
        assert await client.log(job.name)

        job.end_time.FromSeconds(int(time.time()) - 31 * DAY_S)
        replace(config.catalog, "jobs", job)
        await service.housekeeper.tidy()
        assert not folder.exists()
        assert (await client.job(job.name)).latest_epoch.epoch == 2
        assert await client.log(job.name) == ""


async def test_an_unsuccessful_job_keeps_its_checkpoints_for_an_export(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, behaviour="fail", package=package)
    async with running(config) as (service, client):
        await client.import_flowers()
        job = await client.train()
        folder = config.runs / job.name.removeprefix("trainingJobs/")
        for name in ("checkpoint", "package"):
            (folder / name).mkdir()
        (folder / "checkpoint" / "last.pt").touch()
        (folder / "checkpoint" / ".last.pt.0123").touch()

        await service.housekeeper.tidy()

        assert [path.name for path in (folder / "checkpoint").iterdir()] == ["last.pt"]
        assert not (folder / "package").exists()


async def test_a_job_whose_files_were_removed_is_not_queued_for_an_export(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, behaviour="gated", package=package)
    async with running(config) as (service, client):
        await client.import_flowers()
        job = await client.create_job()
        await client.first_epoch(job.name)
        await client.cancel(job.name)
        job = await client.reached(job.name, CANCELLED)
        job.end_time.FromSeconds(int(time.time()) - 31 * DAY_S)
        replace(config.catalog, "jobs", job)
        await service.housekeeper.tidy()

        refusal = await refused(client.export(job.name))

        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "NOTHING_TO_EXPORT")
        assert (await client.job(job.name)).state == CANCELLED


async def test_failed_imports_go_when_they_are_old(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    async with running(config) as (service, client):
        source = dataset_pb2.DatasetSource(builtin="cifar10")
        begun = await client.datasets.CreateDataset(dataset_pb2.CreateDatasetRequest(dataset_id="cifar", source=source))
        failed = await client.imported(begun.name)
        await service.housekeeper.tidy()
        assert len((await client.datasets.ListDatasets(dataset_pb2.ListDatasetsRequest())).datasets) == 1

        failed.end_time.FromSeconds(int(time.time()) - 31 * DAY_S)
        replace(config.catalog, "datasets", failed)
        await service.housekeeper.tidy()

        assert not (await client.datasets.ListDatasets(dataset_pb2.ListDatasetsRequest())).datasets
        assert list(config.imports.iterdir()) == []


def replace(catalog: Path, table: str, resource: Message) -> None:
    """Put a record in the place of the one that there is."""
    with closing(sqlite3.connect(catalog)) as connection, connection:
        connection.execute(f"UPDATE {table} SET resource = ?", (resource.SerializeToString(),))
