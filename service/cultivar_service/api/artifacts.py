"""ArtifactService: lists and sends the files that jobs, studies, data sets and model versions leave."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from cultivar.v1 import artifact_pb2, evaluation_pb2
from cultivar_contract import dataset_files, files, package
from cultivar_contract.names import OutsideFolder, inside
from cultivar_contract.package import DamagedPackage
from cultivar_contract.violations import Violation
from cultivar_service.api.fields import check_not_negative
from cultivar_service.api.lookup import ready_dataset
from cultivar_service.caller import Caller
from cultivar_service.catalog import evaluations, jobs, models, studies
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.references import (
    job_not_found,
    model_not_found,
    parse_dataset,
    parse_job,
    parse_study,
    study_not_found,
)
from cultivar_service.config import Config
from cultivar_service.errors import FailedPrecondition, NotFound, OutOfRange, required
from cultivar_service.serving.resolver import Resolver
from cultivar_service.studies import reports

_CHUNK_BYTES = 1 << 20
_JOB_FILES = (
    "plan.json",
    "history.json",
    "curves.json",
    "curves.png",
    "curves.svg",
    "tensorboard/events.out.tfevents.*",
    "tensorboard/candidate-*/events.out.tfevents.*",
    "attempts/*/trainer.log",
    "attempts/*/events.jsonl",
)
"""What a job shows of its run directory; requests, locks and checkpoints are the trainer's own."""
_DATASET_FILES = (dataset_files.CONTACT_SHEET, dataset_files.REPORT)
"""What a data set version shows; its images are in the trainer's own form."""


@dataclass(frozen=True, slots=True)
class _Parent:
    name: str
    folder: Path
    digests: dict[str, str] | None
    """sha256 of each file, for model versions."""
    patterns: tuple[str, ...] = ()
    """What else is shown of the folder."""
    elsewhere: dict[str, Path] = field(default_factory=dict)
    """Files that are shown under a name of their own, though they lie in another folder."""


class ArtifactApi:
    """Answers ArtifactService."""

    def __init__(self, config: Config, catalog: Catalog, resolver: Resolver) -> None:
        self._config = config
        self._catalog = catalog
        self._resolver = resolver

    async def list_artifacts(
        self, request: artifact_pb2.ListArtifactsRequest, _: Caller
    ) -> artifact_pb2.ListArtifactsResponse:
        """Answer the files of a job, a study, a data set version or a model version."""
        parent = await self._parent(request.parent)
        artifacts = await asyncio.to_thread(_list, parent)
        return artifact_pb2.ListArtifactsResponse(parent=parent.name, artifacts=artifacts)

    async def download_artifact(
        self, request: artifact_pb2.DownloadArtifactRequest, _: Caller
    ) -> AsyncIterator[artifact_pb2.ArtifactChunk]:
        """Answer a file from a byte on, in pieces."""
        offset = check_not_negative(request.offset, "offset")
        parent = await self._parent(request.parent)
        required(request.path, "path")
        descriptor = await asyncio.to_thread(_open, parent, request.path)
        try:
            size = os.fstat(descriptor).st_size
            if offset > size:
                message = f"{offset} is behind the file's end: it has {size} bytes"
                raise OutOfRange([Violation(field="offset", message=message)])
            first = True
            while first or offset < size:
                data = await asyncio.to_thread(os.pread, descriptor, min(_CHUNK_BYTES, size - offset), offset)
                if not data and not first:
                    return  # cut short meanwhile; the client sees it by the size
                yield artifact_pb2.ArtifactChunk(offset=offset, data=data, size_bytes=size if first else 0)
                offset, first = offset + len(data), False
        finally:
            os.close(descriptor)

    async def _parent(self, text: str) -> _Parent:
        if required(text, "parent").startswith("trainingJobs/"):
            job_id = parse_job(text, "parent")
            job = await self._catalog.read(lambda connection: jobs.get(connection, job_id))
            if job is None:
                raise job_not_found(text, "parent")
            return _Parent(job.name, self._config.runs / job_id, None, _JOB_FILES)
        if text.startswith("trainingStudies/"):
            study_id = parse_study(text, "parent")
            study = await self._catalog.read(lambda connection: studies.get(connection, study_id))
            if study is None:
                raise study_not_found(text, "parent")
            return _Parent(study.name, self._config.studies / study_id, None, reports.FILES)
        if text.startswith("datasets/"):
            dataset = await ready_dataset(self._catalog, text, "parent")
            assert dataset is not None  # one was named
            reference = parse_dataset(dataset.name)
            folder = self._config.datasets / reference.dataset / str(reference.version)
            return _Parent(dataset.name, folder, None, _DATASET_FILES)
        model, version = await self._resolver.resolve(text, "parent")
        found = await self._catalog.read(lambda connection: models.get_version(connection, model, version))
        if found is None:
            raise model_not_found(text, "parent")
        folder = self._config.models / model / str(version)
        try:
            opened = await asyncio.to_thread(package.open_package, folder)
        except DamagedPackage as error:
            raise FailedPrecondition(f"{found.name}: {error}", reason="PACKAGE_DAMAGED") from error
        measured = await self._catalog.read(lambda connection: evaluations.of_models(connection, {found.onnx_sha256}))
        later = {
            f"evaluations/{_named(one.evaluation)}/{file}": path
            for one in measured
            for file in (package.REPORT_PAGE, package.REPORT_JSON)
            if (path := self._config.evaluations / one.key.folder / file).is_file()
        }
        return _Parent(found.name, folder, dict(opened.manifest.get("files", {})), elsewhere=later)


def _list(parent: _Parent) -> list[artifact_pb2.Artifact]:
    artifacts = []
    for name in _names(parent):
        try:
            path = _place(parent, name)
            size = path.stat().st_size
        except (OutsideFolder, OSError):  # named by a damaged manifest, or gone meanwhile
            continue
        digest = (parent.digests or {}).get(name, "")
        if parent.digests is not None and not digest:
            digest = files.sha256_file(path)
        artifacts.append(artifact_pb2.Artifact(path=name, size_bytes=size, sha256=digest))
    return artifacts


def _names(parent: _Parent) -> list[str]:
    if parent.digests is not None:
        return sorted([*parent.digests, package.MANIFEST, *parent.elsewhere])
    found = (path for pattern in parent.patterns for path in parent.folder.glob(pattern) if path.is_file())
    return sorted(str(path.relative_to(parent.folder)) for path in found)


def _named(evaluation: evaluation_pb2.Evaluation) -> str:
    """Return how an evaluation is called among a version's files: `flowers-2-test`."""
    reference = parse_dataset(evaluation.dataset)
    return f"{reference.dataset}-{reference.version}-{evaluation.metrics.split}"


def _place(parent: _Parent, name: str) -> Path:
    """Return where a file is.

    Raises:
        OutsideFolder: a damaged manifest names one that is not in the package.
    """
    return parent.elsewhere.get(name) or inside(parent.folder, name)


def _open(parent: _Parent, name: str) -> int:
    missing = NotFound("artifact", name, field="path", remedy=f"use one that ListArtifacts shows for {parent.name}")
    if name not in _names(parent):
        raise missing
    try:
        return os.open(_place(parent, name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (OutsideFolder, OSError) as error:
        raise missing from error
