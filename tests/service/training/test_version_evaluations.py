"""Test data of model versions: at the end, deferred, never; counted whoever reads them, and reported."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from evaluation_calls import of_model, of_weights, readings, refusal_of, result
from published_models import NEVER, publish
from running_service import Client, drain, make_config, running

from cultivar.v1 import artifact_pb2, dataset_pb2, event_pb2, model_pb2
from cultivar_service.backup.writing import back_up
from cultivar_service.server import Service

MakePackage = Callable[..., Path]


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Service, Client, str]]:
    """Run a service with a data set, whose splits have the digests "1", "2" and "3"; its own digest is the third."""
    async with running(make_config(folder)) as (service, client):
        yield service, client, (await client.import_flowers()).digest


async def version(client: Client, name: str = "flowers/versions/1") -> model_pb2.ModelVersion:
    return await client.models.GetModelVersion(model_pb2.GetModelVersionRequest(name=name))


def figures_of_test(found: model_pb2.ModelVersion) -> list[event_pb2.SplitMetrics]:
    return [one for one in found.metrics if one.split == "test"]


async def test_what_a_job_read_at_its_end_is_answered_again_and_counts(
    tmp_path: Path, make_package: MakePackage
) -> None:
    async with serving(tmp_path) as (service, client, digest):
        for number, sharpness in enumerate((4.0, 5.0, 5.0)):  # the last two have the same graph
            made = make_package(f"p{number}", sharpness=sharpness, dataset_digest=digest, test_digest="3")
            await publish(service, made, policy=NEVER)
        first, third = [await result(of_model(client, name=f"flowers/versions/{one}")) for one in (1, 3)]
        published_weights = await result(of_weights(client))
        shown = await version(client)

        assert (first.stored, first.metrics.accuracy, first.models_measured) == (True, 0.9, 2)
        assert (third.stored, third.model_version, third.models_measured) == (True, "models/flowers/versions/3", 2)
        assert (published_weights.stored, published_weights.models_measured) == (False, 3)
        assert [(one.metrics.split, one.models_measured) for one in shown.evaluations] == [("val", 2), ("test", 3)]
        assert readings(tmp_path) == ["test"]  # that of the published weights: no other trainer has started


async def test_a_deferred_test_is_measured_when_asked_for_once_and_belongs_to_the_version_then(
    tmp_path: Path, make_package: MakePackage
) -> None:
    async with serving(tmp_path) as (service, client, digest):
        deferred = {
            "recipe": {"testEvaluation": "TEST_EVALUATION_DEFERRED", "selectionMetric": "SELECTION_METRIC_TOP1"}
        }
        await publish(
            service, make_package("p", dataset_digest=digest, test_digest="limited", tested=False, **deferred)
        )
        before = await version(client)
        made = await result(of_model(client))
        again = await result(of_model(client))
        after = await version(client)
        listed = await client.models.ListModelVersions(model_pb2.ListModelVersionsRequest(parent="flowers"))

        assert not figures_of_test(before)
        assert (made.stored, made.split_digest, made.models_measured) == (False, "limited", 1)
        assert (again.stored, again.metrics) == (True, made.metrics)
        assert figures_of_test(after) == figures_of_test(listed.model_versions[0]) == [made.metrics]
        assert readings(tmp_path) == ["test"]


async def test_never_seals_a_version_s_own_test_images_and_no_others(tmp_path: Path, make_package: MakePackage) -> None:
    never = {"testEvaluation": "TEST_EVALUATION_NEVER", "selectionMetric": "SELECTION_METRIC_TOP1"}
    async with serving(tmp_path) as (service, client, digest):
        await publish(service, make_package("p", dataset_digest=digest, tested=False, recipe=never))
        refusal = await refusal_of(of_model(client))

        assert (refusal.code, refusal.reason, refusal.fields) == ("FAILED_PRECONDITION", "TEST_SEALED", ["split"])
        assert "test_evaluation=deferred" in refusal.message
        assert readings(tmp_path) == []
        assert not (await result(of_model(client, split=dataset_pb2.SPLIT_TRAIN))).stored
        await client.import_flowers("others", seed=1)
        assert not (await result(of_model(client, dataset="others"))).stored


async def test_a_later_evaluation_leaves_a_report_that_lives_as_long_as_its_model(
    tmp_path: Path, make_package: MakePackage
) -> None:
    config = make_config(tmp_path)
    async with serving(tmp_path) as (service, client, _):
        await publish(service, make_package("p", tested=False), policy=NEVER)
        await result(of_model(client, name="flowers/versions/1"))
        back_up(config, tmp_path / "backup")
    async with running(config) as (service, client):
        name, path = "models/flowers/versions/1", "evaluations/flowers-1-test/report.html"
        listed = await client.artifacts.ListArtifacts(artifact_pb2.ListArtifactsRequest(parent=name))
        request = artifact_pb2.DownloadArtifactRequest(parent=name, path=path)
        chunks = await drain(client.artifacts.DownloadArtifact(request))
        (folder,) = config.evaluations.iterdir()
        for old in (*folder.iterdir(), folder):
            os.utime(old, (0, 0))
        await service.housekeeper.tidy()
        kept = folder.exists()
        await client.models.DeleteModelVersion(model_pb2.DeleteModelVersionRequest(name=name))
        await service.housekeeper.tidy()

        assert {path, path.replace("html", "json")} < {one.path for one in listed.artifacts}
        assert all(one.sha256 for one in listed.artifacts)
        assert chunks[0].data == b"<html>datasets/flowers/versions/1 test"
        assert (tmp_path / "backup/evaluations" / folder.name / "report.json").read_text() == "{}"
        assert (kept, folder.exists()) == (True, False)
