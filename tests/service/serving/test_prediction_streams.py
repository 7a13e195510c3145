"""PredictStream: ordered, read only as fast as it is answered, ended in order."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.wrappers_pb2 import BytesValue
from published_models import published
from running_service import Refusal, classifying, idle, make_config, running
from tiny_package import BLUE, CLASSES, GREEN, RED, encoded

from cultivar.v1 import prediction_pb2
from cultivar_service.api.in_order import in_order
from cultivar_service.transport.adapter import _parsed


def request(identifier: str, *images: bytes, model: str = "flowers") -> prediction_pb2.PredictStreamRequest:
    return prediction_pb2.PredictStreamRequest(
        id=identifier, request=prediction_pb2.PredictRequest(model=model, images=images)
    )


async def test_answers_come_in_the_order_of_their_requests(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        slow = encoded((220, 10, 20), size=1000)
        images = [slow if index % 7 == 0 else (RED, GREEN, BLUE)[index % 3] for index in range(100)]
        stream = client.predictions.PredictStream(request(str(index), one) for index, one in enumerate(images))
        answers = [answer async for answer in stream]

        assert [answer.id for answer in answers] == [str(index) for index in range(100)]
        for index, answer in enumerate(answers):
            best = answer.response.results[0].classification.classes[0].class_id
            assert best == CLASSES[0 if index % 7 == 0 else index % 3]


async def test_a_silent_stream_holds_no_request_that_is_answered(tmp_path: Path) -> None:
    class Request:
        def ByteSize(self) -> int:
            return 1

    held: list[weakref.ref[Request]] = []

    def parse(_: bytes) -> Request:
        request = Request()
        held.append(weakref.ref(request))
        return request

    async def messages() -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()

    async def answer(_: Request) -> str:
        return "answer"

    async with running(make_config(tmp_path)) as (service, _):
        requests = service._grpc._adapter._until_drained(_parsed(parse, messages()), None)
        stream = in_order(requests, answer, max_requests=2, max_bytes=10)
        assert await anext(stream) == "answer"
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)

        assert held[0]() is None

        waiting.cancel()
        await asyncio.wait({waiting})


async def test_a_refused_request_gets_its_error_and_the_stream_goes_on(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        requests = [
            request("a", RED),
            request("b", RED, model="tulips"),
            request("c"),
            request("d", b"no image", GREEN),
            request("e", BLUE),
        ]
        answers = [answer async for answer in client.predictions.PredictStream(iter(requests))]

        assert [answer.WhichOneof("result") for answer in answers] == [
            "response",
            "error",
            "error",
            "response",
            "response",
        ]
        unknown, empty = answers[1].error, answers[2].error
        assert (unknown.code, unknown.reason, unknown.field) == ("NOT_FOUND", "MODEL_NOT_FOUND", "model")
        assert (empty.code, empty.reason, empty.field) == ("INVALID_ARGUMENT", "NO_IMAGES", "images")
        assert answers[3].response.results[0].error.reason == "UNKNOWN_IMAGE_FORMAT"
        assert answers[3].response.results[1].HasField("classification")


async def test_draining_answers_what_was_read_and_ends_the_stream(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (service, client):
        stream = client.predictions.PredictStream()
        big = encoded((1, 2, 3), size=1500)
        for number in range(4):
            await stream.write(request(str(number), *[big] * 4))
        await classifying(service)
        closing = asyncio.create_task(service.drain())
        answers, end = await until_end(stream)
        await closing

        assert answers
        assert [answer.id for answer in answers] == ["0", "1", "2", "3"][: len(answers)]
        refusal = Refusal(end)
        assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "DRAINING")


async def test_a_stream_that_is_given_up_drops_what_waits(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with published(tmp_path, [make_package("one")]) as (service, client):
        stream = client.predictions.PredictStream()
        big = encoded((1, 2, 3), size=2000)
        for number in range(8):
            await stream.write(request(str(number), *[big] * 16))
        await classifying(service)
        stream.cancel()
        await idle(service)

        assert (await client.predict(RED)).results
        counted = service.metrics.registry.get_sample_value(
            "cultivar_grpc_requests_total", {"method": "PredictStream", "code": "CANCELLED"}
        )
        assert counted == 1


class Source:
    """A stream of requests that knows how far it was read."""

    def __init__(self, requests: Sequence[BytesValue], end: Exception | None = None) -> None:
        self.requests, self.end, self.read = requests, end, 0

    async def __aiter__(self) -> AsyncIterator[BytesValue]:
        for one in self.requests:
            self.read += 1
            yield one
        if self.end is not None:
            raise self.end


async def until_end(stream: Any) -> tuple[list[Any], Exception]:
    """Read a stream that fails; return what came before, and the error."""
    got = []
    try:
        async for one in stream:
            got.append(one)
    except Exception as error:
        return got, error
    raise AssertionError(f"ended well: {got}")


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_stream_is_read_only_as_far_as_its_window_goes() -> None:
    gate = asyncio.Event()

    async def answer(request: BytesValue) -> bytes:
        await gate.wait()
        return request.value

    for size, limit, window in ((1, 1000, 4), (100, 250, 3)):
        gate.clear()
        source = Source([BytesValue(value=bytes([index]) * size) for index in range(20)])
        answers = in_order(aiter(source), answer, max_requests=4, max_bytes=limit)
        first = asyncio.ensure_future(anext(answers))
        await settle()
        assert source.read == window
        gate.set()
        got = [await first]
        await settle()
        assert source.read <= window + 1, "nobody takes the answers, so nothing more is read"
        got += [one async for one in answers]
        assert [one[0] for one in got] == list(range(20))


async def test_an_error_of_the_stream_comes_after_the_answers_to_what_it_held() -> None:
    async def answer(request: BytesValue) -> bytes:
        await asyncio.sleep(0.01)
        return request.value

    source = Source([BytesValue(value=b"a"), BytesValue(value=b"b")], end=RuntimeError("broken"))
    got, end = await until_end(in_order(aiter(source), answer, max_requests=4, max_bytes=100))

    assert got == [b"a", b"b"]
    assert str(end) == "broken"


async def test_leaving_a_stream_cancels_what_is_under_way() -> None:
    cancelled = []

    async def answer(request: BytesValue) -> bytes:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(request.value)
            raise
        return request.value

    source = Source([BytesValue(value=b"a"), BytesValue(value=b"b")])
    leaving = asyncio.ensure_future(anext(in_order(aiter(source), answer, max_requests=4, max_bytes=100)))
    await settle()
    leaving.cancel()
    await asyncio.wait([leaving])

    assert cancelled == [b"a", b"b"]
