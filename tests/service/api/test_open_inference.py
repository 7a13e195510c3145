"""The Open Inference Protocol on the wire, spoken with our own stubs."""

import asyncio
import json
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published_models import published
from running_service import Client, Refusal, refused
from tiny_package import BLUE, CLASSES, GREEN, PREPROCESSING, RED, SIZE, probabilities

from cultivar.open_inference import open_inference_pb2 as pb
from cultivar.open_inference import open_inference_pb2_grpc
from cultivar_contract import preprocessing
from cultivar_service.api.open_inference.parameters import in_time
from cultivar_service.caller import Caller
from cultivar_service.errors import InvalidRequest

IMAGES = (RED, GREEN, BLUE)
PIXELS = np.stack([preprocessing.load(image, PREPROCESSING) for image in IMAGES])
EXPECTED = np.stack([probabilities(image, 4.0) for image in IMAGES])


def stub(client: Client) -> Any:
    return open_inference_pb2_grpc.GRPCInferenceServiceStub(client.channel)


def tensor(datatype: str, shape: Sequence[int], name: str = "image", **fields: Any) -> Any:
    return pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape, **fields)


def of_bytes(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(one)) + one for one in elements)


def raw_request(datatype: str = "BYTES", shape: Sequence[int] = (3,), raw: bytes | None = None, **fields: Any) -> Any:
    data = of_bytes(*IMAGES) if raw is None else raw
    request = {"model_name": "flowers", "inputs": [tensor(datatype, shape)], "raw_input_contents": [data], **fields}
    return pb.ModelInferRequest(**request)


def asked_for(name: str, **parameters: int) -> Any:
    output = pb.ModelInferRequest.InferRequestedOutputTensor(name=name)
    for key, value in parameters.items():
        output.parameters[key].int64_param = value
    return output


def floats(answer: Any, index: int = 0) -> np.ndarray:
    assert answer.outputs[index].datatype == "FP32"
    assert not answer.outputs[index].HasField("contents")
    return np.frombuffer(answer.raw_output_contents[index], "<f4").reshape(answer.outputs[index].shape)


def labels(answer: Any, index: int = 0) -> list[list[str]]:
    assert answer.outputs[index].datatype == "BYTES"
    raw, found, position = answer.raw_output_contents[index], [], 0
    while position < len(raw):
        (length,) = struct.unpack_from("<I", raw, position)
        found.append(raw[position + 4 : position + 4 + length].decode())
        position += 4 + length
    rows, columns = answer.outputs[index].shape
    return np.array(found).reshape(rows, columns).tolist()


async def test_pixels_and_encoded_images_raw_and_typed_get_the_same_answers(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        uint = pb.InferTensorContents(uint_contents=PIXELS.ravel().tolist())
        encoded = pb.InferTensorContents(bytes_contents=IMAGES)
        requests = (
            raw_request(),
            raw_request("UINT8", PIXELS.shape, PIXELS.tobytes()),
            pb.ModelInferRequest(model_name="flowers", inputs=[tensor("BYTES", [3], contents=encoded)]),
            pb.ModelInferRequest(model_name="flowers", inputs=[tensor("UINT8", PIXELS.shape, contents=uint)]),
        )
        for request in requests:
            answer = await stub(client).ModelInfer(request)

            assert [one.name for one in answer.outputs] == ["probabilities", "logits"]
            np.testing.assert_allclose(floats(answer), EXPECTED, atol=1e-6)
            logits = floats(answer, 1).astype(np.float64)
            softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            np.testing.assert_allclose(softmax, EXPECTED, atol=1e-6)


async def test_answers_say_where_they_come_from_in_both_apis(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    folder = make_package("one")
    sha256 = json.loads((folder / "manifest.json").read_text())["variants"][0]["sha256"]
    async with published(tmp_path, [folder]) as (_, client):
        answer = await stub(client).ModelInfer(raw_request(id="seven"))
        predicted = await client.predict(RED)

        assert (answer.model_name, answer.model_version, answer.id) == ("flowers", "1", "seven")
        assert {key: value.string_param or value.int64_param for key, value in answer.parameters.items()} == {
            "version": "models/flowers/versions/1",
            "training_job": "trainingJobs/x",
            "onnx_sha256": sha256,
            "execution_provider": "CPUExecutionProvider",
            "preprocessing_version": PREPROCESSING.version,
        }
        assert predicted.provenance.training_job == "trainingJobs/x"
        assert predicted.provenance.onnx_sha256 == sha256
        assert predicted.provenance.execution_provider == "CPUExecutionProvider"
        assert predicted.provenance.preprocessing_version == PREPROCESSING.version


async def test_outputs_come_as_asked_for_with_labels_where_wanted(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        outputs = [asked_for("logits", classification=1), asked_for("probabilities")]
        answer = await stub(client).ModelInfer(raw_request(outputs=outputs))
        two = await stub(client).ModelInfer(raw_request(outputs=[asked_for("probabilities", classification=2)]))

        assert [one.name for one in answer.outputs] == ["logits", "probabilities"]
        assert [one[0].split(":")[1:] for one in labels(answer)] == [
            [str(index), name.title()] for index, name in enumerate(CLASSES)
        ]
        np.testing.assert_allclose(floats(answer, 1), EXPECTED, atol=1e-6)
        assert [float(one.split(":")[0]) for row in labels(two) for one in row] == pytest.approx(
            np.sort(EXPECTED, axis=1)[:, :0:-1].ravel().tolist(), abs=1e-6
        )


async def test_versions_are_named_in_every_form(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with published(tmp_path, [make_package("one"), make_package("two", sharpness=2.0)]) as (_, client):

        async def version(name: str, version: str = "") -> str:
            request = raw_request(model_name=name, model_version=version)
            return (await stub(client).ModelInfer(request)).model_version

        assert await version("flowers") == await version("flowers@live") == await version("flowers", "1") == "1"
        assert await version("flowers/versions/2") == await version("models/flowers", "2") == "2"
        assert await version("flowers/versions/2", "2") == "2"
        for name, number, code, field in (
            ("tulips", "", "NOT_FOUND", "model_name"),
            ("", "", "INVALID_ARGUMENT", "model_name"),
            ("flowers@canary", "", "NOT_FOUND", "model_name"),
            ("flowers", "3", "NOT_FOUND", "model_version"),
            ("flowers", "latest", "INVALID_ARGUMENT", "model_version"),
            ("flowers/versions/2", "1", "INVALID_ARGUMENT", "model_version"),
        ):
            refusal = await refused(version(name, number))
            assert (refusal.code, refusal.fields) == (code, [field]), name


WRONG = {
    "no input": ({"inputs": []}, "inputs"),
    "an unknown input": ({"inputs": [tensor("BYTES", [3], name="pixels")]}, "inputs[0].name"),
    "an input twice": ({"inputs": [tensor("BYTES", [3])] * 2}, "inputs[1].name"),
    "contents beside raw": (
        {"inputs": [tensor("BYTES", [3], contents=pb.InferTensorContents(bytes_contents=IMAGES))]},
        "inputs[0].contents",
    ),
    "contents of another type": (
        {
            "inputs": [tensor("BYTES", [1], contents=pb.InferTensorContents(fp32_contents=[1.0]))],
            "raw_input_contents": [],
        },
        "inputs[0].contents.fp32_contents",
    ),
    "two buffers": ({"raw_input_contents": [b"", b""]}, "raw_input_contents"),
    "no data": ({"raw_input_contents": []}, "raw_input_contents"),
    "floats": ({"inputs": [tensor("FP32", [1, SIZE, SIZE, 3])]}, "inputs[0].datatype"),
    "channels first": ({"inputs": [tensor("UINT8", [1, 3, SIZE, SIZE])]}, "inputs[0].shape"),
    "a missing dimension": ({"inputs": [tensor("UINT8", [SIZE, SIZE, 3])]}, "inputs[0].shape"),
    "a negative dimension": ({"inputs": [tensor("UINT8", [-1, SIZE, SIZE, 3])]}, "inputs[0].shape"),
    "an empty batch": ({"inputs": [tensor("BYTES", [0])]}, "inputs[0].shape"),
    "a product beyond 64 bits": ({"inputs": [tensor("UINT8", [2**62, SIZE, SIZE, 3])]}, "inputs[0].shape"),
    "too many images": ({"inputs": [tensor("BYTES", [257])]}, "inputs[0].shape"),
    "too few bytes": ({"inputs": [tensor("UINT8", [1, SIZE, SIZE, 3])]}, "raw_input_contents[0]"),
    "too few elements": ({"inputs": [tensor("BYTES", [4])]}, "raw_input_contents[0]"),
    "trailing bytes": ({"raw_input_contents": [of_bytes(*IMAGES) + b"x"]}, "raw_input_contents[0]"),
    "a length beyond the buffer": ({"raw_input_contents": [of_bytes(*IMAGES)[:-1]]}, "raw_input_contents[0]"),
    "numbers above 255": (
        {
            "inputs": [
                tensor(
                    "UINT8", [1, SIZE, SIZE, 3], contents=pb.InferTensorContents(uint_contents=[256] * SIZE * SIZE * 3)
                )
            ],
            "raw_input_contents": [],
        },
        "inputs[0].contents.uint_contents",
    ),
    "an unknown output": ({"outputs": [asked_for("classes")]}, "outputs[0].name"),
    "an output twice": ({"outputs": [asked_for("logits"), asked_for("logits")]}, "outputs[1].name"),
    "no labels": ({"outputs": [asked_for("logits", classification=0)]}, "outputs[0].parameters[classification]"),
    "more labels than classes": (
        {"outputs": [asked_for("logits", classification=4)]},
        "outputs[0].parameters[classification]",
    ),
    "shared memory": (
        {"outputs": [asked_for("logits", shared_memory_offset=0)]},
        "outputs[0].parameters[shared_memory_offset]",
    ),
    "a negative timeout": ({"parameters": {"timeout": pb.InferParameter(int64_param=-1)}}, "parameters[timeout]"),
    "a timeout in words": ({"parameters": {"timeout": pb.InferParameter(string_param="1s")}}, "parameters[timeout]"),
}


async def test_tensors_that_do_not_fit_are_refused_at_their_field(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        for name, (fields, field) in WRONG.items():
            refusal = await refused(stub(client).ModelInfer(raw_request(**fields)))

            assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", [field]), name
        cut_off = await refused(stub(client).ModelInfer(raw_request(raw=of_bytes(*IMAGES)[:-1])))
        assert f"element 2 has {len(BLUE)} bytes by its length, {len(BLUE) - 1} follow" in cut_off.message
        assert (await stub(client).ModelInfer(raw_request())).outputs


async def test_an_unreadable_image_fails_its_call_and_no_other(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one")]) as (_, client):
        spoilt = raw_request(raw=of_bytes(RED, b"no image", BLUE))
        calls = [stub(client).ModelInfer(spoilt if index % 4 == 3 else raw_request()) for index in range(16)]
        answers = await asyncio.gather(*map(asyncio.ensure_future, calls), return_exceptions=True)

        for index, answer in enumerate(answers):
            if index % 4 == 3:
                refusal = Refusal(answer)
                assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ["inputs[0]"])
                assert refusal.reason == "UNKNOWN_IMAGE_FORMAT"
                assert "element 1" in refusal.message
            else:
                np.testing.assert_allclose(floats(answer), EXPECTED, atol=1e-6)


def test_a_timeout_only_ever_shortens_the_caller_s_patience() -> None:
    now = time.monotonic()
    second = {"timeout": pb.InferParameter(uint64_param=1_000_000)}

    assert in_time(Caller(request_id="x"), second).deadline == pytest.approx(now + 1, abs=0.5)
    assert in_time(Caller(request_id="x", deadline=now + 0.1), second).deadline == now + 0.1
    assert in_time(Caller(request_id="x", deadline=now + 60), second).deadline == pytest.approx(now + 1, abs=0.5)
    assert in_time(Caller(request_id="x"), {"timeout": pb.InferParameter(int64_param=0)}).deadline is None
    with pytest.raises(InvalidRequest):
        in_time(Caller(request_id="x"), {"timeout": pb.InferParameter(double_param=1)})


async def test_server_and_models_describe_themselves(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    packages = [make_package("one"), make_package("two"), make_package("broken", golden_error=0.5)]
    async with published(tmp_path, packages) as (_, client):
        inference = stub(client)

        assert (await inference.ServerLive(pb.ServerLiveRequest())).live
        assert (await inference.ServerReady(pb.ServerReadyRequest())).ready
        assert "classification" in (await inference.ServerMetadata(pb.ServerMetadataRequest())).extensions
        metadata = await inference.ModelMetadata(pb.ModelMetadataRequest(name="flowers"))
        assert (metadata.name, list(metadata.versions), metadata.platform) == ("flowers", ["1", "2"], "onnx_onnxv1")
        assert [(one.name, one.datatype, list(one.shape)) for one in metadata.inputs] == [
            ("image", "UINT8", [-1, SIZE, SIZE, 3])
        ]
        assert [(one.name, one.datatype, list(one.shape)) for one in metadata.outputs] == [
            ("probabilities", "FP32", [-1, 3]),
            ("logits", "FP32", [-1, 3]),
        ]
        assert json.loads(metadata.properties["class_ids"]) == list(CLASSES)
        config = (await inference.ModelConfig(pb.ModelConfigRequest(name="flowers", version="2"))).config
        assert (config.name, config.max_batch_size, config.HasField("dynamic_batching")) == ("flowers", 256, True)
        assert list(config.input[0].dims) == [SIZE, SIZE, 3]
        index = (await inference.RepositoryIndex(pb.RepositoryIndexRequest())).models
        assert [(one.name, one.version, one.state) for one in index] == [
            ("flowers", "1", "READY"),
            ("flowers", "2", "READY"),
            ("flowers", "3", "UNAVAILABLE"),
        ]
        assert "golden" in index[2].reason
        ready = (await inference.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))).models
        assert [one.version for one in ready] == ["1", "2"]
        elsewhere = await refused(inference.RepositoryIndex(pb.RepositoryIndexRequest(repository_name="s3")))
        assert elsewhere.fields == ["repository_name"]
        unbuilt = client.channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelLoad")
        assert (await refused(unbuilt(b""))).code == "UNIMPLEMENTED"


async def test_a_model_is_ready_where_it_can_answer(tmp_path: Path, make_package: Callable[..., Path]) -> None:
    async with published(tmp_path, [make_package("one"), make_package("broken", golden_error=0.5)]) as (_, client):

        async def ready(name: str, version: str = "") -> bool:
            return (await stub(client).ModelReady(pb.ModelReadyRequest(name=name, version=version))).ready

        assert await ready("flowers")
        assert await ready("flowers", "1")
        assert not await ready("flowers", "2")
        assert (await refused(ready("flowers", "3"))).code == "NOT_FOUND"
        assert (await refused(ready("tulips"))).code == "NOT_FOUND"


async def test_statistics_count_requests_images_and_batches_of_each_version(
    tmp_path: Path, make_package: Callable[..., Path]
) -> None:
    async with published(tmp_path, [make_package("one"), make_package("two")]) as (_, client):

        async def statistics(name: str = "", version: str = "") -> list[Any]:
            request = pb.ModelStatisticsRequest(name=name, version=version)
            return list((await stub(client).ModelStatistics(request)).model_stats)

        for _ in range(3):
            await stub(client).ModelInfer(raw_request())
        await refused(stub(client).ModelInfer(raw_request(raw=of_bytes(RED, b"", BLUE))))
        await client.predict(RED, GREEN)
        (live,) = await statistics("flowers")
        (unused,) = await statistics("flowers", "2")

        assert (live.name, live.version) == ("flowers", "1")
        assert (live.inference_stats.success.count, live.inference_stats.fail.count) == (4, 1)
        assert live.inference_stats.success.ns > live.inference_stats.compute_infer.ns / 3 > 0
        assert live.inference_count == 3 * 3 + 2 + 2
        assert live.execution_count == sum(one.compute_infer.count for one in live.batch_stats)
        assert sum(one.batch_size * one.compute_infer.count for one in live.batch_stats) == live.inference_count
        assert live.inference_stats.compute_input.count >= 9
        assert live.inference_stats.compute_output.count == 3
        assert abs(live.last_inference / 1000 - time.time()) < 60
        assert (unused.version, unused.inference_count) == ("2", 0)
        assert [one.version for one in await statistics()] == ["1"]
        assert (await refused(statistics("tulips"))).code == "NOT_FOUND"
        assert (await refused(statistics("", "2"))).fields == ["name"]
