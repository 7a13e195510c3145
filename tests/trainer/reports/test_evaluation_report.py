"""The evaluation report as a whole: in a package, of hostile names, of many classes."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from evaluated_splits import answers, photo, subject

from cultivar_contract import package
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer import evaluation
from cultivar_trainer.reports.evaluation.split import Answers
from cultivar_trainer.reports.evaluation.writing import write_report


class Elements(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_package_s_report_says_what_its_manifest_and_predictions_say(trained: RunDirectory) -> None:
    made = package.open_package(trained.package)
    report = json.loads((trained.package / "report.json").read_text())
    page = Elements((trained.package / "report.html").read_text())
    predictions = np.load(trained.package / "predictions.npz")

    assert set(report["splits"]) == {"val", "test"}
    for split, told in report["splits"].items():
        metrics = made.manifest["variants"][0]["metrics"][split]
        assert {name: told[name] for name in metrics} == metrics
        found = predictions[f"{split}_probabilities"].argmax(axis=1)
        labels = predictions[f"{split}_label"]
        wrong = sum(one["count"] for one in told["confusions"])
        assert wrong == (found != labels).sum() == sum(one["image_count"] - one["right"] for one in told["classes"])
        assert len(told["mistakes"]) == min(24, wrong)
        assert told["chance_accuracy"] == told["majority_accuracy"] == 0.2
    assert report["recipe"] == made.manifest["recipe"]
    assert report["dataset"]["report"]["splits"][0]["imageCount"] == "60"
    for text in ("Validation images", "Test images", "cultivar reproduce flowers/versions/N", "threadray-daisy"):
        assert text in page.text
    assert all(source.startswith("data:image/") for source in page.sources)


def test_names_and_paths_never_become_markup(tmp_path: Path) -> None:
    evil = '"><img src=x onerror=alert(1)><script>alert(1)</script>&'
    given = answers(3, 40, path=evil + "\udcff/{}.jpg")

    write_report(tmp_path, subject([f"{evil}{number}" for number in range(3)]), {"val": given}, lambda _: photo())

    page = Elements((tmp_path / "report.html").read_text())
    assert "script" not in page.tags
    assert not {name for name in page.attributes if name.startswith("on")}
    assert all(source.startswith("data:image/") for source in page.sources)
    assert f"{evil}1" in page.text
    assert json.loads((tmp_path / "report.json").read_text())["splits"]["val"]["mistakes"][0]["path"].startswith(evil)


def test_a_report_of_a_hundred_classes_is_small_and_the_same_each_time(tmp_path: Path) -> None:
    given, about = answers(102, 600), subject([f"class {number}" for number in range(102)])
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, about, {"val": given, "test": given}, lambda _: photo())

    for name in ("report.html", "report.json"):
        written = (tmp_path / "one" / name).read_bytes()
        assert written == (tmp_path / "two" / name).read_bytes()
        assert len(written) < 1_500_000
    page = (tmp_path / "one/report.html").read_text()
    assert len(re.findall("<figure>", page)) == 48
    assert "https:" not in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize("size", [(4000, 3), (3, 4000), (20, 20)])
def test_mistakes_of_any_shape_are_shown(tmp_path: Path, size: tuple[int, int]) -> None:
    write_report(tmp_path, subject(["a", "b"]), {"val": answers(2, 40)}, lambda _: photo(size))

    assert "data:image/jpeg" in (tmp_path / "report.html").read_text()


def test_a_split_without_mistakes_says_so(tmp_path: Path) -> None:
    given = answers(2, 3)
    labels = given.probabilities.argmax(axis=1)

    write_report(tmp_path, subject(["a", "b"]), {"val": _with_labels(given, labels)}, lambda _: photo())

    assert "No image was answered wrong." in (tmp_path / "report.html").read_text()


def _with_labels(given: Answers, labels: np.ndarray) -> Answers:
    metrics = evaluation.measure_probabilities(given.probabilities, labels)
    return replace(given, labels=labels, metrics=metrics)
