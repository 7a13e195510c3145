"""Fine-tuning from a model version: the small published model serves as pretrained weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import json_format

from cultivar.v1 import state_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import files, recipe, tasks
from cultivar_contract.run_directory import RunDirectory, read_events
from cultivar_trainer.datasets import procedural_flowers
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop import head_search
from cultivar_trainer.tasks import train

PARENT = "models/parent/versions/1"


@pytest.fixture
def fine_tune(trained: RunDirectory, flowers: Path, tmp_path: Path) -> Callable[..., RunDirectory]:
    """Runs the task on the small model's weights, in this process."""

    def fine_tune(mode: str, **fields: Any) -> RunDirectory:
        parent = json.loads((trained.package / "manifest.json").read_text())
        species = tuple(sorted(species.id for species in procedural_flowers.SPECIES))
        spec = {"dataset": "flowers", "architecture": "lenet5", "weights": "parent", "batchSize": 16, **fields}
        facts = recipe.Facts(
            dataset=recipe.DatasetFacts(
                name="datasets/flowers/versions/1",
                class_ids=species,
                counts={"train": (12,) * 5, "val": (4,) * 5, "test": (4,) * 5},
            ),
            source=recipe.SourceFacts(name=PARENT, recipe=json_format.ParseDict(parent["recipe"], pb.TrainingSpec())),
        )
        request = json_format.ParseDict({**spec, "mode": f"FINE_TUNING_MODE_{mode}"}, pb.TrainingSpec())
        resolution = recipe.resolve(request, facts)
        assert not resolution.violations, resolution.violations
        run = RunDirectory(tmp_path)
        asked = tasks.TrainRequest(
            job="trainingJobs/child",
            recipe=json_format.MessageToDict(resolution.recipe),
            dataset=str(flowers),
            caches=str(tmp_path / "caches"),
            cache_budget_bytes=1 << 30,
            weights="/nonexistent",
            downloads="/nonexistent",
            source=str(trained.package),
        )
        run.events(1).parent.mkdir(parents=True)
        with Journal(run.events(1)) as journal:
            train.run(run, tasks.to_json(asked), journal)
        return run

    return fine_tune


def manifest(run: RunDirectory) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((run.package / "manifest.json").read_text())
    return value


def moved(run: RunDirectory, parent: RunDirectory) -> set[str]:
    """Return the names of tensors that differ from the parent's."""
    ours, theirs = (np.load(one.package / "weights.npz") for one in (run, parent))
    return {name for name in ours.files if not np.array_equal(ours[name], theirs[name])}


def test_gradual_trains_the_head_and_then_everything_and_says_where_its_weights_come_from(
    fine_tune: Callable[..., RunDirectory], trained: RunDirectory
) -> None:
    run = fine_tune("GRADUAL", epochs=4, gradual={"headEpochs": 2})

    events, _ = read_events(run.events(1), 0)
    phases = [state_pb2.TrainingPhase.Name(one.phase_entered)[15:] for one in events if one.HasField("phase_entered")]
    assert phases[:4] == ["PREPARING", "CACHING_FEATURES", "HEAD_WARMUP", "TRAINING"]
    epochs = json.loads((run.path / "history.json").read_text())["epochs"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4]
    assert [epoch["phase"] for epoch in epochs] == ["HEAD_WARMUP"] * 2 + ["TRAINING"] * 2
    assert [epoch["step"] for epoch in epochs] == [4, 8, 12, 16]
    assert epochs[0]["learning_rate"] == pytest.approx(1e-3)
    assert max(epoch["learning_rate"] for epoch in epochs[2:]) <= 1e-4
    lineage = manifest(run)["lineage"]
    assert [one["model_version"] for one in lineage] == [PARENT]
    assert lineage[0]["training_job"] == "trainingJobs/test"
    assert [one["phase"] for one in manifest(run)["plans"]] == ["HEAD_WARMUP", "TRAINING"]


def test_last_blocks_moves_them_and_the_head_alone(
    fine_tune: Callable[..., RunDirectory], trained: RunDirectory
) -> None:
    run = fine_tune("LAST_BLOCKS", epochs=1, lastBlocks=1, optimizer={"layerDecay": 0.5})

    names = moved(run, trained)
    assert {name.rpartition(".")[0] for name in names} == {"hidden.1.linear", "classifier"}


def test_learning_rates_shrink_from_block_to_block(
    fine_tune: Callable[..., RunDirectory], trained: RunDirectory
) -> None:
    run = fine_tune("LAST_BLOCKS", epochs=1, lastBlocks=1, optimizer={"layerDecay": 1e-20})

    assert {name.rpartition(".")[0] for name in moved(run, trained)} == {"classifier"}


def test_class_weights_of_the_request_weigh_the_loss(fine_tune: Callable[..., RunDirectory]) -> None:
    rare = min(species.id for species in procedural_flowers.SPECIES)
    run = fine_tune("HEAD", epochs=3, loss={"classWeights": {rare: 1e6}}, optimizer={"learningRate": 0.5})

    predictions = np.load(run.package / "predictions.npz")
    assert (predictions["val_probabilities"].argmax(1) == 0).all()  # what weighs so much is always answered


def test_gradual_goes_on_from_the_best_epoch_of_its_first_phase(fine_tune: Callable[..., RunDirectory]) -> None:
    run = fine_tune(
        "GRADUAL",
        epochs=6,
        gradual={"headEpochs": 5, "headLearningRate": 100.0},
        optimizer={"learningRate": 1e-30, "weightDecay": 0},
    )

    start, end = (files.read_json(run.checkpoint / name) for name in ("previous.json", "last.json"))
    (best,) = end["weights"].values()
    started, selected = (torch.load(run.checkpoint / one["file"], weights_only=True) for one in (start["state"], best))
    assert started["learner"]["epoch"] == 0
    assert started["epoch"] == 5
    assert json.loads((run.path / "history.json").read_text())["best_epoch"] < 5  # else this shows nothing
    assert torch.equal(started["tensors"]["head.output.weight"], selected["head.output.weight"])


def test_candidates_of_a_head_are_searched_at_once_and_the_manifest_names_the_selected(
    fine_tune: Callable[..., RunDirectory], trained: RunDirectory
) -> None:
    run = fine_tune("HEAD", epochs=2, optimizer={"learningRates": [1e-4, 1e-2], "weightDecays": [0, 0.1]})

    history, selected = json.loads((run.path / "history.json").read_text()), manifest(run)["selected"]
    assert len(history["candidates"]) == 4
    values = [one["value"] for one in history["candidates"]]
    assert values[history["selected_candidate"] - 1] == max(values)
    assert selected["candidate"] == history["selected_candidate"]
    assert selected["candidates"] == 4
    assert moved(run, trained) <= {"classifier.weight", "classifier.bias"}


def test_augmented_views_are_cached_and_take_turns(fine_tune: Callable[..., RunDirectory]) -> None:
    run = fine_tune("HEAD", epochs=2, execution={"featureViews": 2}, augmentation={"gaussianNoise": 0.2})

    shapes = [np.load(path / "features.npy").shape for path in (run.path / "caches").glob("features-*")]
    assert sorted(shape[:2] for shape in shapes) == [(1, 20), (2, 60)]
    assert manifest(run)["recipe"]["execution"]["featureViews"] == 2


def test_the_head_of_a_network_that_is_cut_is_new_even_where_it_would_fit(
    fine_tune: Callable[..., RunDirectory],
) -> None:
    loaded = manifest(fine_tune("HEAD", epochs=1, retainBlocks=4))["weights"]

    # All four blocks stay, so that the head's shape is the same.
    assert loaded["tensors_replaced"] == ["classifier.weight", "classifier.bias"]


def test_heads_that_memory_does_not_hold_at_once_train_one_after_the_other(
    fine_tune: Callable[..., RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks_memory(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(head_search.HeadStack, "backward", lacks_memory)

    run = fine_tune("HEAD", epochs=1, optimizer={"learningRates": [1e-4, 1e-2]})

    assert len(json.loads((run.path / "history.json").read_text())["candidates"]) == 2
    assert [one["candidate"] for one in manifest(run)["plans"]] == [1, 2]
