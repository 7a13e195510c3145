"""Calls a service with tritonclient, in a process and environment of its own, and prints what came back as JSON.

Usage: triton_calls.py ADDRESS FOLDER. The folder holds `pixels.npy` (N, S, S, C) and the same images as `0.jpg` ...
"""

import asyncio
import json
import queue
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

MODEL = "flowers"


def main(address: str, folder: Path) -> None:
    pixels = np.load(folder / "pixels.npy")
    files = np.array([(folder / f"{index}.jpg").read_bytes() for index in range(len(pixels))], dtype=np.object_)
    client = triton.InferenceServerClient(address)

    def infer(inputs: list[Any], **fields: Any) -> Any:
        return client.infer(MODEL, inputs, **fields)

    raw, encoded = tensor(pixels, "UINT8"), tensor(files, "BYTES")
    labelled = [triton.InferRequestedOutput("probabilities", class_count=2)]
    first = infer([raw], request_id="seven", timeout=30_000_000, priority=1)
    answers = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(MODEL),
        "version_ready": client.is_model_ready(MODEL, "1"),
        "server": client.get_server_metadata(as_json=True),
        "metadata": client.get_model_metadata(MODEL, as_json=True),
        "config": client.get_model_config(MODEL, as_json=True),
        "index": client.get_model_repository_index(as_json=True),
        "response": {
            "id": first.get_response().id,
            "version": first.get_response().model_version,
            "training_job": first.get_response().parameters["training_job"].string_param,
        },
        "pixels": first.as_numpy("probabilities").tolist(),
        "logits": first.as_numpy("logits").tolist(),
        "encoded": infer([encoded]).as_numpy("probabilities").tolist(),
        "labels": [
            [one.decode() for one in row] for row in infer([encoded], outputs=labelled).as_numpy("probabilities")
        ],
        "named_version": client.infer(f"{MODEL}/versions/1", [encoded], "1").as_numpy("probabilities").tolist(),
        "asynchronous": asynchronous(client, encoded),
        "aio": asyncio.run(aio(address, pixels)),
        "statistics": client.get_inference_statistics(MODEL, as_json=True),
        "errors": {
            "floats": refusal(lambda: infer([tensor(pixels.astype(np.float32), "FP32")])),
            "shape": refusal(lambda: infer([tensor(pixels[:, :, :-1], "UINT8")])),
            "image": refusal(lambda: infer([tensor(np.array([b"no image"], dtype=np.object_), "BYTES")])),
            "output": refusal(lambda: infer([raw], outputs=[triton.InferRequestedOutput("classes")])),
            "model": refusal(lambda: client.infer("tulips", [raw])),
            "version": refusal(lambda: client.infer(MODEL, [raw], "9")),
            "load": refusal(lambda: client.load_model(MODEL)),
            "shared_memory": refusal(lambda: client.register_system_shared_memory("a", "b", 1)),
        },
    }
    print(json.dumps(answers))


def tensor(values: Any, datatype: str) -> Any:
    image = triton.InferInput("image", list(values.shape), datatype)
    image.set_data_from_numpy(values)
    return image


def asynchronous(client: Any, image: Any) -> list[Any]:
    done: queue.Queue[Any] = queue.Queue()
    for _ in range(8):
        client.async_infer(MODEL, [image], callback=lambda result, error: done.put((result, error)))
    results = [done.get(timeout=20) for _ in range(8)]
    return [str(error) if error else result.as_numpy("probabilities").tolist() for result, error in results]


async def aio(address: str, pixels: Any) -> list[Any]:
    async with triton_aio.InferenceServerClient(address) as client:
        image = triton_aio.InferInput("image", list(pixels.shape), "UINT8")
        image.set_data_from_numpy(pixels)
        results = await asyncio.gather(*(client.infer(MODEL, [image]) for _ in range(8)))
    return [result.as_numpy("probabilities").tolist() for result in results]


def refusal(call: Callable[[], Any]) -> list[str]:
    try:
        return ["answered", repr(call())]
    except InferenceServerException as error:
        return [str(error.status()), str(error.message())]


main(sys.argv[1], Path(sys.argv[2]))
