"""Copying a trainer's events into a job's log."""

from pathlib import Path

from cultivar.v1 import event_pb2, state_pb2, training_pb2, training_spec_pb2
from cultivar_contract.run_directory import EventWriter, RunDirectory
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


async def test_a_job_s_best_epoch_is_that_of_all_candidates_and_each_is_kept(tmp_path: Path) -> None:
    catalog, directory = Catalog(tmp_path / "catalog.sqlite"), RunDirectory(tmp_path)
    recipe = training_spec_pb2.TrainingSpec(selection_metric=training_spec_pb2.SELECTION_METRIC_LOSS)
    job = training_pb2.TrainingJob(name="trainingJobs/a", state=state_pb2.TRAINING_JOB_STATE_QUEUED, recipe=recipe)
    await catalog.write(lambda connection: jobs.insert(connection, job, request_id="", request_digest=""))
    told = []
    for candidate, epoch, loss in ((1, 1, 0.5), (2, 1, 0.7), (1, 2, 0.4), (2, 2, 0.6), (3, 1, 0.4), (3, 2, 0.3)):
        finished = event_pb2.EpochFinished(candidate=candidate, epoch=epoch, val_loss=loss, best=True)
        told.append(event_pb2.JobEvent(epoch_finished=finished))
    for candidate in (1, 2, 2):
        finished = event_pb2.CandidateFinished(candidate=candidate, candidates=2)
        told.append(event_pb2.JobEvent(candidate_finished=finished))
    bests = []
    with EventWriter(directory.events(1)) as events:
        follower = Follower(catalog, directory, "a", 1)
        for event in told:
            events.write(event)
            seen = await follower.copy()
            assert seen is not None
            bests.append((seen.best_epoch.candidate, seen.best_epoch.epoch))
    catalog.close()

    assert bests[:6] == [(1, 1), (1, 1), (1, 2), (1, 2), (1, 2), (3, 2)]
    assert [one.candidate for one in seen.candidates] == [1, 2]
    assert (seen.latest_epoch.candidate, seen.latest_epoch.epoch) == (3, 2)
