"""Copying a trainer's events into a job's log."""

from pathlib import Path

from cultivar.v1 import state_pb2, training_pb2
from cultivar_contract.run_directory import RunDirectory
from cultivar_service.catalog import jobs
from cultivar_service.catalog.database import Catalog
from cultivar_service.training.follower import Follower


def write(directory: RunDirectory, text: str) -> None:
    with directory.events(1).open("a") as file:
        file.write(text)


async def test_every_event_is_copied_once_whoever_copies(tmp_path: Path) -> None:
    catalog, directory = Catalog(tmp_path / "catalog.sqlite"), RunDirectory(tmp_path)
    job = training_pb2.TrainingJob(name="trainingJobs/a", state=state_pb2.TRAINING_JOB_STATE_QUEUED)
    await catalog.write(lambda connection: jobs.insert(connection, job, request_id="", request_digest=""))
    directory.events(1).parent.mkdir(parents=True)

    write(directory, '{"warning": "one"}\n')
    first = Follower(catalog, directory, "a", 1)
    await first.copy()
    write(directory, '{"warning": "two"}\n')
    write(directory, '{"warning": "th')  # a line that is being written
    second = Follower(catalog, directory, "a", 1)
    await second.copy()
    await first.copy()
    write(directory, 'ree"}\n')
    await first.copy()
    await second.copy()

    log = await catalog.read(lambda connection: jobs.events_after(connection, "a", 0, 100))
    catalog.close()
    assert [event.number for event in log] == [1, 2, 3, 4]
    assert [event.warning for event in log] == ["", "one", "two", "three"]


async def test_nothing_new_changes_nothing(tmp_path: Path) -> None:
    catalog, directory = Catalog(tmp_path / "catalog.sqlite"), RunDirectory(tmp_path)

    assert await Follower(catalog, directory, "a", 1).copy() is None
    catalog.close()
