"""`live` goes back and forth, and tells who moved it."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from published_models import ALWAYS, NEVER, publish, published
from running_service import Client, eventually, make_config, refused, running
from tiny_package import RED

from cultivar.v1 import model_pb2
from cultivar_service.catalog import aliases
from cultivar_service.server import Service

CPU = {"provider": "CPUExecutionProvider"}


async def rollback(client: Client, **fields: object) -> model_pb2.Model:
    return await client.models.RollbackModel(model_pb2.RollbackModelRequest(name="flowers", **fields))


async def promote(client: Client, version: int, **fields: object) -> model_pb2.Model:
    request = model_pb2.PromoteModelVersionRequest(name=f"flowers/versions/{version}", **fields)
    return await client.models.PromoteModelVersion(request)


async def delete(client: Client, version: int) -> None:
    await client.models.DeleteModelVersion(model_pb2.DeleteModelVersionRequest(name=f"flowers/versions/{version}"))


async def get(client: Client) -> model_pb2.Model:
    return await client.models.GetModel(model_pb2.GetModelRequest(name="flowers"))


def number(name: str) -> int:
    return int(name.rpartition("/")[2])


async def previous_is_warm(service: Service, version: int) -> None:
    async def seen() -> bool | None:
        return service._registry.held("flowers", version) is not None or None

    await eventually(seen)


async def publish_all(service: Service, make_package: Callable[..., Path], count: int) -> None:
    """Publish versions 1 to `count`; each goes live."""
    for version in range(1, count + 1):
        await publish(service, make_package(str(version), sharpness=float(version)), policy=ALWAYS)


async def test_rollbacks_go_back_entry_by_entry_and_promotions_begin_there(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        await publish_all(service, make_package, 3)

        back = [number((await rollback(client)).live_version) for _ in range(2)]
        nothing = await refused(rollback(client))
        await promote(client, 3)
        again = await rollback(client)

        assert back == [2, 1]
        assert (nothing.code, nothing.reason) == ("FAILED_PRECONDITION", "NO_EARLIER_VERSION")
        assert number(again.live_version) == 1
        assert again.rollback_version == ""
        assert (await client.predict(RED)).model_version == "models/flowers/versions/1"


async def test_a_rollback_skips_what_is_deleted_or_damaged(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        await publish_all(service, make_package, 4)
        (tmp_path / "data/models/flowers/2/model.onnx").write_bytes(b"")
        await delete(client, 3)

        model = await rollback(client)
        nothing = await refused(rollback(client))
        await promote(client, 4)
        await delete(client, 1)
        deleted = await refused(rollback(client))

        assert number(model.live_version) == 1
        assert nothing.message.startswith("models/flowers has nothing to roll back to: no other version was live")
        assert "of those before, 1 are deleted or REJECTED" in deleted.message


async def test_a_promotion_whose_caller_leaves_is_made_whole(
    tmp_path: Path, make_package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    move_live, began, go = aliases.move_live, threading.Event(), threading.Event()

    def slow(*arguments: Any, **keywords: Any) -> None:
        began.set()
        go.wait(10)
        move_live(*arguments, **keywords)

    async with published(tmp_path, [make_package("one"), make_package("two")]) as (_, client):
        monkeypatch.setattr(aliases, "move_live", slow)
        promotion = asyncio.create_task(promote(client, 2))
        await asyncio.to_thread(began.wait, 10)
        promotion.cancel()
        await asyncio.sleep(0.1)  # the service has heard of it
        go.set()

        async def moved() -> bool | None:
            return number((await get(client)).live_version) == 2 or None

        await eventually(moved)
        await promote(client, 2)

        assert (await client.predict(RED)).model_version == "models/flowers/versions/2"


async def test_the_version_before_stays_in_memory_so_that_a_rollback_reads_no_file(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path, max_extra_versions=0)) as (service, client):
        await publish_all(service, make_package, 3)
        assert service.metrics.registry.get_sample_value("cultivar_loaded_versions", CPU) == 2
        for version in (1, 2, 3):
            (tmp_path / f"data/models/flowers/{version}/model.onnx").unlink()

        started = time.monotonic()
        model = await rollback(client)
        answer = await client.predict(RED)

        assert time.monotonic() - started < 1
        assert number(model.live_version) == number(answer.model_version) == 2


async def test_a_restarted_service_warms_the_version_before(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with running(make_config(tmp_path)) as (service, _):
        await publish_all(service, make_package, 3)
    async with running(make_config(tmp_path)) as (service, client):
        await previous_is_warm(service, 2)
        (tmp_path / "data/models/flowers/2/model.onnx").unlink()

        assert number((await rollback(client)).live_version) == 2


async def test_moves_tell_when_by_whom_and_why_newest_first(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        await publish_all(service, make_package, 2)
        await promote(client, 1, reason="the other one fails at dusk")
        await promote(client, 1)  # it is live: no move
        model = await rollback(client)

        moves = [(number(one.model_version), one.reason) for one in model.live_history]
        assert moves == [
            (2, "rolled back from version 1"),
            (1, "the other one fails at dusk"),
            (2, "publish is always"),
            (1, "publish is always"),
        ]
        assert [one.actor for one in model.live_history[2:]] == ["trainingJobs/2", "trainingJobs/1"]
        assert model.live_history[0].actor == model.live_history[1].actor != ""
        times = [one.time.ToNanoseconds() for one in model.live_history]
        assert times == sorted(times, reverse=True)
        listed = await client.models.ListModels(model_pb2.ListModelsRequest())
        assert (listed.models[0].live_version, len(listed.models[0].live_history)) == (model.live_version, 0)


async def test_the_history_that_is_shown_is_bounded(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        await publish_all(service, make_package, 2)
        for move in range(25):
            await promote(client, 1 + move % 2)

        assert len((await get(client)).live_history) == 20


async def test_a_lost_race_is_aborted_and_moves_nothing(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        await publish_all(service, make_package, 3)

        lost = await refused(promote(client, 1, expected_live_version="flowers/versions/2"))
        none = await refused(promote(client, 1, expected_live_version=""))
        both = [rollback(client, expected_live_version="flowers/versions/3") for _ in range(2)]
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        other = await refused(promote(client, 1, expected_live_version="trees/versions/2"))
        long = await refused(promote(client, 1, reason="x" * 201))

        assert (lost.code, lost.reason, lost.resource) == ("ABORTED", "LIVE_MOVED", "models/flowers")
        assert "models/flowers/versions/3 is by now" in lost.message
        assert none.code == "ABORTED"
        assert sorted(isinstance(one, model_pb2.Model) for one in outcomes) == [False, True]
        assert number((await get(client)).live_version) == 2
        assert (other.code, other.fields) == ("INVALID_ARGUMENT", ["expected_live_version"])
        assert (long.code, long.fields) == ("INVALID_ARGUMENT", ["reason"])


async def test_a_model_that_never_was_live_has_nothing_to_roll_back_to(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        await publish(service, make_package("one"), policy=NEVER)

        nothing = await refused(rollback(client))
        unknown = await refused(client.models.RollbackModel(model_pb2.RollbackModelRequest(name="trees")))
        promoted = await promote(client, 1, expected_live_version="")

        assert nothing.reason == "NO_EARLIER_VERSION"
        assert unknown.code == "NOT_FOUND"
        assert number(promoted.live_version) == 1


async def test_a_damaged_live_version_gives_way_to_the_one_before_at_start(
    tmp_path: Path, make_package: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(make_config(tmp_path)) as (service, _):
        await publish_all(service, make_package, 3)
    for version in (2, 3):
        (tmp_path / f"data/models/flowers/{version}/model.onnx").write_bytes(b"damaged")

    for _ in range(2):  # also at the start after that
        async with running(make_config(tmp_path)) as (_, client):
            answer = await client.predict(RED)
            model = await get(client)

        assert answer.model_version == model.live_version == "models/flowers/versions/1"
        assert model.live_history[0].actor == "service"
        assert "version 3 was live and can't be loaded: model.onnx has changed" in model.live_history[0].reason
        assert len(model.live_history) == 4
    assert "version 1, which was live before, takes its place" in caplog.text


async def test_a_version_that_replaced_a_deleted_one_is_not_held_for_it(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (service, client):
        await publish(service, make_package("two"), policy=ALWAYS)
        await publish(service, make_package("three"), policy=ALWAYS)

        await delete(client, 2)
        await previous_is_warm(service, 1)

        assert service._registry.held("flowers", 2) is None
        assert (await get(client)).rollback_version == "models/flowers/versions/1"
