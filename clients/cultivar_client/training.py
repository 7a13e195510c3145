"""Calls about training jobs and the networks they train."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any

from google.protobuf import empty_pb2

from cultivar.v1 import (
    architecture_pb2,
    dataset_pb2,
    evaluation_pb2,
    event_pb2,
    state_pb2,
    training_pb2,
    training_pb2_grpc,
    training_spec_pb2,
)
from cultivar_client.connection import Connection
from cultivar_client.resume import resumed
from cultivar_client.spec import spec_from_mapping

# Some specs are checked against the built network, which takes a busy host its time.
CREATE_TIMEOUT_S = 150.0
HEARTBEAT_S = 15.0
"""Quiet seconds after which a stream shall tell that it lives."""
_MISSED_HEARTBEATS = 3
"""A stream that is silent for so many is dead."""


class TrainingCalls(Connection):
    """Queues training jobs, follows them and stops them."""

    async def create_training_job(
        self,
        spec: training_spec_pb2.TrainingSpec | Mapping[str, object],
        *,
        request_id: str | None = None,
        validate_only: bool = False,
    ) -> training_pb2.TrainingJob:
        """Queues a job, or with validate_only answers its resolved recipe and warnings.

        `spec` is a TrainingSpec, or a mapping of its field names with enum values such as `last-blocks`. A job that
        was queued with the same `request_id` is answered again. Raises CultivarError, and SpecError for a mapping
        with unknown fields or values.
        """
        if not isinstance(spec, training_spec_pb2.TrainingSpec):
            spec = spec_from_mapping(spec)
        request = training_pb2.CreateTrainingJobRequest(
            spec=spec, request_id=request_id or uuid.uuid4().hex, validate_only=validate_only
        )
        return await self._unary(self._training.CreateTrainingJob, request, training_pb2.TrainingJob, CREATE_TIMEOUT_S)

    async def get_training_job(self, name: str) -> training_pb2.TrainingJob:
        """Answers one job, by name or bare id. Raises CultivarError."""
        request = training_pb2.GetTrainingJobRequest(name=name)
        return await self._unary(self._training.GetTrainingJob, request, training_pb2.TrainingJob)

    def list_training_jobs(
        self, *, states: Sequence[state_pb2.TrainingJobState] = (), mine: bool = False, page_size: int = 0
    ) -> AsyncIterator[training_pb2.TrainingJob]:
        """Yields all jobs, newest first; with `states` only those in one of them, with `mine` only the caller's.

        Raises CultivarError.
        """
        request = training_pb2.ListTrainingJobsRequest(states=states, mine=mine, page_size=page_size)
        return self._pages(
            self._training.ListTrainingJobs,
            request,
            training_pb2.ListTrainingJobsResponse,
            training_pb2.TrainingJob,
            "training_jobs",
        )

    def watch_training_job(
        self, name: str, *, after_event: int = 0, heartbeat_s: float = HEARTBEAT_S
    ) -> AsyncGenerator[event_pb2.JobEvent, None]:
        """Yields a job's events after number `after_event`, without gaps or repeats, until the job has ended.

        When the service goes away, or is silent although it should send a heartbeat every `heartbeat_s` quiet seconds,
        waits up to 60 s for it to come back and goes on after the last event seen; 0: no heartbeats, any silence is
        borne. Raises CultivarError.
        """

        def open_stream(cursor: int) -> AsyncGenerator[event_pb2.JobEvent, None]:
            request = training_pb2.WatchTrainingJobRequest(name=name, after_event=cursor, heartbeat_seconds=heartbeat_s)
            silence_s = _MISSED_HEARTBEATS * heartbeat_s or None
            return self._stream(self._training.WatchTrainingJob, request, event_pb2.JobEvent, silence_s=silence_s)

        return resumed(
            open_stream, lambda event: event.number, after_event, is_heartbeat=lambda event: event.number == 0
        )

    def stream_logs(
        self,
        name: str,
        *,
        offset: int = 0,
        attempt: int | None = None,
        follow: bool = False,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> AsyncIterator[training_pb2.LogChunk]:
        """Yields an attempt's log from byte `offset` on: the newest one's, or that of `attempt`.

        With `follow` also the logs of the attempts that come, until the job has ended. When the service goes away or
        is silent, waits as above and goes on where it stopped. Raises CultivarError.
        """

        def open_stream(cursor: tuple[int | None, int]) -> AsyncGenerator[training_pb2.LogChunk, None]:
            request = training_pb2.StreamTrainingLogsRequest(
                name=name, attempt=cursor[0], offset=cursor[1], follow=follow, heartbeat_seconds=heartbeat_s
            )
            silence_s = _MISSED_HEARTBEATS * heartbeat_s or None
            return self._stream(self._training.StreamTrainingLogs, request, training_pb2.LogChunk, silence_s=silence_s)

        return resumed(
            open_stream,
            lambda chunk: (chunk.attempt or None, chunk.next_offset),
            (attempt, offset),
            is_heartbeat=lambda chunk: not chunk.text,
        )

    async def cancel_training_job(self, name: str) -> training_pb2.TrainingJob:
        """Asks a job to stop; repeating it changes nothing. Raises CultivarError."""
        request = training_pb2.CancelTrainingJobRequest(name=name)
        return await self._unary(self._training.CancelTrainingJob, request, training_pb2.TrainingJob)

    async def pause_training_job(self, name: str) -> training_pb2.TrainingJob:
        """Asks a job to give its device back until it is resumed; repeats change nothing. Raises CultivarError."""
        request = training_pb2.PauseTrainingJobRequest(name=name)
        return await self._unary(self._training.PauseTrainingJob, request, training_pb2.TrainingJob)

    async def resume_training_job(self, name: str) -> training_pb2.TrainingJob:
        """Queues a paused job again; repeating it changes nothing. Raises CultivarError."""
        request = training_pb2.ResumeTrainingJobRequest(name=name)
        return await self._unary(self._training.ResumeTrainingJob, request, training_pb2.TrainingJob)

    async def export_training_job(self, name: str) -> training_pb2.TrainingJob:
        """Queues a cancelled or failed job again, to make a version of its best epoch. Raises CultivarError."""
        request = training_pb2.ExportTrainingJobRequest(name=name)
        return await self._unary(self._training.ExportTrainingJob, request, training_pb2.TrainingJob)

    async def delete_training_job(self, name: str) -> None:
        """Deletes a finished job; its model version stays. Raises CultivarError."""
        request = training_pb2.DeleteTrainingJobRequest(name=name)
        await self._unary(self._training.DeleteTrainingJob, request, empty_pb2.Empty)

    async def list_gpus(self, *, memory_bytes: int = 0) -> training_pb2.ListGpusResponse:
        """Answers the GPUs that jobs may use, who has what of them, and the host's cores and memory.

        With `memory_bytes` also where a job that takes so much would go, and why. Raises CultivarError.
        """
        request = training_pb2.ListGpusRequest(memory_bytes=memory_bytes)
        return await self._unary(self._training.ListGpus, request, training_pb2.ListGpusResponse)

    async def list_architectures(self) -> list[architecture_pb2.Architecture]:
        """Answers all networks that can be asked for, by name. Raises CultivarError."""
        response = await self._unary(
            self._training.ListArchitectures,
            architecture_pb2.ListArchitecturesRequest(),
            architecture_pb2.ListArchitecturesResponse,
        )
        return list(response.architectures)

    async def describe_architecture(
        self,
        name: str,
        *,
        mode: training_spec_pb2.FineTuningMode | None = None,
        num_classes: int | None = None,
        input_size: int | None = None,
        stem: training_spec_pb2.Stem | None = None,
        channels: int | None = None,
        last_blocks: int | None = None,
        retain_blocks: int | None = None,
        trainable: Sequence[str] = (),
        network: training_spec_pb2.NetworkSpec | None = None,
        batch_size: int | None = None,
        timeout_s: float | None = None,
    ) -> architecture_pb2.ArchitectureDescription:
        """Answers a network's layers and blocks, what `mode` trains, and the memory that `batch_size` images take.

        `input_size` is in pixels; the others are as in TrainingSpec. Raises CultivarError.
        """
        request = architecture_pb2.DescribeArchitectureRequest(
            name=name,
            mode=mode,
            num_classes=num_classes,
            input_size=input_size,
            stem=stem,
            channels=channels,
            last_blocks=last_blocks,
            retain_blocks=retain_blocks,
            trainable=trainable,
            network=network,
            batch_size=batch_size,
        )
        return await self._unary(
            self._training.DescribeArchitecture, request, architecture_pb2.ArchitectureDescription, timeout_s
        )

    async def calculate_layer(
        self, request: architecture_pb2.CalculateLayerRequest
    ) -> architecture_pb2.CalculateLayerResponse:
        """Answers a layer's output size, parameters and operations, or an output's inputs. Raises CultivarError."""
        return await self._unary(self._training.CalculateLayer, request, architecture_pb2.CalculateLayerResponse)

    def evaluate_architecture(
        self, architecture: str, weights: str, dataset: str, *, split: dataset_pb2.Split | None = None
    ) -> AsyncIterator[evaluation_pb2.EvaluationUpdate]:
        """Yields how far the evaluation of published weights is, and at last the figures. Raises CultivarError."""
        request = evaluation_pb2.EvaluateArchitectureRequest(
            architecture=architecture, weights=weights, dataset=dataset, split=split
        )
        return self._stream(self._training.EvaluateArchitecture, request, evaluation_pb2.EvaluationUpdate)

    async def preview_augmentation(
        self,
        spec: training_spec_pb2.TrainingSpec | Mapping[str, object],
        *,
        images: int | None = None,
        columns: int | None = None,
    ) -> bytes:
        """Answers a PNG of `images` training images, each with `columns` augmented views.

        Raises CultivarError, and SpecError for a mapping with unknown fields or values.
        """
        if not isinstance(spec, training_spec_pb2.TrainingSpec):
            spec = spec_from_mapping(spec)
        request = training_pb2.PreviewAugmentationRequest(spec=spec, images=images, columns=columns)
        chunks = self._stream(self._training.PreviewAugmentation, request, training_pb2.PreviewChunk)
        return b"".join([chunk.data async for chunk in chunks])

    async def describe_training_spec(self) -> list[training_pb2.TrainingSpecField]:
        """Answers the table of TrainingSpec's fields. Raises CultivarError."""
        response = await self._unary(
            self._training.DescribeTrainingSpec,
            training_pb2.DescribeTrainingSpecRequest(),
            training_pb2.DescribeTrainingSpecResponse,
        )
        return list(response.fields)

    @property
    def _training(self) -> Any:
        return self._stub(training_pb2_grpc.TrainingServiceStub)
