"""Live moves from version to version under load."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from published_models import ALWAYS, publish
from running_service import make_config, running
from tiny_package import BLUE, GREEN, RED, probabilities

from cultivar.v1 import model_pb2

CPU = {"provider": "CPUExecutionProvider"}

IMAGES = (RED, GREEN, BLUE)


async def test_swaps_under_load_lose_no_request_and_mix_no_versions(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    sharpness = {f"models/flowers/versions/{number}": float(number) for number in range(1, 7)}
    packages = [make_package(str(number), sharpness=float(number)) for number in range(1, 7)]
    async with running(make_config(tmp_path)) as (service, client):
        await publish(service, packages[0], policy=ALWAYS)
        answers, done = [], asyncio.Event()

        async def ask() -> None:
            while not done.is_set():
                answers.append(await client.predict(RED, RED))

        async with asyncio.TaskGroup() as load:
            for _ in range(4):
                load.create_task(ask())
            for folder in packages[1:]:
                await publish(service, folder, policy=ALWAYS)
            for number in (3, 1, 5):
                name = f"flowers/versions/{number}"
                await client.models.PromoteModelVersion(model_pb2.PromoteModelVersionRequest(name=name))
            await asyncio.sleep(0.05)
            done.set()

        assert len({answer.model_version for answer in answers}) > 3
        for answer in answers:
            expected = probabilities(RED, sharpness[answer.model_version])[0]
            assert all(abs(one.classification.classes[0].probability - expected) < 1e-6 for one in answer.results)
        assert (await client.predict(RED)).model_version == "models/flowers/versions/5"


@pytest.mark.slow
async def test_a_hundred_promotions_and_rollbacks_under_full_load_fail_nothing_and_answer_nothing_wrong(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    names = {number: f"models/flowers/versions/{number}" for number in (1, 2, 3)}
    expected = {names[number]: {image: probabilities(image, float(number)) for image in IMAGES} for number in names}
    async with running(make_config(tmp_path, max_queued_images=128)) as (service, client):
        for number in names:
            await publish(service, make_package(str(number), sharpness=float(number)), policy=ALWAYS)
        done, answers, slowest_rollback = asyncio.Event(), [], 0.0

        async def ask(first: int) -> None:
            while not done.is_set():
                first += 1
                images = [IMAGES[(first + offset) % 3] for offset in range(1 + first % 4)]
                begun = moved
                answer = await client.predict(*images, all_probabilities=True)  # an error ends the test
                answers.append((images, answer, begun, moved))

        moved, live = 0, {0: names[3]}
        async with asyncio.TaskGroup() as load:
            for first in range(32):
                load.create_task(ask(first))
            for move in range(100):
                if move % 2:
                    started = time.monotonic()
                    request = model_pb2.RollbackModelRequest(name="flowers")
                    model = await client.models.RollbackModel(request)
                    slowest_rollback = max(slowest_rollback, time.monotonic() - started)
                else:
                    name = names[1 + (move // 2) % 3]
                    if name == live[moved]:
                        name = names[1 + (move // 2 + 1) % 3]
                    model = await client.models.PromoteModelVersion(model_pb2.PromoteModelVersionRequest(name=name))
                    assert model.live_version == name
                live[moved + 1] = model.live_version
                moved += 1
                await asyncio.sleep(0.02)
            done.set()

        for images, answer, begun, ended in answers:
            for image, result in zip(images, answer.results, strict=True):
                correct = expected[answer.model_version][image]
                assert list(result.classification.probabilities) == pytest.approx(correct.tolist(), abs=1e-6)
            # One move may be under way: its answer comes after the swap.
            assert answer.model_version in [live[number] for number in range(begun, ended + 2) if number in live]
        swaps = service.metrics.registry.get_sample_value("cultivar_model_swaps_total", {"model": "flowers"})
        assert swaps == 100 + 2
        assert slowest_rollback < 1
        print(f"{len(answers)} requests, {moved} moves, slowest rollback {1000 * slowest_rollback:.0f} ms")


async def test_few_versions_beside_the_live_one_stay_in_memory(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path, max_extra_versions=1)) as (service, client):
        for number in range(1, 5):
            await publish(service, make_package(str(number)))
        for number in (2, 3, 4, 2):
            answer = await client.predict(RED, model=f"flowers/versions/{number}")
            assert answer.model_version == f"models/flowers/versions/{number}"

        assert service.metrics.registry.get_sample_value("cultivar_loaded_versions", CPU) == 2
