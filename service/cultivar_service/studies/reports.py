"""Has a trainer draw a study's report, and keeps its files."""

import shutil
import uuid
from pathlib import Path

from google.protobuf import json_format

from cultivar.v1 import study_pb2
from cultivar_contract import files
from cultivar_contract.tasks import StudyReportRequest
from cultivar_service.catalog import study_record
from cultivar_service.catalog.storage import DataDirectory
from cultivar_service.config import Config
from cultivar_service.trainers.calls import MAX_OUTPUT_BYTES, Calls

FILES = ("report.html", "report.md", "curves.svg", "curves.png", "study.json")
"""What the trainer leaves of a study."""


class Reports:
    """Reports of studies, a folder each."""

    def __init__(self, config: Config, storage: DataDirectory, calls: Calls) -> None:
        self._config = config
        self._storage = storage
        self._calls = calls

    async def draw(self, study: study_pb2.TrainingStudy, dataset: str) -> None:
        """Draw a study's report; one that is there is replaced as a whole.

        Args:
            study: with all its figures.
            dataset: the version that was trained on, also where the spec says the newest one.

        Raises:
            CultivarError: it can't be drawn or kept.
        """
        told = study_pb2.TrainingStudy()
        told.CopyFrom(study)
        told.state = study_record.SUCCEEDED  # which it is once its report is there
        told.spec.base.dataset = dataset  # so that the report's spec repeats the study
        runs = {one.training_job: self._config.runs / one.training_job.rpartition("/")[2] for one in told.trials}
        request = StudyReportRequest(
            study=json_format.MessageToDict(told),
            runs={name: str(folder.resolve()) for name, folder in runs.items() if folder.is_dir()},
        )
        study_id = study_record.identifier(study)
        await self._calls.result(
            request, what=f"the report of {study.name}", keep=lambda run: self._keep(run, study_id)
        )

    def forget(self, study_id: str) -> None:
        """Remove a study's report, where there is one. Blocks."""
        self._storage.discard(self._config.studies / study_id)

    def _keep(self, run: Path, study_id: str) -> None:
        partial = self._config.scratch / uuid.uuid4().hex
        partial.mkdir()
        try:
            for name in FILES:
                source = run / name
                if source.is_file() and not source.is_symlink() and source.stat().st_size <= MAX_OUTPUT_BYTES:
                    shutil.copyfile(source, partial / name)
            files.sync_tree(partial)
            self._storage.discard(self._config.studies / study_id)
            partial.replace(self._config.studies / study_id)
            files.sync_folder(self._config.studies)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
