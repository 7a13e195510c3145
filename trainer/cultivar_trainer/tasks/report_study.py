"""Task report_study: what a person and a program read of a finished study, in files of their own."""

from typing import Any

from google.protobuf import json_format

from cultivar.v1 import study_pb2
from cultivar_contract import files, tasks
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer.reports import style
from cultivar_trainer.reports.document import to_html, to_markdown
from cultivar_trainer.reports.study import contents, curves, trials


def run(run_directory: RunDirectory, request: dict[str, Any]) -> dict[str, Any]:
    """Leave curves.svg, curves.png, study.json, report.md and report.html; the answer names them.

    A trial whose history is gone or can't be read has no curves; the report says so.
    """
    asked = tasks.from_json(tasks.StudyReportRequest, request)
    study = json_format.ParseDict(asked.study, study_pb2.TrainingStudy(), ignore_unknown_fields=True)
    found = trials.read(study, asked.runs)
    folder = run_directory.path
    with style.drawing(rows=2, columns=2) as figure:
        curves.draw(figure, study, found)
        for name in ("curves.svg", "curves.png"):
            style.save(figure, folder / name)
    files.write_json(folder / "study.json", trials.to_json(study, found))
    document = contents.document(
        study, found, svg=(folder / "curves.svg").read_bytes(), png=(folder / "curves.png").read_bytes()
    )
    files.write_bytes(folder / "report.html", to_html(document).encode())
    files.write_bytes(folder / "report.md", to_markdown(document).encode())
    return {"files": ["curves.svg", "curves.png", "study.json", "report.html", "report.md"]}
