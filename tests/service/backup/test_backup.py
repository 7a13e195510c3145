"""Backups of a service at work, and what is made of them."""

import asyncio
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from published_models import publish, published
from running_service import RUNNING, SUCCEEDED, make_config, running
from tiny_package import RED

from cultivar.v1 import model_pb2
from cultivar_service import administration
from cultivar_service.backup.contents import BackupRefused
from cultivar_service.backup.restoring import restore
from cultivar_service.backup.writing import back_up
from cultivar_service.catalog import models
from cultivar_service.catalog.database import Catalog
from cultivar_service.config import Config
from cultivar_service.errors import StartupRefused
from cultivar_service.server import Service


def elsewhere(folder: Path) -> Config:
    """Settings of a service in another data directory."""
    return make_config(folder / "elsewhere")


async def test_a_restored_service_answers_the_same_and_its_queue_goes_on(tmp_path: Path, package: Path) -> None:
    config = make_config(tmp_path, package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
        trained = await client.train()
        answer = await client.predict(RED)
        events = await client.events(trained.name)
    async with running(make_config(tmp_path, behaviour="gated", package=package)) as (_, client):
        at_work = await client.create_job()
        waiting = await client.create_job()
        await client.first_epoch(at_work.name)
        summary = await asyncio.to_thread(back_up, config, tmp_path / "backup")
        for job in (at_work, waiting):
            await client.first_epoch(job.name)
            (config.runs / job.name.split("/")[1] / "go").touch()
            await client.events(job.name)

    restore(elsewhere(tmp_path), tmp_path / "backup")
    for request in elsewhere(tmp_path).runs.glob("*/request.json"):
        os.utime(request, (0, 0))  # else its trainer would count as about to start

    assert not summary.problems
    assert (config.models / "flowers/1/model.onnx").samefile(tmp_path / "backup/models/flowers/1/model.onnx")
    async with running(make_config(tmp_path / "elsewhere", package=package)) as (_, client):
        assert await client.job(trained.name) == trained
        assert await client.events(trained.name) == events
        assert "epoch 2/2" in await client.log(trained.name)
        again = await client.predict(RED)
        assert again.model_version == answer.model_version
        assert again.results == answer.results
        assert RUNNING in [event.state_changed.state for event in await client.events(at_work.name)]
        await client.events(waiting.name)
        assert (await client.job(waiting.name)).state == SUCCEEDED


async def test_backups_are_whole_while_versions_come_and_go(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with published(tmp_path, [make_package("kept")]) as (service, client):
        config = make_config(tmp_path)

        async def come_and_go() -> None:
            for number in range(6):
                await publish(service, make_package(f"p{number}"), model="other")
                await client.models.DeleteModel(model_pb2.DeleteModelRequest(name="other"))

        coming = asyncio.ensure_future(come_and_go())
        made = []
        while not coming.done():
            made.append(tmp_path / f"backup{len(made)}")
            summary = await asyncio.to_thread(back_up, config, made[-1])
            assert not summary.problems
        await coming

    for number, folder in enumerate(made):
        restored = make_config(tmp_path / f"restored{number}")
        restore(restored, folder)
        catalog = Catalog(restored.catalog)
        versions = await catalog.read(models.every_version)
        catalog.close()
        ready = {one.name for one in versions if one.state == models.READY}
        folders = {f"models/{one.parent.name}/versions/{one.name}" for one in restored.models.glob("*/*")}
        assert ready <= folders <= {one.name for one in versions}


async def test_a_checkpoint_that_is_replaced_meanwhile_is_copied_as_of_one_moment(
    tmp_path: Path, package: Path
) -> None:
    config = make_config(tmp_path, package=package)
    async with running(config) as (_, client):
        await client.import_flowers()
        job = await client.train()
    folder = config.runs / job.name.split("/")[1] / "checkpoint"
    folder.mkdir()
    stop = threading.Event()

    def train() -> None:
        number = 0
        while not stop.wait(0.002):
            for name in ("best.pt", "last.pt"):  # in this order: the last one never knows more than the best one
                (folder / f".{name}").write_bytes(str(number).encode() * 4096)
                (folder / f".{name}").replace(folder / name)
            number += 1

    writer = threading.Thread(target=train)
    writer.start()
    try:
        for number in range(5):
            back_up(config, tmp_path / f"backup{number}")
    finally:
        stop.set()
        writer.join()

    for number in range(5):
        copies = [path.read_text() for path in sorted((tmp_path / f"backup{number}").glob("runs/*/checkpoint/*"))]
        best, last = (int(text[: len(text) // 4096]) for text in copies)
        assert best - last in (0, 1)


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than the temporary one."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


async def test_a_backup_on_another_disk_is_a_copy(
    tmp_path: Path, other_disk: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("kept")]):
        pass

    back_up(make_config(tmp_path), other_disk / "backup")
    restore(elsewhere(tmp_path), other_disk / "backup")

    assert (elsewhere(tmp_path).models / "flowers/1/manifest.json").exists()


def make_backup(folder: Path) -> Path:
    """Back up a data directory that has nothing but a catalog and a job's log."""
    config = make_config(folder)
    config.data_dir.mkdir(parents=True)
    Catalog(config.catalog).close()
    back_up(config, folder / "backup")
    return folder / "backup"


def test_backups_go_into_new_folders_outside_the_data_directory(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    with pytest.raises(BackupRefused, match="no catalog"):
        back_up(config, tmp_path / "backup")
    backup = make_backup(tmp_path)

    for target, message in ((backup, "not empty"), (config.data_dir / "backup", "in the data directory")):
        with pytest.raises(BackupRefused, match=message):
            back_up(config, target)
    with pytest.raises(BackupRefused, match="MiB of disk are free"):
        back_up(make_config(tmp_path, min_free_bytes=1 << 60), tmp_path / "other")

    assert sorted(one.name for one in tmp_path.iterdir()) == ["backup", "data"]


def test_a_changed_backup_is_refused_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    backup, config = make_backup(tmp_path), elsewhere(tmp_path)
    listing = json.loads((backup / "backup.json").read_text())

    def refuse(message: str, **changes: object) -> None:
        (backup / "backup.json").write_text(json.dumps({**listing, **changes}))
        with pytest.raises(BackupRefused, match=message):
            restore(config, backup)
        assert not config.data_dir.exists() or [one.name for one in config.data_dir.iterdir()] == ["service.lock"]

    refuse("newer service", schema_version=2)
    refuse("use a newer service", catalog_schema=999)
    refuse("not in it", files={**listing["files"], "../x": {"size_bytes": 1, "sha256": ""}})
    refuse("which no backup has", files={**listing["files"], "service.lock": {"size_bytes": 1, "sha256": ""}})
    refuse("no whole backup", files={})
    refuse("is no backup", files=7)
    refuse("lacks models/a/1/b", files={**listing["files"], "models/a/1/b": {"size_bytes": 1, "sha256": ""}})
    with (backup / "catalog.sqlite").open("ab") as catalog:
        catalog.write(b"x")
    refuse("has changed since the backup")
    with pytest.raises(BackupRefused, match="is no backup"):
        restore(config, tmp_path)


async def test_a_restore_needs_an_empty_data_directory_of_no_service(tmp_path: Path) -> None:
    backup, config = make_backup(tmp_path), elsewhere(tmp_path)
    async with running(config):
        with pytest.raises(BackupRefused, match="another service works"):
            restore(config, backup)
    with pytest.raises(BackupRefused, match="is not empty"):
        restore(config, backup)


async def test_a_restore_that_was_cut_off_keeps_services_away_and_begins_anew(tmp_path: Path) -> None:
    backup, config = make_backup(tmp_path), elsewhere(tmp_path)
    (config.data_dir / "restoring").mkdir(parents=True)
    (config.data_dir / "models/half").mkdir(parents=True)

    with pytest.raises(StartupRefused, match="was cut off"):
        Service(config)
    restore(config, backup)

    assert not (config.data_dir / "models").exists()
    async with running(config):
        pass


async def test_the_command_tells_what_is_not_in_a_backup(
    tmp_path: Path, make_package: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    async with published(tmp_path, [make_package("kept")]):
        pass
    environment = {"CULTIVAR_DATA_DIR": str(tmp_path / "data")}
    administration.run(["backup", str(tmp_path / "backup")], environment)
    administration.run(["restore", str(tmp_path / "backup"), "--data-dir", str(tmp_path / "new")], {})
    (tmp_path / "data/models/flowers/1/model.onnx").write_bytes(b"")

    with pytest.raises(BackupRefused, match=r"models/flowers/1: model\.onnx has changed"):
        administration.run(["backup", str(tmp_path / "second")], environment)

    told = capsys.readouterr().out
    assert told.count("CULTIVAR_TOKENS_FILE") == 3
    assert (tmp_path / "second/backup.json").exists()
