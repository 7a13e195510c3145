"""Calls about models, their files, and classification."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from google.protobuf import empty_pb2

from cultivar.v1 import (
    artifact_pb2,
    artifact_pb2_grpc,
    dataset_pb2,
    evaluation_pb2,
    model_pb2,
    model_pb2_grpc,
    prediction_pb2,
    prediction_pb2_grpc,
    training_pb2,
    training_spec_pb2,
)
from cultivar_client.connection import Connection
from cultivar_client.download import path_inside, write_artifact
from cultivar_client.resume import resumed


class ModelCalls(Connection):
    """Tells which models there are, fetches their files, and classifies with them."""

    async def get_model(self, name: str) -> model_pb2.Model:
        """Answers one model. Raises CultivarError."""
        return await self._unary(self._models.GetModel, model_pb2.GetModelRequest(name=name), model_pb2.Model)

    def list_models(self, *, page_size: int = 0) -> AsyncIterator[model_pb2.Model]:
        """Yields all models, by name. Raises CultivarError."""
        request = model_pb2.ListModelsRequest(page_size=page_size)
        return self._pages(self._models.ListModels, request, model_pb2.ListModelsResponse, model_pb2.Model, "models")

    async def delete_model(self, name: str) -> None:
        """Deletes a model and all its versions; its aliases must be deleted before. Raises CultivarError."""
        await self._unary(self._models.DeleteModel, model_pb2.DeleteModelRequest(name=name), empty_pb2.Empty)

    async def get_model_version(self, name: str) -> model_pb2.ModelVersion:
        """Answers one version; a model's bare name is its live version. Raises CultivarError."""
        request = model_pb2.GetModelVersionRequest(name=name)
        return await self._unary(self._models.GetModelVersion, request, model_pb2.ModelVersion)

    def list_model_versions(self, model: str, *, page_size: int = 0) -> AsyncIterator[model_pb2.ModelVersion]:
        """Yields all versions of a model, newest first. Raises CultivarError."""
        request = model_pb2.ListModelVersionsRequest(parent=model, page_size=page_size)
        return self._pages(
            self._models.ListModelVersions,
            request,
            model_pb2.ListModelVersionsResponse,
            model_pb2.ModelVersion,
            "model_versions",
        )

    async def promote_model_version(
        self, name: str, *, expected_live_version: str | None = None, reason: str = ""
    ) -> model_pb2.Model:
        """Makes a READY version the live one; `reason` goes into the model's history.

        Raises CultivarError: ABORTED where another version is live than `expected_live_version` (empty: none).
        """
        request = model_pb2.PromoteModelVersionRequest(
            name=name, expected_live_version=expected_live_version, reason=reason
        )
        return await self._unary(self._models.PromoteModelVersion, request, model_pb2.Model)

    async def rollback_model(
        self, name: str, *, expected_live_version: str | None = None, reason: str = ""
    ) -> model_pb2.Model:
        """Makes the version live that was so before; again: the one before that.

        Raises CultivarError: FAILED_PRECONDITION where nothing is left to go back to, ABORTED as above.
        """
        request = model_pb2.RollbackModelRequest(name=name, expected_live_version=expected_live_version, reason=reason)
        return await self._unary(self._models.RollbackModel, request, model_pb2.Model)

    async def set_model_alias(self, name: str, alias: str, model_version: str) -> model_pb2.Model:
        """Points an alias such as `canary` to a READY version; `flowers@canary` then means it. Raises CultivarError."""
        request = model_pb2.SetModelAliasRequest(name=name, alias=alias, model_version=model_version)
        return await self._unary(self._models.SetModelAlias, request, model_pb2.Model)

    async def delete_model_alias(self, name: str, alias: str) -> model_pb2.Model:
        """Deletes an alias; the version stays. Raises CultivarError."""
        request = model_pb2.DeleteModelAliasRequest(name=name, alias=alias)
        return await self._unary(self._models.DeleteModelAlias, request, model_pb2.Model)

    async def delete_model_version(self, name: str) -> None:
        """Deletes a version that no alias points to. Raises CultivarError."""
        request = model_pb2.DeleteModelVersionRequest(name=name)
        await self._unary(self._models.DeleteModelVersion, request, empty_pb2.Empty)

    async def reproduce_model_version(self, name: str, *, request_id: str | None = None) -> training_pb2.TrainingJob:
        """Queues a job that repeats a version's training; its `reproduction` compares both. It makes no version.

        A job that was queued with the same `request_id` is answered again.

        Raises CultivarError: FAILED_PRECONDITION where the data set or weights that the version was made of are gone.
        """
        request = model_pb2.ReproduceModelVersionRequest(name=name, request_id=request_id or uuid.uuid4().hex)
        return await self._unary(self._models.ReproduceModelVersion, request, training_pb2.TrainingJob)

    async def combine_models(
        self,
        model: str,
        members: Sequence[str],
        *,
        method: training_pb2.CombinationMethod = training_pb2.COMBINATION_METHOD_ENSEMBLE,
        publish: training_spec_pb2.PublishPolicy | None = None,
        test_evaluation: training_spec_pb2.TestEvaluation | None = None,
        request_id: str | None = None,
    ) -> training_pb2.TrainingJob:
        """Queues a job that makes one version of several; its `members_compared` says how it compares with them.

        `members` are versions (`flowers/versions/3`), or jobs (`trainingJobs/ID`) that have made one or will: it waits
        for them. A job that was queued with the same `request_id` is answered again.

        Raises CultivarError: INVALID_ARGUMENT at `members[i]` for one that can't be combined with the first.
        """
        request = model_pb2.CombineModelsRequest(
            model=model,
            method=method,
            members=members,
            publish=publish,
            test_evaluation=test_evaluation,
            request_id=request_id or uuid.uuid4().hex,
        )
        return await self._unary(self._models.CombineModels, request, training_pb2.TrainingJob)

    def evaluate_model_version(
        self, name: str, dataset: str, *, split: dataset_pb2.Split | None = None
    ) -> AsyncIterator[evaluation_pb2.EvaluationUpdate]:
        """Yields how far the evaluation of a version (of a model: its live one) is, and at last the figures.

        Raises CultivarError.
        """
        request = evaluation_pb2.EvaluateModelVersionRequest(name=name, dataset=dataset, split=split)
        return self._stream(self._models.EvaluateModelVersion, request, evaluation_pb2.EvaluationUpdate)

    def inspect_model(
        self,
        name: str,
        view: model_pb2.InspectionView,
        *,
        layer: str = "",
        channel: int | None = None,
        image: bytes = b"",
        validation_image: int | None = None,
        count: int | None = None,
        classes: Sequence[str] = (),
        steps: int | None = None,
        seed: int = 0,
    ) -> AsyncIterator[model_pb2.InspectionUpdate]:
        """Yields how far an inspection is, then what its picture shows, then the PNG's pieces in `data`.

        `name` is a version, a model (its live one) or a finished job (`trainingJobs/<id>`); each view takes some of the
        others, as InspectModelRequest says. Raises CultivarError.
        """
        request = model_pb2.InspectModelRequest(
            name=name,
            view=view,
            layer=layer,
            channel=channel,
            image=image,
            validation_image=validation_image,
            count=count,
            classes=classes,
            steps=steps,
            seed=seed,
        )
        return self._stream(self._models.InspectModel, request, model_pb2.InspectionUpdate)

    async def list_artifacts(self, parent: str) -> artifact_pb2.ListArtifactsResponse:
        """Answers the files of a job or model version, and the full name of that parent. Raises CultivarError."""
        request = artifact_pb2.ListArtifactsRequest(parent=parent)
        return await self._unary(self._artifacts.ListArtifacts, request, artifact_pb2.ListArtifactsResponse)

    async def download_artifact(self, parent: str, path: str, directory: Path | str, *, sha256: str = "") -> Path:
        """Writes one file of a job or model version below `directory` and returns where.

        The file appears under its name only when all of it has arrived and, where `sha256` is given, has that digest.
        Raises CultivarError: DATA_LOSS for a wrong digest or size, INVALID_ARGUMENT for a path that leads out of
        `directory`; OSError where the file can't be written.
        """
        target = path_inside(Path(directory), path)
        await self._fetch(parent, path, target, sha256)
        return target

    async def download_report(self, name: str, target: Path | str, *, evaluation: str = "") -> Path:
        """Writes the evaluation report of a version (of a model: its live one), an HTML file, and returns where.

        `evaluation` names a later one, as `flowers-2-test`: data set, its version, split.
        Raises CultivarError: NOT_FOUND where there is no such report; OSError where the file can't be written.
        """
        path = f"evaluations/{evaluation}/report.html" if evaluation else "report.html"
        listing = await self.list_artifacts(name)
        sha256 = next((one.sha256 for one in listing.artifacts if one.path == path), "")
        await self._fetch(listing.parent or name, path, Path(target), sha256)
        return Path(target)

    def artifact_chunks(
        self, parent: str, path: str, *, offset: int = 0
    ) -> AsyncGenerator[artifact_pb2.ArtifactChunk, None]:
        """Yields a file of a job or model version from a byte on, in pieces, over broken connections.

        Raises CultivarError.
        """

        def open_stream(cursor: int) -> AsyncGenerator[artifact_pb2.ArtifactChunk, None]:
            request = artifact_pb2.DownloadArtifactRequest(parent=parent, path=path, offset=cursor)
            return self._stream(self._artifacts.DownloadArtifact, request, artifact_pb2.ArtifactChunk)

        return resumed(open_stream, lambda chunk: chunk.offset + len(chunk.data), offset)

    async def _fetch(self, parent: str, path: str, target: Path, sha256: str) -> None:
        async with aclosing(self.artifact_chunks(parent, path)) as chunks:
            await write_artifact(target, chunks, sha256)

    async def download_model(
        self, name: str, directory: Path | str, *, progress: Callable[[artifact_pb2.Artifact], None] | None = None
    ) -> list[Path]:
        """Writes all files of a model version (of a model: its live one) below `directory` and returns where.

        `progress` is called with each file before it is fetched. Raises as download_artifact does.
        """
        if "/" not in name.removeprefix("models/"):
            name = (await self.get_model_version(name)).name
        listing = await self.list_artifacts(name)
        # Judge every path before the first file is written.
        for artifact in listing.artifacts:
            path_inside(Path(directory), artifact.path)
        paths = []
        for artifact in listing.artifacts:
            if progress is not None:
                progress(artifact)
            # The listing's parent is a version, so the files belong together even if `live` moves meanwhile.
            path = await self.download_artifact(
                listing.parent or name, artifact.path, directory, sha256=artifact.sha256
            )
            paths.append(path)
        return paths

    async def predict(
        self,
        model: str,
        images: Sequence[bytes],
        *,
        top_k: int | None = None,
        all_probabilities: bool = False,
        timeout_s: float | None = None,
    ) -> prediction_pb2.PredictResponse:
        """Classifies encoded images (JPEG, PNG, ...) in one request of at most 64 MiB; answers are in their order.

        An image that can't be read gets an error of its own in the answer. Raises CultivarError.
        """
        request = prediction_pb2.PredictRequest(
            model=model, images=images, top_k=top_k, all_probabilities=all_probabilities
        )
        return await self._unary(self._predictions.Predict, request, prediction_pb2.PredictResponse, timeout_s)

    async def predict_stream(
        self,
        model: str,
        batches: AsyncIterable[Sequence[bytes]],
        *,
        top_k: int | None = None,
        all_probabilities: bool = False,
    ) -> AsyncGenerator[prediction_pb2.PredictStreamResponse, None]:
        """Classifies batches of encoded images as they come, over one stream; yields an answer to each, in their order.

        The service works on several at a time and takes more as it has room, so `batches` is asked for the next one
        only then. A batch that is refused has its `error` as its answer, and the stream goes on. Raises CultivarError
        where the stream ends, and what `batches` raises.
        """
        failure: Exception | None = None

        async def requests() -> AsyncIterator[prediction_pb2.PredictStreamRequest]:
            nonlocal failure
            number = 0
            try:
                async for images in batches:
                    request = prediction_pb2.PredictRequest(
                        model=model, images=images, top_k=top_k, all_probabilities=all_probabilities
                    )
                    yield prediction_pb2.PredictStreamRequest(id=str(number), request=request)
                    number += 1
            except Exception as error:
                failure = error
                raise

        stream = self._stream(self._predictions.PredictStream, requests(), prediction_pb2.PredictStreamResponse)
        try:
            async with aclosing(stream):
                async for answer in stream:
                    yield answer
        except asyncio.CancelledError:
            # gRPC answers an error of `batches` by cancelling the call.
            if failure is not None:
                raise failure from None
            raise

    @property
    def _models(self) -> Any:
        return self._stub(model_pb2_grpc.ModelServiceStub)

    @property
    def _artifacts(self) -> Any:
        return self._stub(artifact_pb2_grpc.ArtifactServiceStub)

    @property
    def _predictions(self) -> Any:
        return self._stub(prediction_pb2_grpc.PredictionServiceStub)
