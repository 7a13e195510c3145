"""What becomes of data set imports."""

import asyncio
from pathlib import Path

from running_service import eventually, make_config, refused, running

from cultivar.v1 import dataset_pb2
from cultivar_contract.run_directory import RunDirectory
from cultivar_service.trainers.executor import Executor

READY, FAILED = dataset_pb2.DATASET_STATE_READY, dataset_pb2.DATASET_STATE_FAILED


def get(name: str) -> dataset_pb2.GetDatasetRequest:
    return dataset_pb2.GetDatasetRequest(name=name)


def create(name: str, request_id: str = "", **source: object) -> dataset_pb2.CreateDatasetRequest:
    return dataset_pb2.CreateDatasetRequest(
        dataset_id=name, source=dataset_pb2.DatasetSource(**source), request_id=request_id
    )


async def test_other_content_makes_a_new_version_and_equal_content_gives_the_existing_one(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        first = await client.import_flowers()
        second = await client.import_flowers(seed=1)
        again = await client.import_flowers()
        other = await client.import_flowers("tulips")

        listed = await client.datasets.ListDatasets(dataset_pb2.ListDatasetsRequest())
        names = ["datasets/flowers/versions/1", "datasets/flowers/versions/2", "datasets/tulips/versions/1"]
        assert [first.name, second.name, other.name] == names
        assert again == first
        assert first.state == READY
        assert [one.name for one in listed.datasets] == names[::-1]
        assert (await client.datasets.GetDataset(get("flowers"))).name == second.name
        assert (await client.datasets.GetDataset(get("flowers/versions/1"))).name == first.name
        assert (tmp_path / "data/datasets/flowers/1/content.json").exists()
        assert not list((tmp_path / "data/imports").iterdir())


async def test_a_failed_import_says_why_takes_no_number_and_can_be_deleted(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        begun = await client.datasets.CreateDataset(create("flowers", builtin="cifar10"))
        failed = await client.imported(begun.name)
        ready = await client.import_flowers()
        await client.datasets.DeleteDataset(dataset_pb2.DeleteDatasetRequest(name=begun.name))

        assert failed.state == FAILED
        assert (failed.error.reason, failed.error.message) == ("EMPTY_SPLIT", "val is empty")
        assert ready.name == "datasets/flowers/versions/1"
        assert (await refused(client.datasets.GetDataset(get(begun.name)))).code == "NOT_FOUND"


async def test_an_import_that_became_a_version_is_deleted_only_by_the_version_s_name(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        ready = await client.import_flowers()
        again = await client.datasets.CreateDataset(create("flowers", builtin="procedural-flowers"))
        await client.imported(again.name)

        refusal = await refused(client.datasets.DeleteDataset(dataset_pb2.DeleteDatasetRequest(name=again.name)))

        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "IMPORT_READY")
        assert ready.name in refusal.message


async def test_a_version_in_use_is_not_deleted_and_its_number_not_given_again(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="stubborn", package=package)) as (_, client):
        first = await client.import_flowers()
        delete = dataset_pb2.DeleteDatasetRequest(name=first.name)
        job = await client.create_job()
        await client.first_epoch(job.name)

        refusal = await refused(client.datasets.DeleteDataset(delete))
        (tmp_path / "data/runs" / job.name.split("/")[1] / "go").touch()
        await client.events(job.name)
        await client.datasets.DeleteDataset(delete)
        second = await client.import_flowers()

        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "DATASET_IN_USE")
        assert job.name in refusal.message
        assert not (tmp_path / "data/datasets/flowers/1").exists()
        assert second.name == "datasets/flowers/versions/2"


async def test_a_repeated_request_id_answers_with_the_first_import(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        first = await client.datasets.CreateDataset(create("flowers", "a", builtin="procedural-flowers"))
        ready = await client.imported(first.name)
        again = await client.datasets.CreateDataset(create("flowers", "a", builtin="procedural-flowers"))
        refusal = await refused(client.datasets.CreateDataset(create("flowers", "a", builtin="cifar10")))

        assert again == ready
        assert (refusal.code, refusal.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


async def test_an_import_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="slow-lock")) as (_, client):
        begun = await client.datasets.CreateDataset(create("flowers", builtin="procedural-flowers"))

    async with running(make_config(tmp_path)) as (_, client):
        assert (await client.imported(begun.name)).name == "datasets/flowers/versions/1"


async def test_an_import_whose_trainer_was_killed_begins_anew(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="lost-once")) as (_, client):
        assert (await client.import_flowers()).state == READY


async def test_an_import_whose_host_restarted_begins_anew(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="slow-lock")) as (_, client):
        begun = await client.datasets.CreateDataset(create("flowers", builtin="procedural-flowers"))
        directory = RunDirectory(tmp_path / "data" / "imports" / begun.name.split("/")[-1])
        await eventually(lambda: there(directory.log(1)))
    await Executor(("-",), grace_s=1).attach(directory, 1).kill()

    async with running(make_config(tmp_path)) as (_, client):
        assert (await client.imported(begun.name)).name == "datasets/flowers/versions/1"


async def there(path: Path) -> bool | None:
    return await asyncio.to_thread(path.exists) or None


async def test_an_import_that_loses_every_trainer_fails_in_the_end(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="lost-always")) as (_, client):
        begun = await client.datasets.CreateDataset(create("flowers", builtin="procedural-flowers"))
        failed = await client.imported(begun.name)

        assert (failed.state, failed.error.reason) == (FAILED, "TRAINER_LOST")
        assert "killed by signal 9), as did 3 before it" in failed.error.message


async def test_a_folder_that_became_a_link_while_its_import_waited_is_not_imported(tmp_path: Path) -> None:
    for name in ("sound/aster", "sound/rose"):
        (tmp_path / "sources" / name).mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    async with running(make_config(tmp_path, behaviour="slow-lock")) as (_, client):
        await client.datasets.CreateDataset(create("first", builtin="procedural-flowers"))
        waiting = await client.datasets.CreateDataset(create("second", folder="sound"))
        (tmp_path / "sources/sound").rename(tmp_path / "moved")
        (tmp_path / "sources/sound").symlink_to(tmp_path / "outside")

        failed = await client.imported(waiting.name)

        assert failed.state == FAILED
        assert "outside the folder" in failed.error.message
        assert str(tmp_path) not in failed.error.message
