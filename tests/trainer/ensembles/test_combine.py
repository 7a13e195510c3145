"""Packages of real trainings that become one."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from combined_models import NAMES, combined
from google.protobuf import json_format

from cultivar_contract import files, package, tasks
from cultivar_contract.package import Package
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer.datasets import procedural_flowers, sources
from cultivar_trainer.datasets.splits import Splitting
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.tasks import train
from cultivar_trainer.tasks.import_dataset import import_source

Resolve = Callable[..., Any]


def figures(one: Package) -> dict[str, Any]:
    return one.manifest["variants"][0]["metrics"]["val"]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn flowers with enough validation images to tell models apart."""
    root = tmp_path_factory.mktemp("many")
    procedural_flowers.write_folder(root / "flowers", images_per_species={"train": 20, "val": 40, "test": 2})
    with Journal(root / "events.jsonl") as journal:
        import_source(sources.folder(root / "flowers", None), root / "dataset", Splitting(), journal)
    return root / "dataset"


@pytest.fixture(scope="module")
def trained_on(resolved: Resolve, many: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains in this process, and returns the package."""

    def trained_on(**fields: Any) -> Path:
        recipe = resolved(**{"batchSize": 16, "testEvaluation": "TEST_EVALUATION_NEVER", **fields})
        run = RunDirectory(tmp_path_factory.mktemp("trained"))
        request = tasks.TrainRequest(
            job="trainingJobs/trained",
            recipe=json_format.MessageToDict(recipe),
            dataset=str(many),
            caches=str(many.parent / "caches"),
            cache_budget_bytes=1 << 30,
            weights="/nonexistent",
            downloads="/nonexistent",
        )
        with Journal(run.path / "events.jsonl") as journal:
            train.run(run, tasks.to_json(request), journal)
        return run.package

    return trained_on


@pytest.fixture(scope="module")
def seeds(trained_on: Callable[..., Path]) -> list[Path]:
    """Three LeNet-5 from scratch that differ in their seed."""
    return [trained_on(seed=seed, epochs=12) for seed in range(3)]


@pytest.mark.slow
def test_an_ensemble_of_three_seeds_beats_its_members_mean(seeds: list[Path], many: Path, tmp_path: Path) -> None:
    run, events = combined(tmp_path, many, seeds)
    made, alone = package.open_package(run.package), [package.open_package(one) for one in seeds]
    compared = next(event.members_compared for event in events if event.HasField("members_compared"))
    with np.load(made.path / "predictions.npz") as predictions, np.load(made.path / "weights.npz") as weights:
        answers, tensors = predictions["val_probabilities"], weights.files
    theirs = []
    for one in alone:
        with np.load(one.path / "predictions.npz") as predictions:
            theirs.append(predictions["val_probabilities"])
    classes = [one.argmax(axis=1) for one in theirs]

    package.verify(made)
    assert np.abs(answers - np.mean(theirs, axis=0)).max() < 1e-6
    assert figures(made)["loss"] < np.mean([figures(one)["loss"] for one in alone])
    assert figures(made)["accuracy"] > np.mean([figures(one)["accuracy"] for one in alone])
    assert compared.combined_accuracy == figures(made)["accuracy"]
    assert compared.mean_accuracy == pytest.approx(np.mean([figures(one)["accuracy"] for one in alone]))
    pairs = [(one != other).mean() for one, other in itertools.combinations(classes, 2)]
    assert compared.disagreement == pytest.approx(np.mean(pairs))
    assert [one.model_version for one in compared.members] == list(NAMES[:3])
    assert made.is_ensemble
    assert made.manifest["architecture"] == "ensemble"
    assert [one["onnx_sha256"] for one in made.manifest["combination"]["members"]] == [
        files.sha256_file(one.onnx) for one in alone
    ]
    assert {name.split("/")[1] for name in tensors} == {"0", "1", "2"}
    assert "test" not in made.manifest["dataset"]["splits"]
    phases = [event.phase_entered for event in events if event.HasField("phase_entered")]
    assert phases == sorted(phases)


@pytest.mark.slow
def test_members_may_differ_in_network_and_normalisation_not_in_input(
    seeds: list[Path], many: Path, trained_on: Callable[..., Path], tmp_path: Path
) -> None:
    measured = {"size": 32, "normalisation": "NORMALISATION_MEASURED"}
    other = trained_on(architecture="mlp", epochs=1, input=measured)
    larger = trained_on(architecture="mlp", epochs=1, input={"size": 40})

    run, _ = combined(tmp_path / "both", many, [seeds[0], other])
    with pytest.raises(TaskFailed, match=f"{NAMES[1]} has inputs of 40 px RGB") as refused:
        combined(tmp_path / "larger", many, [seeds[0], larger])

    assert package.open_package(run.package).is_ensemble
    assert refused.value.reason == "MEMBERS_DIFFER"
