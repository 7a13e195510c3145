"""Requests that can't be: each is refused with the right code, at the right field, and the service goes on."""

from pathlib import Path

import pytest
from running_service import make_config, make_spec, refused, running
from tiny_package import RED

from cultivar.v1 import dataset_pb2, training_pb2, training_spec_pb2

SCRATCH = training_spec_pb2.FINE_TUNING_MODE_SCRATCH


async def test_specs_are_refused_at_their_fields(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()

        async def refusal(**fields: object) -> tuple[str, list[str]]:
            found = await refused(client.create_job(**fields))
            assert found.size < 2048
            return found.code, found.fields

        assert await refusal(architecture="resnet19") == ("INVALID_ARGUMENT", ["spec.architecture"])
        assert await refusal(mode=77) == ("INVALID_ARGUMENT", ["spec.mode"])
        assert await refusal(epochs=-1) == ("INVALID_ARGUMENT", ["spec.epochs"])
        small = training_spec_pb2.InputSpec(size=8)
        assert await refusal(architecture="resnet18", input=small) == ("INVALID_ARGUMENT", ["spec.input.size"])
        assert await refusal(dataset="") == ("INVALID_ARGUMENT", ["spec.dataset"])
        assert await refusal(dataset="tulips") == ("NOT_FOUND", ["spec.dataset"])
        assert await refusal(dataset="flowers/versions/9") == ("NOT_FOUND", ["spec.dataset"])
        both = ("INVALID_ARGUMENT", ["spec.epochs", "spec.test_evaluation"])
        assert await refusal(epochs=-1, test_evaluation=9) == both
        head = training_spec_pb2.FINE_TUNING_MODE_HEAD
        assert await refusal(mode=head, weights="../w.pth") == ("INVALID_ARGUMENT", ["spec.weights"])
        assert not (await client.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())).training_jobs


async def test_a_spec_of_nothing_but_errors_has_small_details(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
        wild = training_spec_pb2.DataSpec(classes=["x" * 3000] * 50, max_train_images=-1, max_val_images=-1)
        found = await refused(client.create_job(epochs=-1, batch_size=-1, architecture="y" * 90_000, data=wild))

        assert found.code == "INVALID_ARGUMENT"
        assert "spec.epochs" in found.fields
        assert found.size + len(found.message) < 4096


async def test_validate_only_answers_with_the_recipe_and_queues_nothing(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
        request = training_pb2.CreateTrainingJobRequest(spec=make_spec(), validate_only=True)

        answer = await client.training.CreateTrainingJob(request)

        assert answer.name == ""
        assert (answer.recipe.batch_size, answer.recipe.model) == (64, "flowers")
        assert answer.recipe.dataset == "datasets/flowers/versions/1"
        assert not (await client.training.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())).training_jobs


async def test_a_weights_file_is_known_by_its_bare_name(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
        (tmp_path / "weights/mine.pth").write_bytes(b"w")
        head = training_spec_pb2.FINE_TUNING_MODE_HEAD
        request = training_pb2.CreateTrainingJobRequest(
            spec=make_spec(mode=head, weights="mine.pth"), validate_only=True
        )

        assert (await client.training.CreateTrainingJob(request)).recipe.weights == "mine.pth"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A data sets root with a sound folder, one with one class, and a way out."""
    root = tmp_path / "sources"
    for folder in ("sound/aster", "sound/rose", "single/aster", "splits/train/a", "splits/train/b", "splits/val/c"):
        (root / folder).mkdir(parents=True)
        (root / folder / "1.png").write_bytes(RED)
    outside = tmp_path / "outside/aster"
    outside.mkdir(parents=True)
    (tmp_path / "outside/rose").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "names.json").write_text('{"aster": "China aster"}')
    (root / "list.json").write_text("[1]")
    return root


@pytest.mark.usefixtures("sources")
async def test_sources_are_refused_at_their_fields(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):

        async def refusal(dataset_id: str = "flowers", **source: object) -> tuple[str, list[str]]:
            request = dataset_pb2.CreateDatasetRequest(
                dataset_id=dataset_id, source=dataset_pb2.DatasetSource(**source)
            )
            found = await refused(client.datasets.CreateDataset(request))
            assert str(tmp_path) not in found.message
            return found.code, found.fields

        folder = ("INVALID_ARGUMENT", ["source.folder"])
        assert await refusal(folder="link") == folder
        assert await refusal(folder="link/aster") == folder
        assert await refusal(folder="../outside") == folder
        assert await refusal(folder="/etc") == folder
        assert await refusal(folder="a\0b") == folder
        assert await refusal(folder="single") == folder
        assert await refusal(folder="splits") == folder
        assert await refusal(folder="missing") == folder
        assert await refusal(folder="") == folder
        names = ("INVALID_ARGUMENT", ["source.class_names"])
        assert await refusal(folder="sound", class_names="list.json") == names
        assert await refusal(folder="sound", class_names="none.json") == names
        assert await refusal(folder="sound", class_names="../outside") == names
        assert await refusal(builtin="cifar10", class_names="names.json") == names
        assert await refusal(builtin="emnist") == ("INVALID_ARGUMENT", ["source.builtin"])
        assert await refusal() == ("INVALID_ARGUMENT", ["source"])
        assert await refusal("Flowers!", builtin="cifar10") == ("INVALID_ARGUMENT", ["dataset_id"])
        assert await refusal("", builtin="cifar10") == ("INVALID_ARGUMENT", ["dataset_id"])
        assert not (await client.datasets.ListDatasets(dataset_pb2.ListDatasetsRequest())).datasets


@pytest.mark.usefixtures("sources")
async def test_a_sound_folder_with_names_is_imported(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        source = dataset_pb2.DatasetSource(folder="sound", class_names="names.json")
        begun = await client.datasets.CreateDataset(
            dataset_pb2.CreateDatasetRequest(dataset_id="flowers", source=source)
        )

        assert begun.state == dataset_pb2.DATASET_STATE_IMPORTING
        assert (await client.imported(begun.name)).source == source


async def test_what_does_not_exist_is_not_found_by_name(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        job = await refused(client.job("trainingJobs/none"))
        dataset = await refused(client.datasets.GetDataset(dataset_pb2.GetDatasetRequest(name="none")))
        odd = await refused(client.job("../../etc/passwd"))

        assert (job.code, job.resource, job.fields) == ("NOT_FOUND", "trainingJobs/none", ["name"])
        assert (dataset.code, dataset.resource) == ("NOT_FOUND", "none")
        assert odd.code == "NOT_FOUND"


async def test_a_data_set_that_is_not_ready_says_so(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        source = dataset_pb2.DatasetSource(builtin="cifar10")
        begun = await client.datasets.CreateDataset(
            dataset_pb2.CreateDatasetRequest(dataset_id="flowers", source=source)
        )
        await client.imported(begun.name)

        refusal = await refused(client.create_job())

        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "DATASET_NOT_READY")
