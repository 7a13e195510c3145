"""Folders without a record, and records without a folder."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from published_models import publish
from running_service import make_config, running
from test_retention import versions

from cultivar.v1 import dataset_pb2, model_pb2

REJECTED = model_pb2.MODEL_VERSION_STATE_REJECTED
HOUR_S = 3600


def make_old(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - 2 * HOUR_S,) * 2)


async def test_old_folders_without_a_record_are_removed_and_strange_ones_are_not(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    async with running(config) as (service, client):
        known = await client.import_flowers()
        orphans = [
            config.runs / "20260101-000000-0a1b2c",
            config.imports / "20260101-000000-0a1b2c",
            config.datasets / "flowers" / "7",
            config.models / "flowers" / "1",
        ]
        kept = [
            config.runs / "20260101-000000-ffffff",  # touched a moment ago
            config.runs / "a folder of mine",
            config.models / "flowers" / "1.backup",
            config.datasets / "flowers" / "1",
        ]
        for folder in (*orphans, *kept):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "file").touch()
        for folder in (*orphans, *kept[1:]):
            make_old(folder)
        (config.runs / "20260101-000000-aaaaaa").symlink_to(tmp_path)

        await service.housekeeper.tidy()

        assert [folder.exists() for folder in orphans] == [False] * 4
        assert [folder.exists() for folder in kept] == [True] * 4
        assert (config.runs / "20260101-000000-aaaaaa").is_symlink()
        assert known.name == "datasets/flowers/versions/1"
        for kind in ("run", "import", "dataset_version", "model_version"):
            assert service.metrics.registry.get_sample_value("cultivar_orphans_collected_total", {"kind": kind}) == 1


async def test_a_data_set_whose_files_are_gone_says_so_until_they_are_back(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    async with running(config) as (_, client):
        name = (await client.import_flowers()).name
    shutil.move(config.datasets / "flowers" / "1", tmp_path / "away")

    async with running(config) as (service, client):
        gone = await client.datasets.GetDataset(dataset_pb2.GetDatasetRequest(name=name))
        again = await client.import_flowers()
        value = service.metrics.registry.get_sample_value("cultivar_files_missing", {"kind": "dataset_version"})
    shutil.move(tmp_path / "away", config.datasets / "flowers" / "1")
    async with running(config) as (_, client):
        back = await client.datasets.GetDataset(dataset_pb2.GetDatasetRequest(name=name))

    assert (gone.state, gone.error.reason) == (dataset_pb2.DATASET_STATE_FAILED, "FILES_MISSING")
    assert "datasets/flowers/1" in gone.error.message
    assert value == 1
    assert again.name == "datasets/flowers/versions/2"
    assert back.state == dataset_pb2.DATASET_STATE_READY
    assert not back.HasField("error")


async def test_a_model_version_whose_files_are_gone_says_so_until_they_are_back(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    config = make_config(tmp_path)
    request = model_pb2.GetModelVersionRequest(name="models/flowers/versions/2")
    async with running(config) as (service, client):
        for number in (1, 2):
            await publish(service, make_package(f"job-{number}"))
    shutil.move(config.models / "flowers" / "2", tmp_path / "away")

    async with running(config) as (_, client):
        gone = await client.models.GetModelVersion(request)
    shutil.move(tmp_path / "away", config.models / "flowers" / "2")
    async with running(config) as (_, client):
        back = await client.models.GetModelVersion(request)
        assert await versions(client) == [1, 2]

    assert (gone.state, gone.error.reason) == (REJECTED, "FILES_MISSING")
    assert back.state == model_pb2.MODEL_VERSION_STATE_READY
