"""Calls about training studies: several ways to train, compared."""

import tempfile
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import empty_pb2

from cultivar.v1 import study_pb2, training_pb2_grpc
from cultivar_client.errors import CultivarError
from cultivar_client.models import ModelCalls
from cultivar_client.resume import resumed
from cultivar_client.study_spec import study_from_mapping

# Each variant is checked against its built network, which takes a busy host its time.
CREATE_TIMEOUT_S = 600.0
HEARTBEAT_S = 15.0
"""Quiet seconds after which a stream shall tell that it lives."""
_MISSED_HEARTBEATS = 3
"""A stream that is silent for so many is dead."""
REPORTS = {".html": "report.html", ".htm": "report.html", ".md": "report.md"}
"""The report of a study in one file, by the ending of the name that it is saved under."""


class StudyCalls(ModelCalls):
    """Compares ways to train, and fetches the report."""

    async def create_training_study(
        self,
        spec: study_pb2.TrainingStudySpec | Mapping[str, object],
        *,
        request_id: str | None = None,
        validate_only: bool = False,
    ) -> study_pb2.TrainingStudy:
        """Queues the jobs of a comparison, or with validate_only answers what each variant changes, and warnings.

        `spec` is a TrainingStudySpec, or a mapping: {"base": {...}, "variants": [{"variant": "baseline"}, {"variant":
        "head", "changes": {"mode": "head"}}], "seeds": [1, 2, 3], "test": "winner"}. A study that was made with the
        same `request_id` is answered again. Raises CultivarError, and SpecError for a mapping with unknown fields or
        values.
        """
        if not isinstance(spec, study_pb2.TrainingStudySpec):
            spec = study_from_mapping(spec)
        request = study_pb2.CreateTrainingStudyRequest(
            spec=spec, request_id=request_id or uuid.uuid4().hex, validate_only=validate_only
        )
        return await self._unary(self._studies.CreateTrainingStudy, request, study_pb2.TrainingStudy, CREATE_TIMEOUT_S)

    async def get_training_study(self, name: str) -> study_pb2.TrainingStudy:
        """Answers one study, by name or bare id, with the comparison so far. Raises CultivarError."""
        request = study_pb2.GetTrainingStudyRequest(name=name)
        return await self._unary(self._studies.GetTrainingStudy, request, study_pb2.TrainingStudy)

    def list_training_studies(
        self, *, mine: bool = False, page_size: int = 0
    ) -> AsyncIterator[study_pb2.TrainingStudy]:
        """Yields all studies, newest first; with `mine` only the caller's. Raises CultivarError."""
        request = study_pb2.ListTrainingStudiesRequest(mine=mine, page_size=page_size)
        return self._pages(
            self._studies.ListTrainingStudies,
            request,
            study_pb2.ListTrainingStudiesResponse,
            study_pb2.TrainingStudy,
            "training_studies",
        )

    def watch_training_study(
        self, name: str, *, after_event: int = 0, heartbeat_s: float = HEARTBEAT_S
    ) -> AsyncIterator[study_pb2.StudyEvent]:
        """Yields a study's events after number `after_event`, without gaps or repeats, until the study has ended.

        Waits for a service that goes away as watch_training_job does. Raises CultivarError.
        """

        def open_stream(cursor: int) -> AsyncGenerator[study_pb2.StudyEvent, None]:
            request = study_pb2.WatchTrainingStudyRequest(name=name, after_event=cursor, heartbeat_seconds=heartbeat_s)
            silence_s = _MISSED_HEARTBEATS * heartbeat_s or None
            return self._stream(self._studies.WatchTrainingStudy, request, study_pb2.StudyEvent, silence_s=silence_s)

        return resumed(
            open_stream, lambda event: event.number, after_event, is_heartbeat=lambda event: event.number == 0
        )

    async def cancel_training_study(self, name: str) -> study_pb2.TrainingStudy:
        """Asks a study and its jobs to stop; repeating it changes nothing. Raises CultivarError."""
        request = study_pb2.CancelTrainingStudyRequest(name=name)
        return await self._unary(self._studies.CancelTrainingStudy, request, study_pb2.TrainingStudy)

    async def delete_training_study(self, name: str) -> None:
        """Deletes a finished study and its report; its jobs and their models stay. Raises CultivarError."""
        request = study_pb2.DeleteTrainingStudyRequest(name=name)
        await self._unary(self._studies.DeleteTrainingStudy, request, empty_pb2.Empty)

    async def download_study_report(self, name: str, target: Path | str) -> None:
        """Writes a finished study's report, pictures included, into one file: HTML or Markdown, by the name's ending.

        Raises CultivarError: NOT_FOUND where the study has none; ValueError for another ending; OSError where the file
        can't be written.
        """
        target = Path(target)
        path = REPORTS.get(target.suffix.lower())
        if path is None:
            raise ValueError(f"{target} names no kind of report: end it with {', '.join(REPORTS)}")
        listing = await self.list_artifacts(name)
        found = next((artifact for artifact in listing.artifacts if artifact.path == path), None)
        if found is None:
            raise CultivarError(
                f"{name} has no {path}: it is there when the study has succeeded, unless its warnings say why not",
                code="NOT_FOUND",
                reason="NO_REPORT",
            )
        # Beside the target, so that renaming moves no bytes.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
            written = await self.download_artifact(listing.parent or name, path, folder, sha256=found.sha256)
            written.replace(target)

    @property
    def _studies(self) -> Any:
        return self._stub(training_pb2_grpc.TrainingServiceStub)
