"""How each protocol asks for a classification, with as little work for the client's core as can be."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import grpc
from google.rpc import error_details_pb2, status_pb2

from benchmarks.serving import http_client, wire
from cultivar.v1 import prediction_pb2

MODEL = "bench"
TOP_K = 5
OPEN_INFERENCE = "/inference.GRPCInferenceService/ModelInfer"
PREDICT_STREAM = "/cultivar.v1.PredictionService/PredictStream"
PREDICT = "/cultivar.v1.PredictionService/Predict"
TORCHSERVE = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
_CHANNEL = (
    ("grpc.use_local_subchannel_pool", 1),  # a connection per channel, as separate clients have
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)


class Refused(Exception):
    """A request without an answer."""

    def __init__(self, code: str, reason: str = "", retry_s: float | None = None) -> None:
        super().__init__(f"{code}/{reason}" if reason else code)
        self.retry_s = retry_s
        """Seconds that the server asks to wait before another try; None: it doesn't say."""


class Connection(Protocol):
    """One client's way to a server."""

    async def ask(self, index: int) -> int:
        """Send request number `index`; return the most probable class.

        Raises:
            Refused: it was not answered.
        """

    async def close(self) -> None:
        """Close it."""


class GrpcConnection:
    """A channel; requests are serialised beforehand."""

    def __init__(self, address: str, method: str, requests: Sequence[bytes], top1: Callable[[bytes], int]) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_CHANNEL)
        self._call = self._channel.unary_unary(method)
        self._requests = requests
        self._top1 = top1

    async def ask(self, index: int) -> int:
        """Send a request; return the most probable class."""
        try:
            answer = await self._call(self._requests[index])
        except grpc.aio.AioRpcError as error:
            raise refusal(error) from None
        return self._top1(answer)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


class StreamConnection:
    """One bidirectional stream; answers come in the order of the requests, as many of which may be under way."""

    def __init__(self, address: str, requests: Sequence[bytes]) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_CHANNEL)
        self._open = self._channel.stream_stream(PREDICT_STREAM)
        self._requests = requests
        self._writing = asyncio.Lock()
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None

    async def ask(self, index: int) -> int:
        """Send a request on the stream, which is opened anew where it has ended; return the most probable class."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with self._writing:
            if self._reader is None or self._reader.done():
                self._call = self._open()
                self._reader = asyncio.create_task(self._read(self._call))
            self._waiting.append(answer)
            # Where it fails, the reader sees why the stream has ended and tells everyone who waits.
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await self._call.write(self._requests[index])
        return await answer

    async def close(self) -> None:
        """End the stream and close the channel."""
        if self._reader is not None:
            self._call.cancel()
            await asyncio.wait([self._reader])
        await self._channel.close()

    async def _read(self, call: Any) -> None:
        error = Refused("STREAM_ENDED")
        try:
            while (message := await call.read()) is not grpc.aio.EOF:
                waiting = self._waiting.popleft()
                try:
                    top1 = stream_top1(message)
                except Refused as refused:
                    waiting.set_exception(refused)
                else:
                    waiting.set_result(top1)
        except grpc.aio.AioRpcError as ended:
            error = refusal(ended)
        except asyncio.CancelledError:  # how a call that was cancelled here ends
            error = Refused("CANCELLED")
        while self._waiting:
            self._waiting.popleft().set_exception(error)


class HttpJson:
    """A kept connection; answers are JSON with a list `classes`, the most probable first."""

    def __init__(self, address: str, requests: Sequence[bytes]) -> None:
        host, _, port = address.rpartition(":")
        self._connection = http_client.HttpConnection(host, int(port))
        self._requests = requests

    async def ask(self, index: int) -> int:
        """Send a request; return the most probable class."""
        try:
            status, body = await self._connection.ask(self._requests[index])
        except OSError as error:
            raise Refused("NO_CONNECTION", type(error).__name__) from None
        if status != 200:
            raise Refused(f"HTTP_{status}")
        answer = json.loads(body)
        # BentoML's batched endpoints answer a list, here of one.
        return int((answer[0] if isinstance(answer, list) else answer)["classes"][0])

    async def close(self) -> None:
        """Close the connection."""
        self._connection.close()


Connect = Callable[[str, "Inputs"], Connection]


class Inputs:
    """What is sent: encoded images, or their pixels."""

    def __init__(self, images: Sequence[bytes], pixels: Any = None) -> None:
        self.images = images
        self.pixels = pixels
        """uint8 (count, S, S, 3), or None."""
        self._made: dict[str, list[bytes]] = {}

    def requests(self, kind: str, make: Callable[[bytes], bytes]) -> list[bytes]:
        """Return the serialised requests; they are made once for all connections."""
        if kind not in self._made:
            self._made[kind] = [make(one) for one in self.images]
        return self._made[kind]

    def tensors(self, kind: str, make: Callable[[Any], bytes]) -> list[bytes]:
        """Return the serialised requests that carry pixels (1, S, S, 3)."""
        assert self.pixels is not None, "tensor protocols need --pixels"
        if kind not in self._made:
            self._made[kind] = [make(one[None]) for one in self.pixels]
        return self._made[kind]


def cultivar(address: str, inputs: Inputs) -> Connection:
    """Predict of our own protocol."""
    return GrpcConnection(address, PREDICT, inputs.requests("cultivar", predict_request), predict_top1)


def cultivar_stream(address: str, inputs: Inputs) -> Connection:
    """PredictStream of our own protocol."""

    def make(image: bytes) -> bytes:
        return bytes(wire.StreamRequest(request=predict_request(image)).SerializeToString())

    return StreamConnection(address, inputs.requests("stream", make))


def infer_jpeg(address: str, inputs: Inputs) -> Connection:
    """ModelInfer of the Open Inference Protocol with a JPEG in a BYTES tensor; top 5 by classification extension."""
    requests = inputs.requests("infer_jpeg", lambda one: infer_request(("BYTES", [1], _raw_bytes(one)), classify=True))
    return GrpcConnection(address, OPEN_INFERENCE, requests, infer_top1)


def infer_uint8(address: str, inputs: Inputs) -> Connection:
    """ModelInfer with a UINT8 tensor; top 5 by classification extension."""
    requests = inputs.tensors("infer_uint8", lambda one: infer_request(_uint8(one), classify=True))
    return GrpcConnection(address, OPEN_INFERENCE, requests, infer_top1)


def peer_infer_jpeg(address: str, inputs: Inputs) -> Connection:
    """ModelInfer for peers, whose own code picks the top 5: output `classes`, the most probable first."""
    requests = inputs.requests("peer_jpeg", lambda one: infer_request(("BYTES", [1], _raw_bytes(one)), classify=False))
    return GrpcConnection(address, OPEN_INFERENCE, requests, infer_top1)


def peer_infer_uint8(address: str, inputs: Inputs) -> Connection:
    """ModelInfer for peers with a UINT8 tensor."""
    requests = inputs.tensors("peer_uint8", lambda one: infer_request(_uint8(one), classify=False))
    return GrpcConnection(address, OPEN_INFERENCE, requests, infer_top1)


def torchserve(address: str, inputs: Inputs) -> Connection:
    """TorchServe's Predictions."""

    def make(image: bytes) -> bytes:
        request = wire.PredictionsRequest(model_name=MODEL)
        request.input.add(key="data", value=image)
        return bytes(request.SerializeToString())

    def top1(answer: bytes) -> int:
        return int(json.loads(wire.PredictionResponse.FromString(answer).prediction)["classes"][0])

    return GrpcConnection(address, TORCHSERVE, inputs.requests("torchserve", make), top1)


def http_body(address: str, inputs: Inputs) -> Connection:
    """POST /predict whose body is the JPEG."""
    return HttpJson(
        address,
        inputs.requests("http_body", lambda one: http_client.post("/predict", address, one, "image/jpeg")),
    )


def http_form(address: str, inputs: Inputs) -> Connection:
    """POST /predict with the JPEG in a form's field `image`."""
    return HttpJson(
        address,
        inputs.requests(
            "http_form", lambda one: http_client.post("/predict", address, *http_client.multipart("image", one))
        ),
    )


PROTOCOLS: dict[str, Connect] = {
    "cultivar": cultivar,
    "cultivar-stream": cultivar_stream,
    "infer-jpeg": infer_jpeg,
    "infer-uint8": infer_uint8,
    "peer-infer-jpeg": peer_infer_jpeg,
    "peer-infer-uint8": peer_infer_uint8,
    "torchserve": torchserve,
    "http-body": http_body,
    "http-form": http_form,
}


def predict_request(image: bytes) -> bytes:
    """Return a serialised PredictRequest."""
    return bytes(prediction_pb2.PredictRequest(model=MODEL, images=[image], top_k=TOP_K).SerializeToString())


def predict_top1(answer: bytes) -> int:
    """Return the most probable class of a PredictResponse.

    Raises:
        Refused: the image was not classified.
    """
    result = prediction_pb2.PredictResponse.FromString(answer).results[0]
    if result.HasField("error"):
        raise Refused(result.error.code, result.error.reason)
    return int(result.classification.classes[0].index)


def stream_top1(message: bytes) -> int:
    """Return the most probable class of a PredictStreamResponse.

    Raises:
        Refused: the request was refused, or its image not classified.
    """
    answer = wire.StreamResponse.FromString(message)
    if answer.HasField("error"):
        raise Refused(answer.error.code, answer.error.reason)
    return predict_top1(answer.response)


def infer_request(tensor: tuple[str, list[int], bytes], *, classify: bool) -> bytes:
    """Return a serialised ModelInferRequest with one raw input (datatype, shape, bytes)."""
    datatype, shape, raw = tensor
    request = wire.InferRequest(model_name=MODEL, raw_input_contents=[raw])
    request.inputs.add(name="image", datatype=datatype, shape=shape)
    if classify:
        output = request.outputs.add(name="probabilities")
        output.parameters.add(key="classification").value.int64_param = TOP_K
    return bytes(request.SerializeToString())


def infer_top1(answer: bytes) -> int:
    """Return the most probable class of a ModelInferResponse.

    Its first output is either classes as INT64, the most probable first, or BYTES `value:index:label`.
    """
    response = wire.InferResponse.FromString(answer)
    output = response.outputs[0]
    if response.raw_output_contents:
        raw = response.raw_output_contents[0]
        if output.datatype == "INT64":
            return int.from_bytes(raw[:8], "little")
        first = raw[4 : 4 + int.from_bytes(raw[:4], "little")]
    elif output.datatype == "INT64":
        return int(output.contents.int64_contents[0])
    else:
        first = output.contents.bytes_contents[0]
    return int(first.split(b":")[1])


def refusal(error: grpc.aio.AioRpcError) -> Refused:
    """Read a failed RPC: code, reason, and how long to wait."""
    reason, retry_s = "", None
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            kind = detail.type_url.rpartition("/")[2]
            if kind == "google.rpc.ErrorInfo":
                reason = error_details_pb2.ErrorInfo.FromString(detail.value).reason
            elif kind == "google.rpc.RetryInfo":
                delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
                retry_s = delay.seconds + delay.nanos / 1e9
    return Refused(error.code().name, reason, retry_s)


def _raw_bytes(image: bytes) -> bytes:
    return len(image).to_bytes(4, "little") + image


def _uint8(pixels: Any) -> tuple[str, list[int], bytes]:
    return "UINT8", list(pixels.shape), pixels.tobytes()
