"""What gives way when the disk runs short."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from running_service import make_config, refused, running

from cultivar.v1 import dataset_pb2, event_pb2, training_pb2, training_spec_pb2
from cultivar_contract import derived
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.errors import InsufficientDisk
from cultivar_service.housekeeping.disk_watch import DiskWatch
from cultivar_service.telemetry.disk import DiskMetrics
from cultivar_service.training import disk_room

MORE_THAN_ANY_DISK = 1 << 60
ENOUGH = 1 << 20


class Work:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.failures: list[event_pb2.Failure] = []

    async def fail_running(self, failure: event_pb2.Failure) -> None:
        self.failures.append(failure)


@asynccontextmanager
async def watching(config: Config) -> AsyncIterator[tuple[DiskWatch, Work]]:
    storage = DataDirectory(config)
    catalog = Catalog(config.catalog)
    work = Work()
    try:
        yield DiskWatch(config, catalog, storage, [work], DiskMetrics(CollectorRegistry())), work
    finally:
        catalog.close()
        storage.close()


def cache(config: Config, name: str) -> Path:
    path = config.caches / name
    path.mkdir()
    (path / "images.npy").write_bytes(bytes(1000))
    return path


async def test_caches_that_no_trainer_uses_give_way_before_running_work(tmp_path: Path) -> None:
    config = make_config(tmp_path, min_free_bytes=MORE_THAN_ANY_DISK)
    async with watching(config) as (watch, work):
        used, spare = cache(config, "used"), cache(config, "spare")
        assert derived.hold(used) is not None

        await watch.look()
        await watch.has_stopped_work.wait()

        assert used.exists()
        assert not spare.exists()
        assert [one.reason for one in work.failures] == ["INSUFFICIENT_DISK"]
        assert "must stay free" in work.failures[0].message


async def test_while_there_is_room_nothing_gives_way_and_the_catalog_gets_its_reserve_back(tmp_path: Path) -> None:
    config = make_config(tmp_path, min_free_bytes=ENOUGH)
    async with watching(config) as (watch, work):
        spare, reserve = cache(config, "spare"), config.data_dir / "catalog.reserve"
        reserve.unlink()

        await watch.look()

        assert spare.exists()
        assert reserve.exists()
        assert work.failures == []


async def test_an_import_is_refused_where_the_disk_is_short(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, min_free_bytes=MORE_THAN_ANY_DISK)) as (_, client):
        source = dataset_pb2.DatasetSource(builtin="procedural-flowers")
        request = dataset_pb2.CreateDatasetRequest(dataset_id="flowers", source=source)
        refusal = await refused(client.datasets.CreateDataset(request))

    assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_DISK")


def test_what_a_job_will_write_follows_its_network_images_and_mode() -> None:
    def recipe(mode: Any) -> training_spec_pb2.TrainingSpec:
        size = training_spec_pb2.InputSpec(size=224, channels=3)
        return training_spec_pb2.TrainingSpec(architecture="resnet50", mode=mode, input=size)

    everything = recipe(training_spec_pb2.FINE_TUNING_MODE_FULL)
    counts = {dataset_pb2.SPLIT_TRAIN: 1000, dataset_pb2.SPLIT_VAL: 100, dataset_pb2.SPLIT_TEST: 10_000}
    splits = [dataset_pb2.DatasetSplit(split=split, image_count=count) for split, count in counts.items()]

    weights = 25_557_032 * 4
    assert disk_room.package_bytes(everything) == 2 * weights
    assert disk_room.checkpoint_bytes(everything) == 15 * weights
    assert disk_room.checkpoint_bytes(recipe(training_spec_pb2.FINE_TUNING_MODE_HEAD)) == 0
    # 224 px with a margin of 1.15 and a third more for the longer side; test images are never stored.
    stores = disk_room.store_bytes(everything, dataset_pb2.Dataset(splits=splits))
    assert 1000 * 257 * 343 * 3 < stores < 1.1 * 1000 * 258 * 344 * 3


async def test_a_job_that_goes_on_needs_no_room_for_the_checkpoints_that_it_has(tmp_path: Path) -> None:
    config = make_config(tmp_path, min_free_bytes=shutil.disk_usage(tmp_path).free - (4 << 30), critical_free_bytes=0)
    storage, catalog = DataDirectory(config), Catalog(config.catalog)
    room = disk_room.DiskRoom(config, catalog, storage)
    recipe = training_spec_pb2.TrainingSpec(architecture="vgg16", dataset="flowers/versions/1")
    job = training_pb2.TrainingJob(name="trainingJobs/large", recipe=recipe)
    try:
        with pytest.raises(InsufficientDisk):
            await room.check(job)
        exported = training_pb2.TrainingJob(name=job.name, recipe=recipe, export_only=True)
        await room.check(exported)

        checkpoint = config.runs / "large/checkpoint"
        checkpoint.mkdir(parents=True)
        with (checkpoint / "1.pt").open("wb") as file:
            file.truncate(disk_room.checkpoint_bytes(recipe))  # its size is told, its blocks are not taken
        await room.check(job)
    finally:
        catalog.close()
        storage.close()


def test_waiting_for_a_cache_that_is_being_removed_ends_without_it(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    path.mkdir()
    entry = derived.entries(tmp_path)[0]

    assert derived.remove(entry)
    assert derived.hold(path) is None
    assert asyncio.run(asyncio.to_thread(derived.make_room, tmp_path, 1)) == 0
