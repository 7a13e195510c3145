"""Evaluations: streamed, each pair of model and images measured once, ended with their caller."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluation_calls import WEIGHTS, of_model, of_weights, readings, refusal_of, result
from published_models import publish
from running_service import eventually, make_config, running

from cultivar.v1 import dataset_pb2, event_pb2


async def test_published_weights_are_measured_once_on_the_test_images(tmp_path: Path) -> None:
    async with running(make_config(tmp_path)) as (_, client):
        await client.import_flowers()
        updates = [update async for update in of_weights(client)]
        again = await result(of_weights(client))

        assert [one.progress.stage for one in updates[:-1]] == ["evaluating"]
        first = updates[-1].evaluation
        assert (first.architecture, first.weights, first.dataset) == (*WEIGHTS.values(), "datasets/flowers/versions/1")
        assert (first.metrics.split, first.metrics.image_count, first.metrics.accuracy) == ("test", 30, 0.875)
        assert (first.stored, again.stored, again.metrics) == (False, True, first.metrics)
        assert (await result(of_weights(client, split=dataset_pb2.SPLIT_VAL))).stored is False
        assert (await result(of_weights(client, architecture="squeezenet1_1"))).stored is False
        assert readings(tmp_path) == ["test", "val", "test"]
        assert not list((tmp_path / "data/scratch").iterdir())


async def test_a_model_s_own_figures_are_answered_where_its_job_read_the_same_images(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        await client.import_flowers()  # whose validation split has the digest "2", its test split "3"
        await publish(service, make_package("same", val_digest="2"))
        val = await result(of_model(client, split=dataset_pb2.SPLIT_VAL))
        test = await result(of_model(client, name="flowers/versions/1"))

        assert (val.model_version, val.stored, val.metrics.accuracy) == ("models/flowers/versions/1", True, 0.9)
        assert (test.stored, test.metrics.accuracy) == (False, 0.875)
        assert readings(tmp_path) == ["test"]


async def test_two_who_ask_the_same_at_once_cause_one_reading(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated")) as (_, client):
        await client.import_flowers()
        calls = [asyncio.create_task(result(of_weights(client))) for _ in range(2)]

        async def begun() -> bool | None:
            return bool(readings(tmp_path)) or None

        await eventually(begun)
        (tmp_path / "data/datasets/flowers/1/go").touch()
        first, second = await asyncio.gather(*calls)

        assert {first.stored, second.stored} == {False, True}
        assert readings(tmp_path) == ["test"]


async def test_a_caller_who_goes_away_takes_the_trainer_along(tmp_path: Path) -> None:
    async with running(make_config(tmp_path, behaviour="gated")) as (_, client):
        await client.import_flowers()
        call = of_weights(client)
        assert (await call.read()).progress == event_pb2.Progress(stage="evaluating", done=1, total=2, unit="images")
        pid = int((tmp_path / "data/datasets/flowers/1/readings").read_text().split()[0])

        call.cancel()

        async def gone() -> bool | None:
            try:
                os.killpg(pid, 0)
            except ProcessLookupError:
                return True
            return None

        assert await eventually(gone)

        async def clean() -> bool | None:
            return not list((tmp_path / "data/scratch").iterdir()) or None

        assert await eventually(clean)


async def test_an_evaluation_has_a_deadline_and_a_trainer_s_refusal_is_passed_on(tmp_path: Path) -> None:
    async with running(make_config(tmp_path / "a", behaviour="gated", evaluate_deadline_s=0.5)) as (_, client):
        await client.import_flowers()
        late = await refusal_of(of_weights(client))
    async with running(make_config(tmp_path / "b", behaviour="fail")) as (_, client):
        await client.import_flowers()
        failed = await refusal_of(of_weights(client))

    assert (late.code, late.reason) == ("DEADLINE_EXCEEDED", "EVALUATE_TIMEOUT")
    assert (failed.code, failed.reason, failed.message) == ("FAILED_PRECONDITION", "EMPTY_SPLIT", "val is empty")


async def test_what_can_not_be_evaluated_is_refused_with_all_reasons(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with running(make_config(tmp_path)) as (service, client):
        await client.import_flowers()
        await publish(service, make_package("one"))

        async def refusal(call: Any) -> tuple[str, list[str]]:
            found = await refusal_of(call)
            return found.code, found.fields

        invalid = "INVALID_ARGUMENT"
        everything = of_weights(client, architecture="", weights="", dataset="")
        assert await refusal(everything) == (invalid, ["architecture", "weights", "dataset"])
        assert await refusal(of_weights(client, architecture="lenet5", split=9)) == (
            invalid,
            ["architecture", "weights", "split"],
        )
        assert await refusal(of_weights(client, weights="../w.pth")) == (invalid, ["weights"])
        assert await refusal(of_weights(client, dataset="tulips")) == ("NOT_FOUND", ["dataset"])
        assert await refusal(of_model(client, dataset="")) == (invalid, ["dataset"])
        assert await refusal(of_model(client, name="tulips")) == ("NOT_FOUND", ["name"])
        assert await refusal(of_model(client, name="")) == (invalid, ["name"])
        assert readings(tmp_path) == []
