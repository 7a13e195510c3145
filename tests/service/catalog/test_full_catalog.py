"""The catalog on a full disk: SQLite's own limit on its file stands for the disk's."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from cultivar.v1 import state_pb2, training_pb2
from cultivar_contract.run_directory import RunDirectory
from cultivar_service.catalog import database, jobs
from cultivar_service.catalog.database import RESERVE_BYTES, Catalog
from cultivar_service.errors import InsufficientDisk
from cultivar_service.training.follower import Follower


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    monkeypatch.setattr(database, "FULL_DISK_PAUSE_S", 0.01)
    catalog = Catalog(tmp_path / "catalog.sqlite")
    yield catalog
    catalog.close()


async def limit_pages(catalog: Catalog, pages: int) -> None:
    """Let the file grow no further than to so many pages: 1, as it is now."""

    def limit(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await catalog.write(limit)


def fill(connection: sa.Connection) -> None:
    job = training_pb2.TrainingJob(name="trainingJobs/large", warnings=["x" * 1_000_000])
    jobs.insert(connection, job, request_id="", request_digest="")


async def test_a_write_gives_up_the_reserve_and_is_then_refused(catalog: Catalog, tmp_path: Path) -> None:
    reserve = tmp_path / "catalog.reserve"
    assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES
    await limit_pages(catalog, 1)

    with pytest.raises(InsufficientDisk):
        await catalog.write(fill)

    assert not reserve.exists()
    assert await catalog.read(jobs.counts) == {}
    assert catalog.restore_reserve()
    assert reserve.exists()


async def test_what_has_happened_is_recorded_when_there_is_room_again(catalog: Catalog) -> None:
    await limit_pages(catalog, 1)
    recording = asyncio.create_task(catalog.record(fill))
    await asyncio.sleep(0.05)
    assert not recording.done()

    await limit_pages(catalog, 1_000_000)
    await recording

    assert sum((await catalog.read(jobs.counts)).values()) == 1


async def test_events_are_neither_lost_nor_doubled_by_a_full_disk(catalog: Catalog, tmp_path: Path) -> None:
    job = training_pb2.TrainingJob(name="trainingJobs/a", state=state_pb2.TRAINING_JOB_STATE_QUEUED)
    await catalog.write(lambda connection: jobs.insert(connection, job, request_id="", request_digest=""))
    path = RunDirectory(tmp_path).events(1)
    path.parent.mkdir(parents=True)
    texts = [f"{number} {'x' * 10_000}" for number in range(50)]
    path.write_text("".join(f'{{"warning": "{text}"}}\n' for text in texts))
    follower = Follower(catalog, RunDirectory(tmp_path), "a", 1)

    await limit_pages(catalog, 1)
    with pytest.raises(InsufficientDisk):
        await follower.copy()
    await limit_pages(catalog, 1_000_000)
    assert await follower.copy() is not None
    assert await follower.copy() is None

    log = await catalog.read(lambda connection: jobs.events_after(connection, "a", 1, 100))
    assert [event.warning for event in log] == texts
