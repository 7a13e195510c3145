"""Pages of lists, and the tokens between them."""

from collections.abc import Callable
from pathlib import Path

from published_models import publish
from running_service import make_config, refused, running

from cultivar.v1 import dataset_pb2, model_pb2, state_pb2, training_pb2


async def test_pages_cover_a_list_once_newest_first(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="fail")) as (_, client):
        await client.import_flowers()
        jobs = [await client.create_job() for _ in range(5)]
        request = training_pb2.ListTrainingJobsRequest(page_size=2)
        pages = []
        while True:
            answer = await client.training.ListTrainingJobs(request)
            pages.append([one.name for one in answer.training_jobs])
            request.page_token = answer.next_page_token
            if not request.page_token:
                break

        assert [len(page) for page in pages] == [2, 2, 1]
        assert [name for page in pages for name in page] == [job.name for job in reversed(jobs)]


async def test_a_token_fits_only_its_own_list_and_filter(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="fail")) as (_, client):
        await client.import_flowers()
        for _ in range(2):
            await client.train()
        list_jobs = client.training.ListTrainingJobs
        failed = [state_pb2.TRAINING_JOB_STATE_FAILED]
        token = (await list_jobs(training_pb2.ListTrainingJobsRequest(page_size=1))).next_page_token

        for request in (
            training_pb2.ListTrainingJobsRequest(page_token=token, states=failed),
            training_pb2.ListTrainingJobsRequest(page_token="nonsense"),
            training_pb2.ListTrainingJobsRequest(page_token=token + "x"),
        ):
            refusal = await refused(list_jobs(request))
            assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ["page_token"])
        other = await refused(client.datasets.ListDatasets(dataset_pb2.ListDatasetsRequest(page_token=token)))
        assert other.fields == ["page_token"]
        listed = await list_jobs(training_pb2.ListTrainingJobsRequest(states=failed, page_size=5000))
        assert len(listed.training_jobs) == 2


async def test_a_negative_page_size_is_refused(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        refusal = await refused(client.models.ListModels(model_pb2.ListModelsRequest(page_size=-1)))

        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ["page_size"])


async def test_models_and_versions_are_listed_in_their_orders(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        for model, name in (("b", "1"), ("a", "2"), ("b", "3")):
            await publish(service, make_package(name), model=model)

        first = await client.models.ListModels(model_pb2.ListModelsRequest(page_size=1))
        second = await client.models.ListModels(
            model_pb2.ListModelsRequest(page_size=1, page_token=first.next_page_token)
        )
        versions = await client.models.ListModelVersions(model_pb2.ListModelVersionsRequest(parent="b"))
        missing = await refused(client.models.ListModelVersions(model_pb2.ListModelVersionsRequest(parent="c")))

        assert [first.models[0].name, second.models[0].name] == ["models/a", "models/b"]
        assert second.next_page_token == ""
        assert [one.name for one in versions.model_versions] == ["models/b/versions/2", "models/b/versions/1"]
        assert [one.live for one in versions.model_versions] == [False, True]
        assert (missing.code, missing.fields) == ("NOT_FOUND", ["parent"])
