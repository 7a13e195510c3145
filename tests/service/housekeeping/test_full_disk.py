"""A disk that is really full: a small file system under the data directory, and the real trainer."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image
from published_models import publish
from running_service import FAILED, SUCCEEDED, Client, eventually, make_config, refused, running
from tiny_package import RED

from cultivar.v1 import architecture_pb2, dataset_pb2, model_pb2, state_pb2, training_pb2
from cultivar_contract.run_directory import RunDirectory

pytestmark = pytest.mark.slow

DISK_BYTES = 48 << 20
NO_WATCH = {"min_free_bytes": 0}
"""The disk fills faster than anybody looks: the trainer itself meets its end."""
WATCHED = {"min_free_bytes": 8 << 20}
IMPORT_DONE_S = 60.0
JOB_DONE_S = 120.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@asynccontextmanager
async def serving(disk: Path, flowers_folder: Path, package: Path, **settings: Any) -> AsyncIterator[Client]:
    """Run a service on the disk, with a data set that the real trainer imported and a model that answers."""
    sources = disk.parent / "sources"
    shutil.copytree(flowers_folder, sources / "flowers")
    config = make_config(disk.parent, data_dir=disk / "data", trainer_command=(), **settings)
    async with running(config) as (service, client):
        assert (await import_folder(client, "flowers")).state == dataset_pb2.DATASET_STATE_READY
        await publish(service, shutil.copytree(package, disk / "package"))
        yield client


async def import_folder(client: Client, folder: str) -> dataset_pb2.Dataset:
    source = dataset_pb2.DatasetSource(folder=folder)
    begun = await client.datasets.CreateDataset(dataset_pb2.CreateDatasetRequest(dataset_id=folder, source=source))

    async def over() -> dataset_pb2.Dataset | None:
        found = await client.datasets.GetDataset(dataset_pb2.GetDatasetRequest(name=begun.name))
        return found if found.state != dataset_pb2.DATASET_STATE_IMPORTING else None

    return await eventually(over, within_s=IMPORT_DONE_S)


async def until_ended(client: Client, name: str) -> training_pb2.TrainingJob:
    async def ended() -> training_pb2.TrainingJob | None:
        job = await client.job(name)
        return job if job.state in (FAILED, SUCCEEDED) else None

    return await eventually(ended, within_s=JOB_DONE_S)


async def check_healthy(client: Client) -> None:
    """Check that what needs no disk is answered."""
    health = await health_pb2_grpc.HealthStub(client.channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert (await client.models.GetModel(model_pb2.GetModelRequest(name="flowers"))).live_version
    await client.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())
    assert (await client.predict(RED)).results[0].HasField("classification")


def fill(disk: Path) -> None:
    """Take what is free, to the last block."""
    with (disk / "filler").open("ab") as file:
        while free := shutil.disk_usage(disk).free:
            try:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free)
            except OSError:  # somebody else was faster
                continue


def used(disk: Path) -> int:
    return shutil.disk_usage(disk).used


@pytest.mark.parametrize("settings", [NO_WATCH, WATCHED], ids=["unwatched", "watched"])
async def test_an_import_that_the_disk_is_too_small_for(
    disk: Path, flowers_folder: Path, package: Path, settings: Any
) -> None:
    generator = np.random.default_rng(0)
    for number in range(60):
        folder = disk.parent / "sources" / "vast" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        noise = generator.integers(0, 256, (600, 600, 3), np.uint8)  # 1 MB that can't be compressed
        Image.fromarray(noise).save(folder / f"{number}.png", compress_level=0)
    async with serving(disk, flowers_folder, package, **settings) as client:
        before = used(disk)

        failed = await import_folder(client, "vast")

        assert (failed.state, failed.error.reason) == (dataset_pb2.DATASET_STATE_FAILED, "INSUFFICIENT_DISK")
        assert "delete data sets, jobs or model versions" in failed.error.message
        await check_healthy(client)
        assert used(disk) < before + (1 << 20)
        shutil.copytree(flowers_folder, disk.parent / "sources" / "more", dirs_exist_ok=True)
        assert (await import_folder(client, "more")).state == dataset_pb2.DATASET_STATE_READY


def reached_epoch(job: training_pb2.TrainingJob) -> bool:
    return job.HasField("latest_epoch")


def reached_export(job: training_pb2.TrainingJob) -> bool:
    return job.phase == state_pb2.TRAINING_PHASE_EXPORTING


@pytest.mark.parametrize("settings", [NO_WATCH, WATCHED], ids=["unwatched", "watched"])
@pytest.mark.parametrize(
    ("reached", "epochs"), [(reached_epoch, 500), (reached_export, 2)], ids=["checkpoint", "export"]
)
async def test_a_job_that_meets_a_full_disk(
    disk: Path,
    flowers_folder: Path,
    package: Path,
    settings: Any,
    reached: Callable[[training_pb2.TrainingJob], bool],
    epochs: int,
) -> None:
    async with serving(disk, flowers_folder, package, **settings) as client:
        job = await client.create_job(epochs=epochs)

        async def there() -> bool | None:
            return reached(await client.job(job.name)) or None

        await eventually(there, within_s=JOB_DONE_S)
        fill(disk)
        failed = await until_ended(client, job.name)

        assert (failed.state, failed.error.reason) == (FAILED, "INSUFFICIENT_DISK"), failed.error
        await check_healthy(client)
        events = await client.events(job.name)
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        directory = RunDirectory(disk / "data" / "runs" / job.name.removeprefix("trainingJobs/"))
        assert not list(directory.path.rglob(".*"))
        # A full disk lets things be deleted, which gives space back.
        await client.training.DeleteTrainingJob(training_pb2.DeleteTrainingJobRequest(name=job.name))
        assert not directory.path.exists()

        (disk / "filler").unlink()
        again = await client.create_job(epochs=1)
        assert (await until_ended(client, again.name)).state == SUCCEEDED


async def test_the_service_starts_and_answers_on_a_full_disk(disk: Path, flowers_folder: Path, package: Path) -> None:
    async with serving(disk, flowers_folder, package, **NO_WATCH):
        pass
    fill(disk)

    config = make_config(disk.parent, data_dir=disk / "data", trainer_command=(), **NO_WATCH)
    async with running(config) as (_, client):
        await check_healthy(client)
        fill(disk)  # also what the catalog gave up to be opened
        describing = architecture_pb2.DescribeArchitectureRequest(name="lenet5", num_classes=3)
        refusal = await refused(client.training.DescribeArchitecture(describing))
        assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_DISK")
        (disk / "filler").unlink()
        job = await client.create_job(epochs=1)
        assert (await until_ended(client, job.name)).state == SUCCEEDED
