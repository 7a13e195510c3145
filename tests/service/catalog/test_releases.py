"""What earlier releases wrote is read by this one: tests/fixtures holds it, as write_fixtures.py there made it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from running_service import FAILED, SUCCEEDED, drain, make_config, running, states
from tiny_package import RED

from cultivar.v1 import dataset_pb2, evaluation_pb2, model_pb2, training_pb2
from cultivar_contract import package
from cultivar_service.catalog import audit
from cultivar_service.catalog.database import read_only
from cultivar_service.catalog.migrations import MIGRATIONS
from cultivar_service.config import Config

FIXTURES = Path(__file__).parents[2] / "fixtures"
CATALOGS = sorted(FIXTURES.glob("catalog-*.sql"))


def lay_out(config: Config, fixture: Path) -> None:
    """Make the data directory of a service that wrote a catalog and two versions."""
    for version in (1, 2):
        shutil.copytree(FIXTURES / "package", config.models / f"flowers/{version}")
    (config.datasets / "flowers/1").mkdir(parents=True)
    with closing(sqlite3.connect(config.catalog)) as connection:
        connection.executescript(fixture.read_text())


@pytest.mark.parametrize("fixture", CATALOGS, ids=[one.stem for one in CATALOGS])
async def test_a_release_s_data_directory_is_read_and_goes_on(tmp_path: Path, package: Path, fixture: Path) -> None:
    config = make_config(tmp_path, package=package)
    lay_out(config, fixture)

    async with running(config) as (_, client):
        jobs = (await client.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())).training_jobs
        datasets = (await client.datasets.ListDatasets(dataset_pb2.ListDatasetsRequest())).datasets
        model = await client.models.GetModel(model_pb2.GetModelRequest(name="flowers"))
        listed = await client.models.ListModelVersions(model_pb2.ListModelVersionsRequest(parent="flowers"))
        events = await client.events(jobs[-1].name)
        measured = evaluation_pb2.EvaluateModelVersionRequest(
            name="flowers", dataset="flowers", split=dataset_pb2.SPLIT_TEST
        )
        figures = (await drain(client.models.EvaluateModelVersion(measured)))[-1].evaluation
        answer = await client.predict(RED, model="flowers@canary")
        forward = model_pb2.PromoteModelVersionRequest(name="flowers/versions/2")
        moved = await client.models.PromoteModelVersion(forward)
        trained = await client.train()

    assert [job.state for job in jobs] == [FAILED, SUCCEEDED, SUCCEEDED]
    assert [one.state for one in datasets] == [dataset_pb2.DATASET_STATE_FAILED, dataset_pb2.DATASET_STATE_READY]
    assert model.live_version == "models/flowers/versions/1"
    assert [one.alias for one in model.aliases] == ["canary"]
    assert [one.reason for one in model.live_history][:2] == ["rolled back from version 2", "newer"]
    assert [one.metrics[0].accuracy for one in listed.model_versions] == [0.9, 0.9]
    assert [event.number for event in events] == list(range(1, jobs[-1].last_event + 1))
    assert states(events)[-1] == SUCCEEDED
    assert figures.stored
    assert answer.results[0].classification.classes[0].class_id == "aster"
    assert moved.live_version == "models/flowers/versions/2"
    assert (trained.state, trained.model_version) == (SUCCEEDED, "models/flowers/versions/3")
    rows = read_only(config.catalog, lambda connection: audit.page(connection, before=None, caller=None, limit=100))
    assert len(list(rows)) == 10


def test_a_release_s_package_is_sound() -> None:
    opened = package.open_package(FIXTURES / "package")

    package.verify(opened)

    assert opened.class_ids == ("aster", "lily", "rose")
    assert opened.preprocessing.size == 8
    assert len(opened.golden) == 2


def test_this_release_has_its_fixture() -> None:
    assert FIXTURES / f"catalog-{len(MIGRATIONS)}.sql" in CATALOGS
