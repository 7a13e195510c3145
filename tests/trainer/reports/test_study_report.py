import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from drawn_study import DrawnStudy, drawn_study
from google.protobuf import json_format
from PIL import Image

from cultivar.v1 import study_pb2
from cultivar_contract import tasks
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer.reports.document import (
    Bullets,
    Code,
    Document,
    Heading,
    Paragraph,
    Picture,
    Table,
    to_html,
    to_markdown,
)
from cultivar_trainer.reports.study import contents, trials
from cultivar_trainer.tasks import report_study

HOSTILE = '<script src="https://evil.example/x.js"></script>\n# x | y `z` ```\x00[a](javascript:b) $x_1$ **b**'


class Page(HTMLParser):
    """What a browser would find: elements, and addresses that it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]

    def handle_data(self, data: str) -> None:
        self.text += data


def request(drawn: DrawnStudy) -> dict[str, object]:
    return tasks.to_json(tasks.StudyReportRequest(study=json_format.MessageToDict(drawn.study), runs=drawn.runs))


def test_the_task_leaves_pictures_figures_and_reports_in_one_file_each(tmp_path: Path) -> None:
    drawn = drawn_study(tmp_path / "runs")
    run = RunDirectory(tmp_path)

    report_study.run(run, request(drawn))

    with Image.open(tmp_path / "curves.png") as image:
        assert image.width == 900
    assert (tmp_path / "curves.svg").read_text().count("<svg") == 1
    page = Page((tmp_path / "report.html").read_text())
    assert [address[:26] for address in page.addresses] == ["data:image/svg+xml;base64,"]
    for told in (
        "Which?",
        "head wins.",
        "head (winner)",
        "0.5100 ± 0.0125",
        "+0.0100 [-0.0200, +0.0400]",
        "It learns.",
    ):
        assert told in page.text
    markdown = (tmp_path / "report.md").read_text()
    assert re.findall(r"\]\((.{22})", markdown) == ["data:image/png;base64,"]
    assert "| head (winner) | 3/3 | 0.5100 ± 0.0125 |" in markdown
    body = json.loads((tmp_path / "study.json").read_text())
    history = json.loads((Path(drawn.runs["trainingJobs/1-3"]) / "history.json").read_text())
    assert body["trials"][5]["epochs"]["val_loss"] == [one["val_loss"] for one in history["epochs"]]
    assert [row["variant"] for row in body["rows"]] == ["baseline", "head"]


def test_the_report_s_spec_is_the_one_that_was_sent(tmp_path: Path) -> None:
    drawn = drawn_study(tmp_path, title=HOSTILE)

    document = contents.document(drawn.study, trials.read(drawn.study, drawn.runs), svg=b"", png=b"")

    command, spec = (block.text for block in document.blocks if isinstance(block, Code))
    assert command == "cultivar compare --file study.json"
    assert json_format.Parse(spec, study_pb2.TrainingStudySpec()) == drawn.study.spec


def test_final_figures_are_those_of_the_histories_and_a_trial_without_one_is_named(tmp_path: Path) -> None:
    drawn = drawn_study(tmp_path, seeds=2, epochs=4)
    (Path(drawn.runs["trainingJobs/0-2"]) / "history.json").write_text("{")
    del drawn.runs["trainingJobs/1-2"]

    document = contents.document(drawn.study, trials.read(drawn.study, drawn.runs), svg=b"", png=b"")

    history = json.loads((Path(drawn.runs["trainingJobs/0-1"]) / "history.json").read_text())
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    expected = [f"{history['epochs'][-1][name]:.4f}" for name in names]
    table = next(block for block in document.blocks if isinstance(block, Table) and block.columns[1] == "epoch")
    assert table.rows[1] == ["baseline", "last", "4", *expected]
    paragraphs = [block.text for block in document.blocks if isinstance(block, Paragraph)]
    assert "Without a history, so not drawn: trainingJobs/0-2, trainingJobs/1-2." in paragraphs


@pytest.mark.parametrize(
    "kind", [Heading, Paragraph, Code, lambda text: Bullets([text]), lambda text: Table([text], [[text]])]
)
def test_hostile_text_is_shown_and_never_run(kind: object) -> None:
    document = Document(HOSTILE, [kind(HOSTILE), Picture(b"<svg/>", b"PNG", HOSTILE)])

    page, markdown = Page(to_html(document)), to_markdown(document)

    assert "script" not in page.elements
    assert not any("evil" in address for address in page.addresses)
    assert "<script" in page.text
    assert "\x00" not in markdown
    fence = "````"
    outside = re.sub(rf"^{fence}\n.*?^{fence}$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    assert "<" not in outside
    assert not re.search(r"(?<!\\)\[a(?<!\\)\]", outside)
    assert len([line for line in outside.splitlines() if line.startswith("#")]) <= 2


@pytest.mark.slow
def test_a_real_job_s_history_is_read(trained: RunDirectory) -> None:
    study = study_pb2.TrainingStudy(trials=[{"variant": "a", "training_job": "trainingJobs/test"}])

    (trial,) = trials.read(study, {"trainingJobs/test": str(trained.path)})

    history = json.loads((trained.path / "history.json").read_text())
    assert trial.epochs == 2
    assert trial.selected("val_accuracy") == history["epochs"][history["best_epoch"] - 1]["val_accuracy"]


@pytest.mark.slow
def test_the_real_process_reports_a_study_and_the_same_bytes_again(tmp_path: Path) -> None:
    drawn = drawn_study(tmp_path / "runs")
    written = []
    for name in ("one", "other"):
        run = RunDirectory(tmp_path / name)
        run.write_request(1, request(drawn))
        command = [sys.executable, "-m", "cultivar_trainer", "report_study", str(run.path)]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
        result = run.read_result(1)
        assert result is not None, done.stdout + done.stderr
        assert result.outcome == "SUCCEEDED", done.stdout
        written.append([(run.path / file).read_bytes() for file in result.value["files"]])

    assert written[0] == written[1]
