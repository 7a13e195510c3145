"""Tokens: who is let in, and to which methods."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from certificates import bearer, client_with, make_tokens
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from published_models import publish
from running_service import Client, code_of, drain, eventually, make_config, refused, running
from tiny_package import RED

from cultivar.open_inference import open_inference_pb2
from cultivar.v1 import (
    artifact_pb2,
    dataset_pb2,
    model_pb2,
    prediction_pb2,
    training_pb2,
)
from cultivar_service import tokens
from cultivar_service.caller import Scope
from cultivar_service.config import Security
from cultivar_service.errors import StartupRefused, Unauthenticated
from cultivar_service.server import Service
from cultivar_service.tokens import TokenTable, UnusableTokens
from cultivar_service.transport import adapter
from cultivar_service.transport.methods import is_listed, scope_of

LIST_MODELS = model_pb2.ListModelsRequest()
LIST_DATASETS = dataset_pb2.ListDatasetsRequest()


def services() -> list[ServiceDescriptor]:
    files = (artifact_pb2, dataset_pb2, model_pb2, prediction_pb2, training_pb2, open_inference_pb2)
    return [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]


def test_every_method_of_every_service_has_a_scope() -> None:
    methods = [(service.full_name, method.name) for service in services() for method in service.methods]

    assert len(methods) >= 28
    assert [one for one in methods if not is_listed(*one)] == []


def test_a_method_that_nobody_listed_needs_admin() -> None:
    assert scope_of("cultivar.v1.ModelService", "EmptyEverything") is Scope.ADMIN
    assert scope_of("other.Service", "Get") is Scope.ADMIN


async def test_without_a_token_nothing_answers_but_health(tmp_path: Path) -> None:
    path, made = make_tokens(tmp_path, reader="predict")
    async with running(make_config(tmp_path, security=Security(tokens_file=path))) as (_, client):
        health = health_pb2_grpc.HealthStub(client.channel)
        reflection = reflection_pb2_grpc.ServerReflectionStub(client.channel)
        question = [reflection_pb2.ServerReflectionRequest(list_services="")]

        refusals = [
            await refused(client.channel.unary_unary(f"/{service.full_name}/{method.name}")(b""))
            for service in services()
            for method in service.methods
            if not method.server_streaming
        ]
        with pytest.raises(grpc.aio.AioRpcError, match="no token"):
            await drain(reflection.ServerReflectionInfo(iter(question)))
        with pytest.raises(grpc.aio.AioRpcError, match="no token"):
            await drain(client.training.WatchTrainingJob(training_pb2.WatchTrainingJobRequest(name="x")))

        assert {(one.code, one.reason) for one in refusals} == {("UNAUTHENTICATED", "TOKEN_MISSING")}
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
        answer = await drain(reflection.ServerReflectionInfo(iter(question), metadata=bearer(made["reader"])))
        assert len(answer) == 1


@pytest.mark.parametrize("header", ["Bearer cultivar_guessed", "Bearer ", "Basic eDp5", "Bearer " + "x" * 4000])
async def test_a_wrong_token_is_unauthenticated(tmp_path: Path, header: str) -> None:
    path, _ = make_tokens(tmp_path, reader="predict")
    async with running(make_config(tmp_path, security=Security(tokens_file=path))) as (_, client):
        refusal = await refused(client.models.ListModels(LIST_MODELS, metadata=(("authorization", header),)))

        assert (refusal.code, refusal.reason[:6]) == ("UNAUTHENTICATED", "TOKEN_")
        assert "guessed" not in refusal.message


async def test_each_scope_includes_the_one_below_and_none_above(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    path, made = make_tokens(tmp_path, reader="predict", trainer="train", boss="admin")
    async with running(make_config(tmp_path, security=Security(tokens_file=path))) as (service, _):
        await publish(service, make_package("one"))

        async def allowed(name: str) -> list[str]:
            async with client_with(service.grpc_address, made[name]) as client:
                tried = {
                    "predict": client.predict(RED),
                    "train": client.datasets.ListDatasets(LIST_DATASETS),
                    "delete": client.models.DeleteModel(model_pb2.DeleteModelRequest(name="flowers")),
                }
                codes = {what: await code_of(call) for what, call in tried.items()}
                assert set(codes.values()) <= {"OK", "PERMISSION_DENIED"}
                return [what for what, code in codes.items() if code == "OK"]

        assert await allowed("reader") == ["predict"]
        assert await allowed("trainer") == ["predict", "train"]
        assert await allowed("boss") == ["predict", "train", "delete"]


async def test_a_missing_scope_is_told_apart_from_a_missing_token(tmp_path: Path) -> None:
    path, made = make_tokens(tmp_path, reader="predict")
    async with running(make_config(tmp_path, security=Security(tokens_file=path))) as (_, client):
        refusal = await refused(client.datasets.ListDatasets(LIST_DATASETS, metadata=bearer(made["reader"])))

        assert (refusal.code, refusal.reason) == ("PERMISSION_DENIED", "SCOPE_MISSING")
        assert "needs scope train" in refusal.message


async def test_the_body_of_a_stranger_is_not_read(tmp_path: Path) -> None:
    path, made = make_tokens(tmp_path, reader="predict")
    config = make_config(tmp_path, security=Security(tokens_file=path), max_message_bytes=1000)
    async with running(config) as (service, client):
        call = client.channel.unary_unary("/cultivar.v1.PredictionService/Predict")

        # A body over the limit is how one that was read shows.
        assert (await refused(call(bytes(100_000)))).code == "UNAUTHENTICATED"
        assert (await refused(call(bytes(100_000), metadata=bearer(made["reader"])))).code == "RESOURCE_EXHAUSTED"
        labels = {"method": "Predict", "code": "UNAUTHENTICATED"}
        assert service.metrics.registry.get_sample_value("cultivar_grpc_requests_total", labels) == 1


async def test_tokens_are_read_again_when_their_file_changes(tmp_path: Path) -> None:
    path, made = make_tokens(tmp_path, first="predict")
    async with running(make_config(tmp_path, security=Security(tokens_file=path))) as (_, client):
        assert await answers(client, made["first"])
        second = tokens.add(path, "second", Scope.PREDICT)
        tokens.revoke(path, "first")

        async def changed() -> bool | None:
            return await answers(client, second) or None

        await eventually(changed)
        assert not await answers(client, made["first"])


async def answers(client: Client, token: str) -> bool:
    code = await code_of(client.models.ListModels(LIST_MODELS, metadata=bearer(token)))
    assert code in ("OK", "UNAUTHENTICATED")
    return code == "OK"


async def test_a_stream_ends_when_its_token_is_revoked(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_LOOK_AGAIN_S", 0.1)
    path, made = make_tokens(tmp_path, ann="train", boss="admin")
    config = make_config(tmp_path, behaviour="gated", package=package, security=Security(tokens_file=path))
    async with (
        running(config) as (service, _),
        client_with(service.grpc_address, made["ann"]) as ann,
        client_with(service.grpc_address, made["boss"]) as boss,
    ):
        await ann.import_flowers()
        job = await ann.create_job()
        await ann.first_epoch(job.name)
        watch = asyncio.create_task(ann.events(job.name))
        tokens.revoke(path, "ann")

        refusal = await refused(asyncio.wait_for(watch, 5))
        await boss.training.CancelTrainingJob(training_pb2.CancelTrainingJobRequest(name=job.name))
        await boss.events(job.name)

        assert (refusal.code, refusal.reason) == ("UNAUTHENTICATED", "TOKEN_UNKNOWN")


def test_a_broken_tokens_file_keeps_the_tokens_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, made = make_tokens(tmp_path, first="predict")
    table = TokenTable(path, look_every_s=0)
    path.write_text('{"tokens": [{"name":')

    assert table.find(made["first"]).name == "first"
    assert "the tokens stay as they were" in caplog.text


def test_an_expired_token_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    text = tokens.add(path, "guest", Scope.PREDICT, lifetime_s=60)

    assert TokenTable(path).find(text).name == "guest"
    with pytest.raises(Unauthenticated, match="has expired"):
        TokenTable(path, now=lambda: time.time() + 61).find(text)


def test_a_token_is_kept_as_a_digest_in_a_file_of_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    text = tokens.add(path, "ci", Scope.TRAIN)

    assert text.startswith("cultivar_")
    assert len(text) >= 50
    assert text.removeprefix("cultivar_") not in path.read_text()
    assert json.loads(path.read_text())["tokens"][0]["scope"] == "train"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"tokens": [1]}', '{"tokens": [{"name": "a", "scope": "root"}]}'])
def test_a_damaged_tokens_file_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text)

    with pytest.raises(StartupRefused, match="is no tokens file"):
        Service(make_config(tmp_path, security=Security(tokens_file=path)))


def test_a_tokens_file_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    path, _ = make_tokens(tmp_path, first="admin")
    path.chmod(0o666)

    with pytest.raises(UnusableTokens, match="chmod 600"):
        tokens.read(path)


async def test_two_commands_at_once_lose_no_token(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    names = [f"user-{number}" for number in range(8)]
    await asyncio.gather(*(asyncio.to_thread(tokens.add, path, name, Scope.PREDICT) for name in names))

    assert sorted(token.name for token in tokens.read(path)) == names
