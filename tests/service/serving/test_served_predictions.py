"""What Predict answers, and what it refuses."""

import asyncio
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from published_models import published
from running_service import classifying, idle, refused
from tiny_package import BLUE, CLASSES, GREEN, RED, encoded, probabilities


async def test_images_are_classified_in_order_most_probable_class_first(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        images = [RED, GREEN, BLUE] * 12  # more than one batch
        answer = await client.predict(*images, all_probabilities=True)

        assert len(answer.results) == 36
        for image, result, best in zip(images, answer.results, CLASSES * 12, strict=True):
            expected = probabilities(image, 4.0)
            classes = result.classification.classes
            assert classes[0].class_id == best
            assert classes[0].display_name == best.title()
            assert [one.probability for one in classes] == pytest.approx(sorted(expected, reverse=True), abs=1e-6)
            assert list(result.classification.probabilities) == pytest.approx(expected.tolist(), abs=1e-6)


async def test_a_model_of_grey_images_answers_colour_images_by_their_brightness(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("grey", channels=1)]) as (_, client):
        answer = await client.predict(RED, GREEN, all_probabilities=True)

        for image, result in zip((RED, GREEN), answer.results, strict=True):
            expected = probabilities(image, 4.0, channels=1)
            assert list(result.classification.probabilities) == pytest.approx(expected.tolist(), abs=1e-6)


async def test_one_image_s_answer_does_not_depend_on_its_neighbours(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        alone = await client.predict(RED)
        together = await client.predict(GREEN, RED, b"none", BLUE)

        assert together.results[1] == alone.results[0]


async def test_a_version_is_named_in_every_short_form(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        for name in ("flowers", "models/flowers", "flowers@live", "flowers/versions/1", "models/flowers/versions/1"):
            assert (await client.predict(RED, model=name)).model_version == "models/flowers/versions/1"


async def test_a_bad_image_gets_an_error_of_its_own_and_the_others_are_answered(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        answer = await client.predict(RED, b"no image", b"", huge_png(), RED[:-30], BLUE)

        reasons = [one.error.reason for one in answer.results]
        assert reasons == ["", "UNKNOWN_IMAGE_FORMAT", "EMPTY_IMAGE", "TOO_MANY_PIXELS", "CORRUPT_IMAGE", ""]
        assert answer.results[1].error.code == "INVALID_ARGUMENT"
        assert answer.results[5].classification.classes[0].class_id == "rose"


async def test_requests_that_can_not_be_answered_say_what_to_change(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        empty = await refused(client.predict())
        many = await refused(client.predict(*[RED] * 257))
        above = await refused(client.predict(RED, top_k=4))
        none = await refused(client.predict(RED, top_k=0))
        unknown = await refused(client.predict(RED, model="tulips"))
        version = await refused(client.predict(RED, model="flowers/versions/7"))
        odd = await refused(client.predict(RED, model="../flowers"))
        unnamed = await refused(client.predict(RED, model=""))

        assert (empty.code, empty.fields) == ("INVALID_ARGUMENT", ["images"])
        assert (many.code, many.fields) == ("INVALID_ARGUMENT", ["images"])
        assert (above.code, above.fields) == ("INVALID_ARGUMENT", ["top_k"])
        assert "4" in above.message
        assert "3 classes" in above.message
        assert (none.code, none.fields) == ("INVALID_ARGUMENT", ["top_k"])
        assert (unknown.code, unknown.fields, unknown.resource) == ("NOT_FOUND", ["model"], "tulips")
        assert (version.code, version.fields) == ("NOT_FOUND", ["model"])
        assert odd.code == "NOT_FOUND"
        assert (unnamed.code, unnamed.fields) == ("INVALID_ARGUMENT", ["model"])
        assert (await client.predict(RED)).results


async def test_a_message_of_50_mb_is_refused_and_the_service_goes_on(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        refusal = await refused(client.predict(bytes(50_000_000)))

        assert refusal.code == "RESOURCE_EXHAUSTED"
        assert (await client.predict(RED)).results


async def test_more_images_than_are_admitted_are_refused_with_a_time_to_retry(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")], max_queued_images=20) as (service, client):
        big = encoded((1, 2, 3), size=1500)
        busy = asyncio.create_task(client.predict(*[big] * 16))
        await classifying(service)

        refusal = await refused(client.predict(*[RED] * 10))

        assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
        assert 0.05 <= refusal.retry_s <= 5
        assert len((await busy).results) == 16
        assert (await client.predict(*[RED] * 20)).results


async def test_a_request_that_is_given_up_makes_room_for_others(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")], max_queued_images=64) as (service, client):
        big = encoded((1, 2, 3), size=2000)
        given_up = asyncio.create_task(client.predict(*[big] * 64))
        await classifying(service)

        given_up.cancel()
        await idle(service)

        assert (await client.predict(*[RED] * 64)).results


def huge_png() -> bytes:
    """A PNG whose header claims 65,000 x 65,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 65_000, 65_000, 8, 2, 0, 0, 0)
    return RED[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + RED[33:]
