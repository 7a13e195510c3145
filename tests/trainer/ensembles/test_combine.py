"""Packages of real trainings that become one."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from combined_models import NAMES, combined

from cultivar_contract import files, package, tasks
from cultivar_contract.package import Package
from cultivar_contract.run_directory import RunDirectory
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal

Resolve, Train = Callable[..., Any], Callable[..., Any]


def figures(one: Package) -> dict[str, Any]:
    return one.manifest["variants"][0]["metrics"]["val"]


@pytest.fixture(scope="module")
def seeds(resolved: Resolve, run_trainer: Train) -> list[Path]:
    """Three LeNet-5 from scratch that differ in their seed."""
    fields = {"epochs": 30, "batchSize": 8, "testEvaluation": "TEST_EVALUATION_NEVER"}
    runs = [run_trainer(resolved(seed=seed, **fields)) for seed in range(3)]
    assert [result.outcome for _, result in runs] == ["SUCCEEDED"] * 3
    return [run.package for run, _ in runs]


@pytest.mark.slow
def test_an_ensemble_of_three_seeds_beats_its_members_mean(seeds: list[Path], flowers: Path, tmp_path: Path) -> None:
    run, events = combined(tmp_path, flowers, seeds)
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
    seeds: list[Path], flowers: Path, resolved: Resolve, run_trainer: Train, tmp_path: Path
) -> None:
    other, _ = run_trainer(
        resolved(architecture="mlp", epochs=1, input={"size": 32, "normalisation": "NORMALISATION_MEASURED"})
    )
    larger, _ = run_trainer(resolved(architecture="mlp", epochs=1, input={"size": 40}))

    run, _ = combined(tmp_path / "both", flowers, [seeds[0], other.package])
    with pytest.raises(TaskFailed, match=f"{NAMES[1]} has inputs of 40 px RGB") as refused:
        combined(tmp_path / "larger", flowers, [seeds[0], larger.package])

    assert package.open_package(run.package).is_ensemble
    assert refused.value.reason == "MEMBERS_DIFFER"


@pytest.mark.slow
def test_a_soup_averages_weights_of_one_start_where_that_is_better(
    seeds: list[Path], flowers: Path, tmp_path: Path, resolved: Resolve, tmp_path_factory: Any
) -> None:
    packages = [tuned(tmp_path_factory, flowers, seeds[0], resolved, seed) for seed in (1, 2)]

    run, events = combined(tmp_path / "soup", flowers, packages, "SOUP")
    made, alone = package.open_package(run.package), [package.open_package(one) for one in packages]
    compared = next(event.members_compared for event in events if event.HasField("members_compared"))
    with (
        np.load(made.path / "weights.npz") as weights,
        np.load(packages[0] / "weights.npz") as first,
        np.load(packages[1] / "weights.npz") as second,
    ):
        for name in weights.files:
            assert np.abs(weights[name] - (first[name].astype(float) + second[name]) / 2).max() < 1e-6

    assert [one.kept for one in compared.members] == [True, True]
    assert figures(made)["loss"] < min(figures(one)["loss"] for one in alone)
    assert not made.is_ensemble
    assert made.manifest["architecture"] == "lenet5"
    assert made.manifest["weights"]["sha256"] == files.sha256_file(seeds[0] / "weights.npz")

    with pytest.raises(TaskFailed, match="did not start from the same weights") as other_start:
        combined(tmp_path / "starts", flowers, [packages[0], seeds[1]], "SOUP")
    assert other_start.value.reason == "MEMBERS_DIFFER"


def tuned(tmp_path_factory: Any, flowers: Path, source: Path, resolved: Resolve, seed: int) -> Path:
    """Fine-tune a package's network on a part of the images."""
    from google.protobuf import json_format

    from cultivar.v1 import training_spec_pb2 as pb
    from cultivar_trainer.tasks import train

    recipe = resolved(
        seed=seed, epochs=3, batchSize=16, selectionMetric="SELECTION_METRIC_LOSS", data={"bootstrapSeed": str(seed)}
    )
    recipe.mode = pb.FINE_TUNING_MODE_FULL
    recipe.weights = "models/flowers/versions/9"
    recipe.optimizer.learning_rate = 0.02
    run = RunDirectory(tmp_path_factory.mktemp("tuned"))
    request = tasks.TrainRequest(
        job="trainingJobs/tuned",
        recipe=json_format.MessageToDict(recipe),
        dataset=str(flowers),
        caches=str(run.path / "caches"),
        cache_budget_bytes=1 << 30,
        weights="/nonexistent",
        downloads="/nonexistent",
        source=str(source),
    )
    with Journal(run.path / "events.jsonl") as journal:
        train.run(run, tasks.to_json(request), journal)
    return run.package
