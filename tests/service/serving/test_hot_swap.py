"""Live moves from version to version under load."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from published_models import ALWAYS, publish
from running_service import make_config, running
from tiny_package import RED, probabilities

from cultivar.v1 import model_pb2


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


async def test_few_versions_beside_the_live_one_stay_in_memory(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path, max_extra_versions=1)) as (service, client):
        for number in range(1, 5):
            await publish(service, make_package(str(number)))
        for number in (2, 3, 4, 2):
            answer = await client.predict(RED, model=f"flowers/versions/{number}")
            assert answer.model_version == f"models/flowers/versions/{number}"

        assert service.metrics.registry.get_sample_value("cultivar_loaded_versions") == 2
