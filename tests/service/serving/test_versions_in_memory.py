"""Which versions are in memory, how often they are loaded, and that they leave it."""

import asyncio
import errno
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from published_models import ALWAYS, NEVER, publish, published
from running_service import Client, classifying, eventually, make_config, refused, running
from tiny_package import RED, encoded

from cultivar.v1 import model_pb2
from cultivar_contract import files
from cultivar_contract.package import DamagedPackage
from cultivar_service.catalog import models
from cultivar_service.server import Service
from cultivar_service.serving import engine
from cultivar_service.serving.engine import MAX_BATCH, LoadedVersion

CPU = {"provider": "CPUExecutionProvider"}


def loaded_versions(service: Service) -> float | None:
    return service.metrics.registry.get_sample_value("cultivar_loaded_versions", CPU)


def num_loads(service: Service) -> float | None:
    return service.metrics.registry.get_sample_value("cultivar_version_load_seconds_count")


async def delete_version(client: Client, number: int) -> None:
    request = model_pb2.DeleteModelVersionRequest(name=f"flowers/versions/{number}")
    await client.models.DeleteModelVersion(request)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only references that are let go free memory, not the collector of cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_a_version_that_many_ask_for_at_once_is_loaded_once(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one"), make_package("two")], max_extra_versions=0) as (service, _):
        before = num_loads(service)
        loads = [service._registry.get("flowers", 2) for _ in range(8)]
        leaving = asyncio.create_task(service._registry.get("flowers", 2))
        await asyncio.sleep(0)
        leaving.cancel()
        versions = await asyncio.gather(*loads)

        assert len(set(versions)) == 1
        assert num_loads(service) == (before or 0) + 1


@pytest.mark.usefixtures("no_collector")
async def test_versions_that_nobody_holds_leave_memory_also_those_that_could_not_be_loaded(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path, max_extra_versions=0)) as (service, client):
        for number in range(1, 7):
            damage = {"golden_error": 1.0} if number % 3 == 0 else {}
            await publish(service, make_package(str(number), **damage), policy=ALWAYS)
            await client.predict(RED)
        await publish(service, make_package("7"), policy=NEVER)
        await client.predict(RED, model="flowers/versions/1")

        async def two() -> bool | None:
            return loaded_versions(service) == 2 or None

        await eventually(two)  # live, and what a rollback goes back to
        sessions = [one for one in gc.get_objects() if type(one).__name__ == "InferenceSession"]
        assert len(sessions) == 2


async def test_a_request_finishes_on_a_version_that_is_deleted_meanwhile(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one"), make_package("two")]) as (service, client):
        images = [encoded((220, 10, 20), size=1500)] * 32
        request = asyncio.create_task(client.predict(*images, model="flowers/versions/2"))
        await classifying(service)
        await delete_version(client, 2)
        gone = await refused(client.predict(RED, model="flowers/versions/2"))
        answer = await request

        assert gone.code == "NOT_FOUND"
        assert answer.model_version == "models/flowers/versions/2"
        assert len(answer.results) == 32


async def test_a_version_that_is_deleted_while_it_is_loaded_is_not_kept(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one"), make_package("two")]) as (service, client):
        request = asyncio.create_task(client.predict(RED, model="flowers/versions/2"))
        await asyncio.sleep(0.002)
        await delete_version(client, 2)
        await asyncio.gather(request, return_exceptions=True)

        assert service._registry.held("flowers", 2) is None
        assert (await refused(client.predict(RED, model="flowers/versions/2"))).code == "NOT_FOUND"
        labels = {"model": "flowers", "reason": "files"}
        assert service.metrics.registry.get_sample_value("cultivar_rejected_versions_total", labels) is None


async def test_a_version_whose_record_is_gone_is_not_loaded_for_a_request_that_saw_it(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one"), make_package("two")]) as (service, _):
        await service._catalog.write(lambda connection: models.delete_version(connection, "flowers", 2))

        with pytest.raises(DamagedPackage, match="deleted while it was being loaded"):
            await service._registry.load("flowers", 2)
        assert service._registry.held("flowers", 2) is None


async def test_larger_batches_are_warmed_after_the_swap(
    tmp_path: Path, make_package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, run = [], LoadedVersion.run

    def noted(loaded: LoadedVersion, pixels: object) -> object:
        batches.append(len(pixels))
        return run(loaded, pixels)

    monkeypatch.setattr(engine.LoadedVersion, "run", noted)
    async with published(tmp_path, [make_package("one")]):

        async def all_warm() -> bool | None:
            return {2, 4, MAX_BATCH} <= set(batches) or None

        await eventually(all_warm)
        assert batches[0] == 1


async def test_health_follows_a_model_from_rejection_to_deletion(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        stub = health_pb2_grpc.HealthStub(client.channel)

        async def health() -> str:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service="model/flowers"))
            return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

        assert (await refused(stub.Check(health_pb2.HealthCheckRequest(service="model/flowers")))).code == "NOT_FOUND"
        await publish(service, make_package("bad", golden_error=1.0))
        assert await health() == "NOT_SERVING"
        await publish(service, make_package("waiting"), policy=NEVER)
        assert await health() == "NOT_SERVING"
        await publish(service, make_package("one"))
        assert await health() == "SERVING"
        await publish(service, make_package("worse", golden_error=1.0))
        await publish(service, make_package("two"), policy=ALWAYS)
        assert await health() == "SERVING"
        await client.models.DeleteModel(model_pb2.DeleteModelRequest(name="flowers"))
        assert await health() == "SERVICE_UNKNOWN"


async def test_a_model_without_a_usable_version_is_not_serving_after_a_restart(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (service, _):
        await publish(service, make_package("never"), model="trees", policy=NEVER)
    (tmp_path / "data/models/flowers/1/model.onnx").write_bytes(b"damaged")
    async with running(make_config(tmp_path)) as (_, client):
        stub = health_pb2_grpc.HealthStub(client.channel)
        for model in ("flowers", "trees"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=f"model/{model}"))
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_version_that_can_not_be_read_for_want_of_files_is_not_rejected(
    tmp_path: Path, make_package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    async with published(tmp_path, [make_package("one"), make_package("two")]) as (_, client):
        with monkeypatch.context() as full:
            full.setattr(files, "sha256_file", refuse)
            refusal = await refused(client.predict(RED, model="flowers/versions/2"))
        answer = await client.predict(RED, model="flowers/versions/2")

    assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "VERSION_UNREADABLE")
    assert answer.model_version == "models/flowers/versions/2"
    with monkeypatch.context() as full:
        full.setattr(files, "sha256_file", refuse)
        async with running(make_config(tmp_path)) as (_, client):
            full.undo()
            assert (await client.predict(RED)).model_version == "models/flowers/versions/1"
