"""Evaluations as tests ask for them, and the readings that the scripted trainer counts."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from running_service import Client, Refusal

from cultivar.v1 import evaluation_pb2

WEIGHTS = {"architecture": "squeezenet1_0", "weights": "IMAGENET1K_V1"}


def of_weights(client: Client, **fields: Any) -> Any:
    request = evaluation_pb2.EvaluateArchitectureRequest(**{**WEIGHTS, "dataset": "flowers", **fields})
    return client.training.EvaluateArchitecture(request)


def of_model(client: Client, **fields: Any) -> Any:
    request = evaluation_pb2.EvaluateModelVersionRequest(**{"name": "flowers", "dataset": "flowers", **fields})
    return client.models.EvaluateModelVersion(request)


async def result(call: Any) -> evaluation_pb2.Evaluation:
    updates = [update async for update in call]
    assert all(update.WhichOneof("update") == "progress" for update in updates[:-1])
    return updates[-1].evaluation


async def refusal_of(call: Any) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await result(call)
    return Refusal(caught.value)


def readings(folder: Path) -> list[str]:
    path = folder / "data/datasets/flowers/1/readings"
    return [line.split()[1] for line in path.read_text().splitlines()] if path.exists() else []
