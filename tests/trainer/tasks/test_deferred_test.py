"""Jobs that leave test images alone, and what is measured of their versions later."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files, package, tasks
from cultivar_contract.package import Package
from cultivar_contract.run_directory import Result, RunDirectory
from cultivar_trainer.datasets import procedural_flowers, sources, version
from cultivar_trainer.datasets.splits import Splitting
from cultivar_trainer.datasets.version import DatasetVersion
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.tasks import evaluate
from cultivar_trainer.tasks.import_dataset import import_source

Resolved = Callable[..., pb.TrainingSpec]
RunTrainer = Callable[..., tuple[RunDirectory, Result]]
SWAPPED = ("moon-trillet", "threadray-daisy")


def measured(folder: Path, dataset: Path, made: Path) -> dict[str, Any]:
    """Measure a package on test images; return the figures."""
    request = tasks.EvaluateRequest(
        architecture="",
        weights="",
        package=str(made),
        dataset=str(dataset),
        split="test",
        weights_folder="",
        downloads="",
        dataset_name="datasets/flowers/versions/1",
    )
    with Journal(folder / "events.jsonl") as journal:
        return evaluate.run(RunDirectory(folder), tasks.to_json(request), journal)


@pytest.mark.slow
def test_a_deferred_test_is_not_read_and_gives_later_what_the_job_would_have_measured(
    trained: RunDirectory, flowers: Path, resolved: Resolved, run_trainer: RunTrainer, tmp_path: Path
) -> None:
    intact = tmp_path / "images.pack"
    shutil.copy(flowers / "images.pack", intact)
    spec = resolved(
        epochs=2,
        batchSize=16,
        augmentation={"horizontalFlip": 0.5},
        testEvaluation="TEST_EVALUATION_DEFERRED",
    )
    try:
        with DatasetVersion(flowers) as dataset, (flowers / "images.pack").open("r+b") as pack:
            for sample in dataset.samples:
                if sample.split == "test":
                    pack.seek(sample.offset)
                    pack.write(bytes(sample.size))
        run, result = run_trainer(spec)
    finally:
        shutil.copy(intact, flowers / "images.pack")
    now, then = package.open_package(run.package), package.open_package(trained.package)

    found = measured(tmp_path, flowers, run.package)

    assert result.outcome == "SUCCEEDED"
    assert set(now.manifest["variants"][0]["metrics"]) == {"val"}
    assert set(json.loads((run.package / "report.json").read_text())["splits"]) == {"val"}
    assert now.manifest["dataset"]["splits"] == then.manifest["dataset"]["splits"]
    figures = then.manifest["variants"][0]["metrics"]["test"]
    assert (found["loss"], found.get("accuracy", 0.0)) == (pytest.approx(figures["loss"]), figures["accuracy"])
    told, expected = (
        json.loads((folder / "report.json").read_text())["splits"]["test"] for folder in (tmp_path, trained.package)
    )
    assert told["confusions"] == expected["confusions"]


def test_on_its_own_data_set_a_split_is_what_the_job_selected(flowers: Path, resolved: Resolved) -> None:
    with DatasetVersion(flowers) as dataset:
        recipe = {"data": {"classes": list(SWAPPED), "maxTestImagesPerClass": 2}}
        opened = Package(path=flowers, manifest={"dataset": {"digest": dataset.digest}, "recipe": recipe})
        others = Package(path=flowers, manifest={"dataset": {"digest": "another"}, "recipe": recipe})
        digest = {"digest": "of other images"}
        changed = {"digest": dataset.digest, "splits": {"test": digest}}
        differing = Package(path=flowers, manifest={"dataset": changed, "recipe": recipe})

        own, whole = (evaluate.selected(dataset, one, "test") for one in (opened, others))
        with pytest.raises(TaskFailed, match="can't be selected again"):
            evaluate.selected(dataset, differing, "test")

    assert [one.id for one in own.classes] == sorted(SWAPPED)
    assert version.class_counts(own.samples, 2) == [2, 2]
    assert len(whole.samples) == 20


@pytest.mark.slow
def test_a_mislabelled_class_tops_the_confusions(
    resolved: Resolved, run_trainer: RunTrainer, flowers: Path, tmp_path: Path
) -> None:
    procedural_flowers.write_folder(tmp_path / "images", images_per_species={"train": 120, "val": 20, "test": 20})
    one, other = (tmp_path / "images/test" / name for name in SWAPPED)
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    with Journal(tmp_path / "import.jsonl") as journal:
        import_source(sources.folder(tmp_path / "images", None), tmp_path / "dataset", Splitting(), journal)
    run, result = run_trainer(resolved(epochs=30, testEvaluation="TEST_EVALUATION_NEVER"), dataset=tmp_path / "dataset")
    assert result.outcome == "SUCCEEDED"

    measured(tmp_path, tmp_path / "dataset", _as_version(run.package))

    first, second, *_ = json.loads((tmp_path / "report.json").read_text())["splits"]["test"]["confusions"]
    assert {(pair["class"], pair["taken_for"]) for pair in (first, second)} == {SWAPPED, SWAPPED[::-1]}


def _as_version(folder: Path) -> Path:
    """Let a package be another data set's, so that it is measured on all images."""
    manifest = files.read_json(folder / "manifest.json")
    manifest["dataset"]["digest"] = "another"
    files.write_json(folder / "manifest.json", manifest)
    return folder
