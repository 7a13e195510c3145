"""Limits: what one client can take of connections, requests, messages and images."""

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from published_models import published
from running_service import CANCELLED, Client, code_of, eventually, make_config, refused, running, states
from tiny_package import RED

from cultivar.v1 import model_pb2, training_pb2
from cultivar_client import Client as ProgramsClient
from cultivar_service.config import ConnectionLimits
from cultivar_service.serving import pipeline
from cultivar_service.telemetry import http

LIST_MODELS = model_pb2.ListModelsRequest()


async def test_connections_beyond_the_limit_are_closed(tmp_path: Path) -> None:
    config = make_config(tmp_path, connections=ConnectionLimits(max_connections=2))
    async with running(config) as (service, first):
        assert await code_of(first.models.ListModels(LIST_MODELS)) == "OK"
        channels = [
            grpc.aio.insecure_channel(str(service.grpc_address), options=(("grpc.use_local_subchannel_pool", 1),))
            for _ in range(2)
        ]
        codes = [await code_of(Client(channel).models.ListModels(LIST_MODELS)) for channel in channels]
        for channel in channels:
            await channel.close()

        assert codes == ["OK", "UNAVAILABLE"]
        assert await code_of(first.models.ListModels(LIST_MODELS)) == "OK"


async def test_requests_beyond_the_limit_are_refused_and_those_under_way_go_on(tmp_path: Path, package: Path) -> None:
    config = make_config(
        tmp_path, behaviour="gated", package=package, connections=ConnectionLimits(max_requests=2, max_streams=10)
    )
    async with running(config) as (_, client):
        await client.import_flowers()
        job = await client.create_job()
        request = training_pb2.WatchTrainingJobRequest(name=job.name)
        calls = [client.training.WatchTrainingJob(request) for _ in range(2)]
        watches = [aiter(call) for call in calls]
        for watch in watches:
            await anext(watch)

        assert await code_of(client.models.ListModels(LIST_MODELS)) == "RESOURCE_EXHAUSTED"
        calls[0].cancel()
        cancel = training_pb2.CancelTrainingJobRequest(name=job.name)

        async def let_in() -> bool | None:
            return await code_of(client.training.CancelTrainingJob(cancel)) == "OK" or None

        await eventually(let_in)
        assert states([event async for event in watches[1]])[-1] == CANCELLED


async def test_an_old_connection_ends_and_a_watch_goes_on_over_the_next(tmp_path: Path, package: Path) -> None:
    limits = ConnectionLimits(age_s=0.3, age_grace_s=0.1)
    async with running(make_config(tmp_path, behaviour="gated", package=package, connections=limits)) as (
        service,
        client,
    ):
        await client.import_flowers()
        job = await client.create_job()
        async with ProgramsClient(str(service.grpc_address)) as programs:
            watch = asyncio.create_task(_states_seen(programs, job.name))
            ended = await refused(client.events(job.name))
            await client.training.CancelTrainingJob(training_pb2.CancelTrainingJobRequest(name=job.name))

            assert ended.code == "UNAVAILABLE"
            assert (await watch)[-1] == CANCELLED


async def _states_seen(client: ProgramsClient, job: str) -> list[int]:
    return states([event async for event in client.watch_training_job(job)])


async def test_an_image_of_too_many_bytes_fails_alone(
    tmp_path: Path, make_package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "MAX_IMAGE_BYTES", len(RED) + 10)
    async with published(tmp_path, [make_package("one")]) as (_, client):
        answer = await client.predict(RED, RED + bytes(11), RED)

        assert [one.WhichOneof("result") for one in answer.results] == ["classification", "error", "classification"]
        assert answer.results[1].error.reason == "TOO_MANY_BYTES"
        assert answer.results[1].error.field == "images[1]"


async def test_connections_that_say_nothing_do_not_take_the_metrics_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_MAX_CONNECTIONS", 2)
    async with running(make_config(tmp_path)) as (service, _):
        address = service.metrics_address

        def status() -> int:
            try:
                with urllib.request.urlopen(f"http://{address}/healthz", timeout=5) as answer:
                    return int(answer.status)
            except (urllib.error.URLError, ConnectionError):
                return 0

        silent = [socket.create_connection((address.host, address.port)) for _ in range(2)]
        assert await asyncio.to_thread(status) == 0
        for one in silent:
            one.close()
        await asyncio.sleep(0.1)
        assert await asyncio.to_thread(status) == 200
