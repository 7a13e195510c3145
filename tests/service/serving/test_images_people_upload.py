"""Images as people upload them, over the wire: each answered as its picture should be, or refused by its reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_kinds import KINDS, encode
from PIL import Image
from published_models import published
from running_service import refused
from tiny_package import probabilities

from cultivar.open_inference import open_inference_pb2, open_inference_pb2_grpc
from cultivar.v1 import prediction_pb2

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
READABLE = [kind for kind in KINDS if kind.expected is not None]


def expected(pixels: np.ndarray) -> np.ndarray:
    return probabilities(encode(Image.fromarray(np.ascontiguousarray(pixels))), 4.0)


async def test_every_kind_of_image_is_classified_as_its_picture_or_refused_alone(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        response = await client.predict(*(kind.encoded for kind in KINDS), all_probabilities=True)

        for kind, result in zip(KINDS, response.results, strict=True):
            if kind.expected is None:
                assert (result.error.code, result.error.reason) == ("INVALID_ARGUMENT", kind.reason), kind.name
                assert kind.says in result.error.message, kind.name
            else:
                answer = np.array(result.classification.probabilities)
                assert np.abs(answer - expected(kind.expected)).max() < 0.02, kind.name


async def test_every_kind_of_image_is_classified_or_refused_in_a_tensor_of_bytes(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        stub = open_inference_pb2_grpc.GRPCInferenceServiceStub(client.channel)

        def request(images: list[bytes]) -> open_inference_pb2.ModelInferRequest:
            tensor = open_inference_pb2.ModelInferRequest.InferInputTensor(
                name="image", datatype="BYTES", shape=[len(images)], contents={"bytes_contents": images}
            )
            return open_inference_pb2.ModelInferRequest(model_name="flowers", inputs=[tensor])

        response = await stub.ModelInfer(request([kind.encoded for kind in READABLE]))

        answers = np.frombuffer(response.raw_output_contents[0], np.float32).reshape(-1, 3)
        for kind, answer in zip(READABLE, answers, strict=True):
            assert np.abs(answer - expected(kind.expected)).max() < 0.02, kind.name
        for kind in KINDS:
            if kind.expected is None:
                refusal = await refused(stub.ModelInfer(request([kind.encoded])))
                assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", kind.reason), kind.name
                assert kind.says in refusal.message, kind.name


async def test_a_stream_goes_on_after_every_kind_of_image(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        requests = [
            prediction_pb2.PredictStreamRequest(request={"model": "flowers", "images": [kind.encoded]})
            for kind in KINDS
        ]
        answers = [answer async for answer in client.predictions.PredictStream(iter(requests))]

    reasons = [answer.response.results[0].error.reason for answer in answers]
    assert reasons == [kind.reason for kind in KINDS]
