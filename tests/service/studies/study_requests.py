"""Studies as tests ask for them, and what tests do with them."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from running_service import Client, eventually

from cultivar.v1 import study_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_service.catalog.study_record import FINAL

BASE: Mapping[str, Any] = {
    "dataset": "flowers",
    "architecture": "lenet5",
    "mode": "FINE_TUNING_MODE_SCRATCH",
    "epochs": 2,
}
RATES = ({"variant": "low"}, {"variant": "high", "changes": {"optimizer": {"learning_rate": 0.1}}})


def make_study(variants: Sequence[Mapping[str, Any]] = RATES, **fields: Any) -> study_pb2.TrainingStudySpec:
    spec = {"base": BASE, "variants": [dict(one) for one in variants], **fields}
    return json_format.ParseDict(spec, study_pb2.TrainingStudySpec())


def base(**fields: Any) -> dict[str, Any]:
    return {**BASE, **fields}


async def create(
    client: Client, spec: study_pb2.TrainingStudySpec | None = None, **fields: Any
) -> study_pb2.TrainingStudy:
    request = study_pb2.CreateTrainingStudyRequest(spec=make_study() if spec is None else spec, **fields)
    return await client.training.CreateTrainingStudy(request)


async def get(client: Client, name: str) -> study_pb2.TrainingStudy:
    return await client.training.GetTrainingStudy(study_pb2.GetTrainingStudyRequest(name=name))


async def cancel(client: Client, name: str) -> study_pb2.TrainingStudy:
    return await client.training.CancelTrainingStudy(study_pb2.CancelTrainingStudyRequest(name=name))


async def delete(client: Client, name: str) -> None:
    await client.training.DeleteTrainingStudy(study_pb2.DeleteTrainingStudyRequest(name=name))


async def watch(client: Client, name: str, **fields: Any) -> list[study_pb2.StudyEvent]:
    request = study_pb2.WatchTrainingStudyRequest(name=name, **fields)
    return [event async for event in client.training.WatchTrainingStudy(request)]


async def finished(client: Client, name: str, *, within_s: float = 20.0) -> study_pb2.TrainingStudy:
    async def seen() -> study_pb2.TrainingStudy | None:
        study = await get(client, name)
        return study if study.state in FINAL else None

    return await eventually(seen, within_s=within_s)


async def reached(client: Client, name: str, state: int) -> study_pb2.TrainingStudy:
    async def seen() -> study_pb2.TrainingStudy | None:
        study = await get(client, name)
        return study if study.state == state else None

    return await eventually(seen)


def make_spec(**fields: Any) -> pb.TrainingSpec:
    return json_format.ParseDict(fields, pb.TrainingSpec())
