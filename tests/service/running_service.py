"""A running service and a client's stubs, as tests use them."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from cultivar.v1 import (
    artifact_pb2_grpc,
    dataset_pb2,
    dataset_pb2_grpc,
    model_pb2_grpc,
    prediction_pb2,
    prediction_pb2_grpc,
    state_pb2,
    training_pb2,
    training_pb2_grpc,
    training_spec_pb2,
)
from cultivar_service.config import Address, Config
from cultivar_service.server import Service

QUEUED = state_pb2.TRAINING_JOB_STATE_QUEUED
RUNNING = state_pb2.TRAINING_JOB_STATE_RUNNING
PAUSING = state_pb2.TRAINING_JOB_STATE_PAUSING
PAUSED = state_pb2.TRAINING_JOB_STATE_PAUSED
CANCELLING = state_pb2.TRAINING_JOB_STATE_CANCELLING
SUCCEEDED = state_pb2.TRAINING_JOB_STATE_SUCCEEDED
FAILED = state_pb2.TRAINING_JOB_STATE_FAILED
CANCELLED = state_pb2.TRAINING_JOB_STATE_CANCELLED

SCRIPT = Path(__file__).with_name("scripted_trainer.py")


def make_config(folder: Path, *, behaviour: str = "succeed", package: Path | str = "-", **settings: Any) -> Config:
    defaults: dict[str, Any] = {
        "data_dir": folder / "data",
        "weights_dir": folder / "weights",
        "datasets_root": folder / "sources",
        "grpc_address": Address("127.0.0.1", 0),
        "metrics_address": Address("127.0.0.1", 0),
        "trainer_command": (sys.executable, str(SCRIPT), behaviour, str(package)),
        "cancel_grace_s": 1.0,
        "drain_settle_s": 0.0,
        "drain_grace_s": 5.0,
        "min_free_bytes": 0,
        "inference_threads": 1,
        "retry_delay_s": 0.05,
    }
    return Config(**{**defaults, **settings})


class Client:
    """Stubs on one channel, and what tests do again and again."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.datasets = dataset_pb2_grpc.DatasetServiceStub(channel)
        self.training = training_pb2_grpc.TrainingServiceStub(channel)
        self.models = model_pb2_grpc.ModelServiceStub(channel)
        self.artifacts = artifact_pb2_grpc.ArtifactServiceStub(channel)
        self.predictions = prediction_pb2_grpc.PredictionServiceStub(channel)

    async def import_flowers(self, name: str = "flowers", seed: int = 0) -> dataset_pb2.Dataset:
        source = dataset_pb2.DatasetSource(builtin="procedural-flowers", split_seed=seed)
        begun = await self.datasets.CreateDataset(dataset_pb2.CreateDatasetRequest(dataset_id=name, source=source))
        return await self.imported(begun.name)

    async def imported(self, name: str) -> dataset_pb2.Dataset:
        async def done() -> dataset_pb2.Dataset | None:
            found = await self.datasets.GetDataset(dataset_pb2.GetDatasetRequest(name=name))
            return found if found.state != dataset_pb2.DATASET_STATE_IMPORTING else None

        return await eventually(done)

    async def create_job(self, request_id: str = "", **fields: Any) -> training_pb2.TrainingJob:
        request = training_pb2.CreateTrainingJobRequest(spec=make_spec(**fields), request_id=request_id)
        return await self.training.CreateTrainingJob(request)

    async def job(self, name: str) -> training_pb2.TrainingJob:
        return await self.training.GetTrainingJob(training_pb2.GetTrainingJobRequest(name=name))

    async def events(self, name: str, after: int = 0) -> list[Any]:
        request = training_pb2.WatchTrainingJobRequest(name=name, after_event=after)
        return [event async for event in self.training.WatchTrainingJob(request)]

    async def train(self, **fields: Any) -> training_pb2.TrainingJob:
        job = await self.create_job(**fields)
        await self.events(job.name)
        return await self.job(job.name)

    async def reached(self, name: str, state: int) -> training_pb2.TrainingJob:
        async def seen() -> training_pb2.TrainingJob | None:
            job = await self.job(name)
            return job if job.state == state else None

        return await eventually(seen)

    async def pause(self, name: str) -> training_pb2.TrainingJob:
        return await self.training.PauseTrainingJob(training_pb2.PauseTrainingJobRequest(name=name))

    async def resume(self, name: str) -> training_pb2.TrainingJob:
        return await self.training.ResumeTrainingJob(training_pb2.ResumeTrainingJobRequest(name=name))

    async def export(self, name: str) -> training_pb2.TrainingJob:
        return await self.training.ExportTrainingJob(training_pb2.ExportTrainingJobRequest(name=name))

    async def cancel(self, name: str) -> training_pb2.TrainingJob:
        return await self.training.CancelTrainingJob(training_pb2.CancelTrainingJobRequest(name=name))

    async def first_epoch(self, name: str) -> training_pb2.TrainingJob:
        async def reached() -> training_pb2.TrainingJob | None:
            job = await self.job(name)
            return job if job.HasField("latest_epoch") else None

        return await eventually(reached)

    async def log(self, name: str, **fields: Any) -> str:
        request = training_pb2.StreamTrainingLogsRequest(name=name, **fields)
        return "".join([chunk.text async for chunk in self.training.StreamTrainingLogs(request)])

    async def predict(self, *images: bytes, model: str = "flowers", **fields: Any) -> prediction_pb2.PredictResponse:
        return await self.predictions.Predict(prediction_pb2.PredictRequest(model=model, images=images, **fields))


def make_spec(**fields: Any) -> training_spec_pb2.TrainingSpec:
    defaults = {
        "dataset": "flowers",
        "architecture": "lenet5",
        "mode": training_spec_pb2.FINE_TUNING_MODE_SCRATCH,
        "epochs": 2,
    }
    return training_spec_pb2.TrainingSpec(**{**defaults, **fields})


def scheduling(**fields: Any) -> training_spec_pb2.SchedulingSpec:
    return training_spec_pb2.SchedulingSpec(**fields)


def states(events: list) -> list[int]:
    return [event.state_changed.state for event in events if event.HasField("state_changed")]


@asynccontextmanager
async def connected(address: object) -> AsyncIterator[Client]:
    options = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
    async with grpc.aio.insecure_channel(str(address), options=options) as channel:
        yield Client(channel)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[tuple[Service, Client]]:
    service = Service(config)
    try:
        await service.start()
        async with connected(service.grpc_address) as client:
            yield service, client
    finally:
        await service.close()


async def eventually(look: Callable[[], Awaitable[Any]], *, within_s: float = 10.0) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if (seen := await look()) is not None:
            return seen
        await asyncio.sleep(0.01)
    raise AssertionError(f"not seen within {within_s} s")


async def classifying(service: Service) -> None:
    """Wait until images are being classified."""

    async def seen() -> bool | None:
        return bool(images_in_flight(service)) or None

    await eventually(seen)


async def idle(service: Service) -> None:
    """Wait until no images are being classified."""

    async def seen() -> bool | None:
        return not images_in_flight(service) or None

    await eventually(seen)


def images_in_flight(service: Service) -> float | None:
    return service.metrics.registry.get_sample_value("cultivar_prediction_images_in_flight")


class Refusal:
    """A failed RPC's code, message and details."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code().name
        self.message = error.details() or ""
        self.size = sum(len(value) for _, value in error.trailing_metadata() or ())
        status = status_pb2.Status()
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status.ParseFromString(value)
        self.reason, self.fields, self.resource, self.retry_s = "", [], "", None
        for detail in status.details:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                info = error_details_pb2.ErrorInfo()
                detail.Unpack(info)
                assert info.domain == "cultivar"
                self.reason = info.reason
            if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
                bad = error_details_pb2.BadRequest()
                detail.Unpack(bad)
                self.fields = [one.field for one in bad.field_violations]
            if detail.Is(error_details_pb2.ResourceInfo.DESCRIPTOR):
                resource = error_details_pb2.ResourceInfo()
                detail.Unpack(resource)
                self.resource = resource.resource_name
            if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                retry = error_details_pb2.RetryInfo()
                detail.Unpack(retry)
                self.retry_s = retry.retry_delay.ToMilliseconds() / 1000


async def refused(call: Awaitable[Any]) -> Refusal:
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return Refusal(error)
    raise AssertionError(f"answered: {answer}")


async def code_of(call: Awaitable[Any]) -> str:
    """Return the status that a call ends with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def drain(stream: Any) -> list[Any]:
    return [one async for one in stream]
