"""Who is let in, in what turn, and what becomes of work that nobody waits for."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from published_models import published
from running_service import eventually
from tiny_package import BLUE, CLASSES, GREEN, RED, encoded

from cultivar_contract import preprocessing
from cultivar_service.caller import Caller
from cultivar_service.errors import DeadlineExceeded, Draining, QueueFull
from cultivar_service.serving import engine
from cultivar_service.serving.engine import LoadedVersion, Outputs
from cultivar_service.serving.predictor import Predictor
from cultivar_service.telemetry.metrics import PredictionMetrics

SLOW = encoded((220, 10, 20), size=900)
"""Takes some milliseconds to decode."""
HUGE = encoded((220, 10, 20), size=3000)
"""Takes some hundred."""


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@asynccontextmanager
async def predicting(registry: CollectorRegistry, *, num_cores: int = 1) -> AsyncIterator[Predictor]:
    predictor = Predictor(max_queued_images=32, metrics=PredictionMetrics(registry), num_cores=num_cores)
    try:
        yield predictor
    finally:
        await asyncio.to_thread(predictor.close)


@pytest.fixture
def version(package: Path) -> LoadedVersion:
    return engine.load(package, model="flowers", version=1, device="cpu", threads=1)


def caller(client: str = "a", *, within_s: float | None = None) -> Caller:
    deadline = None if within_s is None else time.monotonic() + within_s
    return Caller(request_id="r", client=client, deadline=deadline)


async def busy(predictor: Predictor, version: LoadedVersion, images: int, client: str = "a") -> asyncio.Task[Any]:
    """Begin a request of slow images, and wait until the thread has the first in hand."""
    task = asyncio.create_task(predictor.classify(version, [SLOW] * images, caller(client)))
    await asyncio.sleep(0.005)
    return task


async def full(predictor: Predictor, version: LoadedVersion) -> list[asyncio.Task[Any]]:
    """Begin a request that the thread has in hand for long, and as many as may wait behind it."""
    in_hand = asyncio.create_task(predictor.classify(version, [HUGE], caller()))
    await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(predictor.classify(version, [RED], caller())) for _ in range(32)]
    await asyncio.sleep(0)
    return [in_hand, *waiting]


@pytest.mark.parametrize("num_cores", [1, 2])
async def test_a_deadline_that_can_not_be_met_is_refused_at_the_door(
    version: LoadedVersion, registry: CollectorRegistry, num_cores: int
) -> None:
    async with predicting(registry, num_cores=num_cores) as predictor:
        await predictor.classify(version, [HUGE], caller())  # now it is known how long one takes
        queue = asyncio.create_task(predictor.classify(version, [HUGE] * 8, caller()))
        await asyncio.sleep(0)

        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="allow more time") as refusal:
            await predictor.classify(version, [RED], caller(within_s=0.1))

        assert time.monotonic() - began < 0.1  # it has not waited for its deadline
        assert refusal.value.reason == "QUEUE_WAIT"
        assert refusal.value.retry_after_s
        assert count(registry, "refusals", reason="QUEUE_WAIT") == 1
        assert count(registry, "dropped_images", reason="DEADLINE") is None
        assert isinstance((await predictor.classify(version, [RED], caller(within_s=20)))[0], Outputs)
        assert len(await queue) == 8


async def test_all_images_of_a_large_request_count_where_its_deadline_is_judged(
    version: LoadedVersion, registry: CollectorRegistry
) -> None:
    async with predicting(registry) as predictor:
        began = time.monotonic()
        await predictor.classify(version, [SLOW] * 4, caller())
        each_s = (time.monotonic() - began) / 4

        with pytest.raises(DeadlineExceeded):
            await predictor.classify(version, [SLOW] * 256, caller(within_s=64 * each_s))

        images = registry.get_sample_value("cultivar_prediction_batch_size_sum", {"model": "flowers"})
        assert images == 4  # the request cost nothing


@pytest.mark.parametrize("num_cores", [1, 2])
async def test_work_whose_deadline_passes_while_it_waits_is_dropped_before_it_costs_anything(
    version: LoadedVersion, registry: CollectorRegistry, num_cores: int
) -> None:
    async with predicting(registry, num_cores=num_cores) as predictor:
        in_hand = asyncio.create_task(predictor.classify(version, [HUGE] * num_cores, caller()))
        await asyncio.sleep(0)  # nobody knows yet how long one takes: all are admitted

        with pytest.raises(DeadlineExceeded) as refusal:
            await predictor.classify(version, [GREEN] * 3, caller(within_s=0.02))

        assert refusal.value.reason == "QUEUE_WAIT"
        await in_hand
        assert count(registry, "dropped_images", reason="DEADLINE") == 3
        assert registry.get_sample_value("cultivar_prediction_batch_size_sum", {"model": "flowers"}) == num_cores


@pytest.mark.parametrize("num_cores", [1, 2])
async def test_a_client_with_little_work_does_not_wait_for_all_of_one_with_much(
    version: LoadedVersion, registry: CollectorRegistry, num_cores: int
) -> None:
    async with predicting(registry, num_cores=num_cores) as predictor:
        much = [await busy(predictor, version, 8) for _ in range(4)]

        await predictor.classify(version, [RED], caller("b"))

        assert sum(one.done() for one in much) <= 1
        await asyncio.gather(*much)


@pytest.mark.parametrize("num_cores", [1, 2])
async def test_when_the_queue_is_full_whoever_has_most_in_it_gives_way(
    version: LoadedVersion, registry: CollectorRegistry, num_cores: int
) -> None:
    async with predicting(registry, num_cores=num_cores) as predictor:
        much = await full(predictor, version)

        with pytest.raises(QueueFull, match="32 images wait"):
            await predictor.classify(version, [RED], caller("a"))
        assert isinstance((await predictor.classify(version, [RED], caller("b")))[0], Outputs)

        outcomes = await asyncio.gather(*much, return_exceptions=True)
        assert [index for index, one in enumerate(outcomes) if isinstance(one, QueueFull)] == [32]  # the newest
        assert count(registry, "dropped_images", reason="EVICTED") == 1
        assert count(registry, "refusals", reason="QUEUE_FULL") == 2


async def test_nobody_gives_way_for_nothing(version: LoadedVersion, registry: CollectorRegistry) -> None:
    async with predicting(registry) as predictor:
        in_hand = asyncio.create_task(predictor.classify(version, [HUGE], caller()))
        await asyncio.sleep(0.01)
        much = [asyncio.create_task(predictor.classify(version, [RED], caller("a"))) for _ in range(18)]
        others = [asyncio.create_task(predictor.classify(version, [RED], caller(f"{one}"))) for one in range(14)]
        await asyncio.sleep(0)

        with pytest.raises(QueueFull):  # two could give way, sixteen would have to
            await predictor.classify(version, [RED] * 16, caller("b"))

        assert [len(one) for one in await asyncio.gather(in_hand, *much, *others)] == [1] * 33
        assert count(registry, "dropped_images", reason="EVICTED") is None
        assert count(registry, "refusals", reason="QUEUE_FULL") == 1


async def test_the_more_are_refused_the_longer_they_are_told_to_wait_and_the_refusals_are_held_back(
    version: LoadedVersion, registry: CollectorRegistry
) -> None:
    async with predicting(registry) as predictor:
        waiting = await full(predictor, version)

        asking = (predictor.classify(version, [RED], caller()) for _ in range(100))
        refusals = [one for one in await asyncio.gather(*asking, return_exceptions=True) if isinstance(one, QueueFull)]

        assert len(refusals) == 100
        waits = [one.retry_after_s or 0 for one in refusals]
        assert sum(waits[-10:]) > 3 * sum(waits[:10])
        assert refusals[0].hold_s == 0
        assert 0 < refusals[-1].hold_s <= 0.5
        await asyncio.gather(*waiting)


@pytest.mark.parametrize("num_cores", [1, 2])
async def test_models_take_turns(
    version: LoadedVersion, package: Path, registry: CollectorRegistry, num_cores: int
) -> None:
    async with predicting(registry, num_cores=num_cores) as predictor:
        other = engine.load(package, model="cars", version=1, device="cpu", threads=1)
        much = [await busy(predictor, version, 16) for _ in range(2)]

        await predictor.classify(other, [RED], caller())

        assert not any(one.done() for one in much)
        await asyncio.gather(*much)


async def test_large_images_that_wait_for_room_leave_threads_for_others(
    version: LoadedVersion, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preprocessing, "LARGE_PIXELS", 1000)
    monkeypatch.setattr(preprocessing, "MAX_LARGE_PIXELS", 1200)
    large, small = encoded((20, 10, 220), size=34), encoded((220, 10, 20), size=8)
    async with predicting(registry, num_cores=3) as predictor:
        with preprocessing._room_for(1100):  # somebody else decodes one
            waiting = [
                asyncio.create_task(predictor.classify(version, [large, large], caller(client))) for client in "bcd"
            ]
            given_up = asyncio.create_task(predictor.classify(version, [large] * 4, caller("b")))
            await asyncio.sleep(0.05)

            async with asyncio.timeout(5):
                assert best((await predictor.classify(version, [small], caller("a")))[0]) == CLASSES[0]
            given_up.cancel()
            await asyncio.sleep(0.05)
            assert registry.get_sample_value("cultivar_prediction_images_in_flight") == 6

        for answers in await asyncio.gather(*waiting):
            assert [best(one) for one in answers] == [CLASSES[2]] * 2
        assert registry.get_sample_value("cultivar_prediction_images_in_flight") == 0


@pytest.mark.parametrize("num_cores", [1, 2])
async def test_a_patient_request_waits_for_room(
    version: LoadedVersion, registry: CollectorRegistry, num_cores: int
) -> None:
    async with predicting(registry, num_cores=num_cores) as predictor:
        much = await full(predictor, version)

        patient = [predictor.classify(version, [RED, BLUE], caller(), patient=True) for _ in range(8)]

        for answers in await asyncio.gather(*patient):
            assert [best(one) for one in answers] == [CLASSES[0], CLASSES[2]]
        assert [len(one) for one in await asyncio.gather(*much)] == [1] * 33


async def test_a_patient_request_is_let_in_where_all_before_it_came_too_late(
    version: LoadedVersion, registry: CollectorRegistry
) -> None:
    async with predicting(registry) as predictor:
        in_hand = asyncio.create_task(predictor.classify(version, [HUGE], caller()))
        await asyncio.sleep(0.01)
        late = [
            asyncio.create_task(predictor.classify(version, [RED], caller(within_s=0.02), patient=index == 32))
            for index in range(33)
        ]
        await asyncio.sleep(0)
        patient = asyncio.create_task(predictor.classify(version, [RED], caller(), patient=True))
        await asyncio.sleep(0)

        in_hand.cancel()

        async with asyncio.timeout(20):
            assert best((await patient)[0]) == CLASSES[0]
        outcomes = await asyncio.gather(*late, return_exceptions=True)
        assert [type(one) for one in outcomes] == [DeadlineExceeded] * 33


async def test_a_patient_request_of_many_images_gets_in_beside_many_of_one(
    version: LoadedVersion, registry: CollectorRegistry
) -> None:
    async with predicting(registry) as predictor:
        done, image = asyncio.Event(), encoded((220, 10, 20), size=200)

        async def ask(number: int) -> None:
            while not done.is_set():
                try:
                    await predictor.classify(version, [image], caller(str(number)))
                except QueueFull:
                    await asyncio.sleep(0.001)

        async with asyncio.TaskGroup() as others:
            for number in range(48):
                others.create_task(ask(number))
            await asyncio.sleep(0.1)
            answers = await asyncio.wait_for(predictor.classify(version, [RED] * 4, caller(), patient=True), 15)
            done.set()

        assert [best(one) for one in answers] == [CLASSES[0]] * 4


@pytest.mark.parametrize("num_cores", [1, 2])
async def test_a_request_that_is_given_up_is_dropped(
    version: LoadedVersion, registry: CollectorRegistry, num_cores: int
) -> None:
    async with predicting(registry, num_cores=num_cores) as predictor:
        queue = await busy(predictor, version, 4)
        given_up = asyncio.create_task(predictor.classify(version, [SLOW] * 10, caller("b")))
        await asyncio.sleep(0.005)

        given_up.cancel()
        await queue

        async def dropped() -> float | None:
            return count(registry, "dropped_images", reason="CANCELLED")

        assert 8 <= await eventually(dropped) <= 10
        assert len(await predictor.classify(version, [RED], caller())) == 1


@pytest.mark.parametrize("num_cores", [1, 2])
async def test_what_the_network_can_not_compute_fails_alone_and_the_thread_goes_on(
    version: LoadedVersion, registry: CollectorRegistry, num_cores: int
) -> None:
    async with predicting(registry, num_cores=num_cores) as predictor:
        with pytest.raises(Exception, match="Got invalid dimensions"):
            await predictor.classify(version, [np.zeros((4, 4, 3), np.uint8)], caller())

        assert best((await predictor.classify(version, [GREEN], caller()))[0]) == CLASSES[1]


async def test_closing_answers_what_was_admitted_and_refuses_the_rest(
    version: LoadedVersion, registry: CollectorRegistry
) -> None:
    predictor = Predictor(max_queued_images=64, metrics=PredictionMetrics(registry), num_cores=2)
    admitted = [await busy(predictor, version, 4) for _ in range(5)]

    await asyncio.to_thread(predictor.close)

    assert [len(one) for one in await asyncio.gather(*admitted)] == [4] * 5
    with pytest.raises(Draining):
        await predictor.classify(version, [RED], caller())


async def test_concurrent_calls_are_batched_and_bad_images_harm_no_good_ones(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")], max_queued_images=64) as (service, client):
        slow = [encoded(colour, size=400) for colour in ((220, 10, 20), (10, 220, 20), (20, 10, 220))]
        colours = [slow[index % 3] if index % 4 else RED[:-30] for index in range(64)]

        answers = await asyncio.gather(*(client.predict(colour) for colour in colours))

        for index, answer in enumerate(answers):
            (result,) = answer.results
            if index % 4:
                assert result.classification.classes[0].class_id == CLASSES[index % 3]
            else:
                assert result.error.reason == "CORRUPT_IMAGE"
        read = service.metrics.registry.get_sample_value
        images = read("cultivar_prediction_batch_size_sum", {"model": "flowers"})
        batches = read("cultivar_prediction_batch_size_count", {"model": "flowers"})
        assert images == 48
        assert batches is not None
        assert batches < 40


def best(answer: Any) -> str:
    return CLASSES[int(answer.probabilities.argmax())]


def count(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"cultivar_prediction_{name}_total", {"model": "flowers", **labels})
