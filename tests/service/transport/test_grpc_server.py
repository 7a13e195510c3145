"""The wire: health, reflection, errors nobody foresaw, draining."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from published_models import publish, published
from running_service import Refusal, classifying, drain, make_config, refused, running
from tiny_package import RED, encoded

from cultivar.v1 import dataset_pb2, model_pb2, training_pb2
from cultivar_service.catalog.database import Catalog
from cultivar_service.transport import health

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def test_health_is_told_of_the_whole_each_service_and_each_model(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        stub = health_pb2_grpc.HealthStub(client.channel)

        async def status(name: str) -> int:
            return (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status

        assert await status("") == SERVING
        assert await status("cultivar.v1.PredictionService") == SERVING
        assert await status("inference.GRPCInferenceService") == SERVING
        assert (await refused(status("model/flowers"))).code == "NOT_FOUND"
        await publish(service, make_package("one"))
        assert await status("model/flowers") == SERVING


async def test_reflection_names_every_service(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
        requests = [reflection_pb2.ServerReflectionRequest(list_services="")]
        (answer,) = await drain(stub.ServerReflectionInfo(iter(requests)))

        names = {one.name for one in answer.list_services_response.service}
        assert {
            f"cultivar.v1.{one}Service" for one in ("Dataset", "Training", "Model", "Artifact", "Prediction")
        } < names
        assert {"grpc.health.v1.Health", "inference.GRPCInferenceService"} < names


async def test_watchers_of_health_who_do_not_read_hold_up_nothing(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one"), make_package("two")]) as (service, client):
        narrow = [("grpc.http2.lookahead_bytes", 5), ("grpc.http2.bdp_probe", 0)]
        async with grpc.aio.insecure_channel(str(service.grpc_address), options=narrow) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name)) for name in ("", "model/flowers")]
            for watch in watches:
                assert (await watch.read()).status == SERVING

            async with asyncio.timeout(20):
                for version in (2, 1, 2, 1):
                    await service._grpc.set_model_health("flowers", False)
                    await asyncio.sleep(0.05)  # written, as far as it goes
                    request = model_pb2.PromoteModelVersionRequest(name=f"flowers/versions/{version}")
                    await client.models.PromoteModelVersion(request)
                    await asyncio.sleep(0.05)
                await service.drain()


async def test_strangers_who_watch_health_leave_room_for_requests(
    tmp_path: Path, make_package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MAX_WATCHERS", 2)
    async with published(tmp_path, [make_package("one")]) as (_, client):
        stub = health_pb2_grpc.HealthStub(client.channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        for watch in watches:
            await watch.read()
        too_many = stub.Watch(health_pb2.HealthCheckRequest())

        assert await too_many.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        watches[0].cancel()
        await asyncio.sleep(0.1)
        assert (await stub.Watch(health_pb2.HealthCheckRequest()).read()).status == SERVING


async def test_health_and_reflection_refuse_what_is_no_request_and_log_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        check = client.channel.unary_unary("/grpc.health.v1.Health/Check")
        watch = client.channel.unary_stream("/grpc.health.v1.Health/Watch")
        reflect = client.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        caplog.clear()

        assert (await refused(check(b"\xff\xff\xff"))).code == "INVALID_ARGUMENT"
        assert (await refused(drain(watch(b"\xff\xff\xff")))).code == "INVALID_ARGUMENT"
        assert (await refused(drain(reflect(iter([b"\xff\xff\xff"]))))).code == "INVALID_ARGUMENT"
        listing = client.channel.unary_unary("/grpc.health.v1.Health/List")
        assert (await refused(listing(b""))).code == "UNIMPLEMENTED"
        assert not caplog.records


async def test_bytes_that_are_no_request_are_refused(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        call = client.channel.unary_unary("/cultivar.v1.PredictionService/Predict")

        assert (await refused(call(b"\xff\xff\xff"))).code == "INVALID_ARGUMENT"
        unknown = client.channel.unary_unary("/cultivar.v1.PredictionService/Nothing")
        assert (await refused(unknown(b""))).code == "UNIMPLEMENTED"


async def test_an_error_nobody_foresaw_tells_its_number_and_nothing_from_inside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        with monkeypatch.context() as broken:

            async def fail(*_: object) -> None:
                raise RuntimeError(f"secret {tmp_path}")

            broken.setattr(Catalog, "read", fail)
            refusal = await refused(client.datasets.ListDatasets(dataset_pb2.ListDatasetsRequest()))

        assert (refusal.code, refusal.reason) == ("INTERNAL", "INTERNAL")
        assert "secret" not in refusal.message
        number = refusal.message.rpartition(" ")[2]
        assert f"request {number}" in caplog.text
        assert "secret" in caplog.text
        assert (await client.datasets.ListDatasets(dataset_pb2.ListDatasetsRequest())).next_page_token == ""


async def test_draining_finishes_predictions_ends_watches_and_refuses_new_work(
    tmp_path: Path, make_package: Callable[..., Path], package: Path
) -> None:
    async with published(
        tmp_path, [make_package("one")], behaviour="stubborn", package=package, cancel_grace_s=0.1
    ) as (service, client):
        await client.import_flowers()
        job = await client.create_job()
        await client.first_epoch(job.name)
        watch = asyncio.create_task(client.events(job.name))
        prediction = asyncio.create_task(client.predict(*[encoded((1, 2, 3), size=1500)] * 32))
        await classifying(service)

        closing = asyncio.create_task(service.drain())
        ended = await refused(watch)
        refusal = await refused(client.predict(RED))
        answer = await prediction
        await closing
        (tmp_path / "data/runs" / job.name.split("/")[1] / "go").touch()

        assert (ended.code, ended.reason) == ("UNAVAILABLE", "DRAINING")
        assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "DRAINING")
        assert refusal.retry_s is not None
        assert len(answer.results) == 32


async def test_requests_on_their_way_when_the_service_ends_are_answered(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    image = encoded((1, 2, 3), size=400)
    async with published(tmp_path, [make_package("one")], drain_settle_s=0.2) as (service, client):
        await client.predict(image)  # the channel is there
        sent = [asyncio.create_task(client.predict(image)) for _ in range(32)]
        await asyncio.sleep(0)  # none has reached a handler

        await service.drain()

        assert [len(answer.results) for answer in await asyncio.gather(*sent)] == [1] * 32


async def test_a_watch_that_a_client_leaves_changes_nothing(tmp_path: Path, package: Path) -> None:
    async with running(make_config(tmp_path, behaviour="stubborn", package=package)) as (service, client):
        await client.import_flowers()
        job = await client.create_job()
        request = training_pb2.WatchTrainingJobRequest(name=job.name)
        watch = client.training.WatchTrainingJob(request)
        first = await anext(aiter(watch))
        watch.cancel()
        await client.first_epoch(job.name)
        (tmp_path / "data/runs" / job.name.split("/")[1] / "go").touch()

        events = await client.events(job.name, after=first.number)

        assert [event.number for event in events] == list(range(2, len(events) + 2))
        counted = service.metrics.registry.get_sample_value(
            "cultivar_grpc_requests_total", {"method": "WatchTrainingJob", "code": "CANCELLED"}
        )
        assert counted == 1


async def test_a_deadline_that_passes_is_counted_as_such(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated", package="-")) as (service, client):
        await client.import_flowers()
        job = await client.create_job()
        request = training_pb2.WatchTrainingJobRequest(name=job.name)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await drain(client.training.WatchTrainingJob(request, timeout=0.3))
        await asyncio.sleep(0.05)
        await client.training.CancelTrainingJob(training_pb2.CancelTrainingJobRequest(name=job.name))
        await client.events(job.name)

        assert Refusal(caught.value).code == "DEADLINE_EXCEEDED"
        labels = {"method": "WatchTrainingJob", "code": "DEADLINE_EXCEEDED"}
        assert service.metrics.registry.get_sample_value("cultivar_grpc_requests_total", labels) == 1
