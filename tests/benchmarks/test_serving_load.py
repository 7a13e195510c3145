"""The load generator, against a real gRPC server whose answers and refusals are scripted."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from benchmarks.serving import http_client, load, protocols, wire
from cultivar.v1 import prediction_pb2

IMAGES = [bytes([number]) for number in range(4)]
"""Their one byte is the class that the server answers."""


def answer(image: bytes) -> bytes:
    classes = [prediction_pb2.ClassProbability(index=image[0], probability=0.9)]
    classification = prediction_pb2.Classification(classes=classes)
    result = prediction_pb2.ImageResult(classification=classification)
    return prediction_pb2.PredictResponse(results=[result]).SerializeToString()


def image_of(request: bytes) -> bytes:
    return prediction_pb2.PredictRequest.FromString(request).images[0]


async def refuse(context: grpc.aio.ServicerContext, *, retry_ms: int) -> None:
    reason, retry = any_pb2.Any(), any_pb2.Any()
    reason.Pack(error_details_pb2.ErrorInfo(reason="QUEUE_FULL", domain="cultivar"))
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(retry_ms)
    retry.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message="full", details=[reason, retry])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")


Predict = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]


@asynccontextmanager
async def serving(predict: Predict) -> AsyncIterator[str]:
    async def predict_stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for one in requests:
            inner = wire.StreamRequest.FromString(one).request
            yield wire.StreamResponse(response=await predict(inner, context)).SerializeToString()

    server = grpc.aio.server()
    handlers = {
        "Predict": grpc.unary_unary_rpc_method_handler(predict),
        "PredictStream": grpc.stream_stream_rpc_method_handler(predict_stream),
    }
    name = "cultivar.v1.PredictionService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def figures(tmp_path: Path, predict: Predict, *flags: str, expected: Sequence[int] = (0, 1, 2, 3)) -> dict[str, Any]:
    """Return the load generator's line for a server that answers so."""
    for number, image in enumerate(IMAGES):
        (tmp_path / f"{number}.jpg").write_bytes(image)
    right = tmp_path / "expected.json"
    right.write_text(str(list(expected)))

    async def measured() -> dict[str, Any]:
        async with serving(predict) as address:
            asked = ["--address", address, "--images", str(tmp_path), "--expected", str(right), "--warm-up", "0.05"]
            return await load.run(load.parser().parse_args([*asked, *flags]))

    return asyncio.run(measured())


async def at_once(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    return answer(image_of(request))


@pytest.mark.parametrize("protocol", ["cultivar", "cultivar-stream"])
def test_a_closed_loop_counts_right_and_wrong_answers(tmp_path: Path, protocol: str) -> None:
    seen = figures(tmp_path, at_once, "--seconds", "0.2", "--protocol", protocol, expected=(0, 1, 2, 9))

    assert seen["answered"] > 40
    assert seen["wrong"] == pytest.approx(seen["answered"] / 4, rel=0.3)
    assert seen["goodput"] == pytest.approx((seen["answered"] - seen["wrong"]) / seen["seconds"], rel=0.01)
    assert seen["latency_ms"]["p50"] <= seen["latency_ms"]["p99"] <= seen["latency_ms"]["max"]
    assert not seen["errors"]


def test_a_refused_client_waits_as_long_as_it_is_told_or_tries_at_once(tmp_path: Path) -> None:
    async def full(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await refuse(context, retry_ms=100)
        raise AssertionError

    patient = figures(tmp_path, full, "--seconds", "0.4", "--concurrency", "2", "--retry", "honour")
    eager = figures(tmp_path, full, "--seconds", "0.4", "--concurrency", "2", "--retry", "at-once")

    assert 4 <= patient["errors"]["RESOURCE_EXHAUSTED/QUEUE_FULL"] <= 8
    assert eager["errors"]["RESOURCE_EXHAUSTED/QUEUE_FULL"] > 40
    assert patient["answered"] == eager["answered"] == 0


def test_an_open_loop_counts_the_wait_that_a_stall_causes(tmp_path: Path) -> None:
    async def predict(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        nonlocal stalled
        if not stalled:
            stalled = True
            asyncio.get_running_loop().call_later(0.3, time.sleep, 0.3)  # of server and client: none is sent meanwhile
        return answer(image_of(request))

    stalled = False
    seen = figures(tmp_path, predict, "--seconds", "0.8", "--rate", "100")

    # Three in eight should have been sent during the stall, and waited for its end.
    assert seen["latency_ms"]["p90"] > 100
    assert seen["answered"] > 40


def test_a_window_leaves_warm_up_and_afterwards_out() -> None:
    window = load.Window(begin=10.0, end=20.0)

    for now in (9.9, 10.0, 19.9, 20.0):
        window.answered(now - 0.5, now - 1, now, right=True)
        window.refused(protocols.Refused("UNAVAILABLE"), now)

    assert len(window.latencies_s) == 2
    assert window.errors == {"UNAVAILABLE": 2}


def test_open_inference_answers_are_read_raw_and_typed() -> None:
    ranked = wire.InferResponse(raw_output_contents=[(7).to_bytes(8, "little") + bytes(32)])
    ranked.outputs.add(name="classes", datatype="INT64", shape=[1, 5])
    typed = wire.InferResponse()
    typed.outputs.add(name="classes", datatype="INT64").contents.int64_contents.extend([8, 1])
    labelled = b"0.5:9:rose"
    extension = wire.InferResponse(raw_output_contents=[len(labelled).to_bytes(4, "little") + labelled])
    extension.outputs.add(name="probabilities", datatype="BYTES", shape=[1, 1])

    assert [protocols.infer_top1(one.SerializeToString()) for one in (ranked, typed, extension)] == [7, 8, 9]


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n",
    ],
)
def test_http_answers_are_read_whole_however_they_arrive(reply: bytes) -> None:
    async def asked_twice() -> list[tuple[int, bytes]]:
        closed = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(1000):
                for byte in reply:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0)
            writer.close()
            await writer.wait_closed()
            closed.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            connection = http_client.HttpConnection("127.0.0.1", server.sockets[0].getsockname()[1])
            answers = await asyncio.gather(connection.ask(b"GET"), connection.ask(b"GET"))
            connection.close()
            await closed.wait()
        return answers

    assert asyncio.run(asked_twice()) == [(200, b"hello world")] * 2
