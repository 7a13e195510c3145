"""Task check_dataset: what an import of a source would find, without one."""

import shutil
from typing import Any

from google.protobuf import json_format

from cultivar_contract import tasks
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer.datasets.examination import examine
from cultivar_trainer.datasets.splits import Splitting
from cultivar_trainer.journal import Journal
from cultivar_trainer.tasks.import_dataset import open_source


def run(run_directory: RunDirectory, request: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Keep nothing; the answer is a DatasetReport message as proto JSON."""
    asked = tasks.from_json(tasks.ImportRequest, request)
    scratch = run_directory.path / "scratch"
    try:
        source = open_source(asked, scratch, journal)
        splitting = Splitting.of(asked.source_message())
        report = examine(source, splitting, journal, stage="checking", keep=lambda _: 0).report
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    value: dict[str, Any] = json_format.MessageToDict(report)
    return value
