import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diagnosed_jobs import Ended, network_of, pixels, train
from torch import nn

from cultivar.v1 import event_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.run_directory import read_events
from cultivar_trainer.diagnostics import symptoms
from cultivar_trainer.diagnostics.job_diagnostics import Diagnostics, Look
from cultivar_trainer.diagnostics.measurement import Subject
from cultivar_trainer.diagnostics.units import UnitHealth, UnitKind
from cultivar_trainer.journal import Journal

VANISHING = event_pb2.SYMPTOM_VANISHING_GRADIENT
EXPLODING = event_pb2.SYMPTOM_EXPLODING_GRADIENT
DEAD = event_pb2.SYMPTOM_DEAD_UNITS
SATURATED = event_pb2.SYMPTOM_SATURATED_UNITS
SIGMOID = {"activation": "ACTIVATION_SIGMOID"}
Resolved = Callable[..., pb.TrainingSpec]


def kinds(ended: Ended) -> set[int]:
    return {one.symptom for one in ended.symptoms}


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": 8, "network": {"activation": "ACTIVATION_RELU"}},
        pytest.param(
            {"epochs": 8, "network": {"activation": "ACTIVATION_TANH", "dropout": 0.2}}, marks=pytest.mark.slow
        ),
        {"epochs": 4, "network": {"batchNorm": True}},
        {"epochs": 8, "architecture": "mlp", "network": {"hiddenSizes": [128, 64, 32]}},
        pytest.param(
            {"epochs": 4, "optimizer": {"kind": "OPTIMIZER_KIND_SGD", "learningRate": 0.05}}, marks=pytest.mark.slow
        ),
        pytest.param({"epochs": 4, "loss": {"kind": "LOSS_KIND_BINARY_CROSS_ENTROPY"}}, marks=pytest.mark.slow),
        pytest.param({"epochs": 4, "loss": {"kind": "LOSS_KIND_MULTI_CLASS_HINGE"}}, marks=pytest.mark.slow),
        pytest.param({"epochs": 2, "architecture": "resnet20_cifar"}, marks=pytest.mark.slow),
        pytest.param({"epochs": 2, "architecture": "resnet18", "input": {"size": 32}}, marks=pytest.mark.slow),
        pytest.param(
            {
                "epochs": 2,
                "architecture": "resnet18",
                "input": {"size": 32},
                "network": {"zeroInitResidual": True},
            },
            marks=pytest.mark.slow,
        ),
        pytest.param({"epochs": 2, "architecture": "mobilenet_v2", "input": {"size": 64}}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_healthy_networks_have_no_symptoms(resolved: Resolved, tmp_path: Path, fields: dict[str, Any]) -> None:
    ended = train(resolved(**{"batchSize": 16, **fields}), tmp_path)

    assert not ended.symptoms
    assert not ended.warnings


@pytest.mark.parametrize("gain", [0.01, 0.1])
@pytest.mark.parametrize("shape", [{}, {"architecture": "mlp", "network": {"hiddenSizes": [64, 64, 64]}}], ids=str)
def test_sigmoids_with_a_tiny_gain_let_gradients_vanish(
    resolved: Resolved, tmp_path: Path, gain: float, shape: dict[str, Any]
) -> None:
    network = {**shape.get("network", {}), **SIGMOID}
    scheme = {"scheme": "INITIALISATION_SCHEME_XAVIER", "gain": gain}

    ended = train(resolved(**{**shape, "epochs": 1, "network": network, "initialisation": scheme}), tmp_path)

    assert kinds(ended) == {VANISHING}
    first = ended.symptoms[0]
    assert first.epoch == 0
    assert first.layer in ("features.0.conv", "hidden.0.linear", "hidden.1.linear")
    assert first.value < first.threshold == symptoms.VANISHING_RATIO
    assert "before training" in first.message
    assert "Hochreiter 1998" in first.message


@pytest.mark.parametrize("kind", ["SGD", "ADAM", "ADAMW"])
@pytest.mark.parametrize("batch_size", [16, 64])
@pytest.mark.parametrize("batch_norm", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_learning_rate_of_a_thousand_explodes(
    resolved: Resolved, tmp_path: Path, kind: str, batch_size: int, batch_norm: bool
) -> None:
    optimizer = {"kind": f"OPTIMIZER_KIND_{kind}", "learningRate": 1e3}
    recipe = resolved(epochs=1, batchSize=batch_size, optimizer=optimizer, network={"batchNorm": batch_norm})

    ended = train(recipe, tmp_path)

    assert EXPLODING in kinds(ended), ended.failure
    assert ended.failure is None or ended.failure.reason == "LOSS_NOT_FINITE"


def test_a_loss_that_is_no_number_is_told_before_the_job_fails(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=2, batchSize=8, optimizer={"kind": "OPTIMIZER_KIND_SGD", "learningRate": 1e6})

    ended = train(recipe, tmp_path)

    assert ended.failure is not None
    assert ended.failure.reason == "LOSS_NOT_FINITE"
    (told,) = [one for one in ended.symptoms if one.symptom == EXPLODING]
    assert (told.value, told.epoch) == (math.inf, 0)
    assert told.layer
    last = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert "symptomFound" in last or "checkpointWritten" in last


def test_of_several_candidates_the_one_that_explodes_is_named(resolved: Resolved, tmp_path: Path) -> None:
    ended = train(resolved(epochs=1, batchSize=16, optimizer={"learningRates": [1e-3, 1e3]}), tmp_path)

    assert EXPLODING in kinds(ended)
    assert all(one.message.startswith("candidate 2, ") for one in ended.symptoms)
    assert {one.parent.name for one in tmp_path.rglob("*tfevents*")} == {"candidate-1", "candidate-2"}


def test_relus_with_a_large_negative_bias_are_dead(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=1, batchSize=16)
    network = network_of(recipe)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.bias, -100.0)

    ended = train(recipe, tmp_path, network=network)

    (dead,) = [one for one in ended.symptoms if one.symptom == DEAD]
    assert dead.layer == "features.0.activation"
    assert (dead.value, dead.epoch) == (1.0, 0)
    assert "100% of the 6 units" in dead.message


def test_tanhs_with_a_huge_gain_are_saturated(resolved: Resolved, tmp_path: Path) -> None:
    scheme = {"scheme": "INITIALISATION_SCHEME_XAVIER", "gain": 50.0}

    ended = train(
        resolved(epochs=1, batchSize=16, network={"activation": "ACTIVATION_TANH"}, initialisation=scheme), tmp_path
    )

    assert SATURATED in kinds(ended)


def test_a_layer_between_others_may_rest() -> None:
    assert symptoms.vanishing({"a": 1.0, "b": 0.0, "c": 1.0}) is None
    assert symptoms.vanishing({"a": 0.0, "b": 1e-5, "c": 1.0}).layer == "a"


@pytest.mark.parametrize("norms", [{}, {"a": 1.0}, {"a": 0.0, "b": 0.0}, {"a": 0.9, "b": 1.0}])
def test_norms_that_tell_nothing_are_no_symptom(norms: dict[str, float]) -> None:
    assert not list(symptoms.found(norms, ()))


def test_norms_that_are_no_number_explode() -> None:
    found = symptoms.exploding({"a": 1.0, "b": math.inf, "c": math.inf})

    assert found is not None
    assert (found.layer, found.value) == ("b", math.inf)


def test_one_event_names_the_worst_layer_and_how_many_there_are() -> None:
    units = [
        UnitHealth(layer=name, kind=UnitKind.DEAD, units=8, share=share)
        for name, share in (("a", 0.1), ("b", 0.95), ("c#2", 1.0), ("d", 1.0))
    ]

    (found,) = symptoms.found({}, units)

    assert found.layer == "c"
    assert "in 3 of 4 layers" in found.message


def test_a_layer_is_told_of_once_however_often_it_is_found(resolved: Resolved, tmp_path: Path) -> None:
    scheme = {"scheme": "INITIALISATION_SCHEME_XAVIER", "gain": 0.01}
    recipe = resolved(
        epochs=4,
        network=SIGMOID,
        initialisation=scheme,
        diagnostics={"everyEpochs": 1},
        optimizer={"learningRate": 1e-9},
    )

    ended = train(recipe, tmp_path)

    layers = [one.layer for one in ended.symptoms]
    assert len(layers) == len(set(layers)) == 1


def test_switched_off_nothing_is_told_or_written(resolved: Resolved, tmp_path: Path) -> None:
    off = {"tensorboard": False, "gradientNorms": False, "unitHealth": False}

    ended = train(resolved(epochs=1, batchSize=16, optimizer={"learningRate": 1e3}, diagnostics=off), tmp_path)

    assert not ended.symptoms
    assert not (tmp_path / "tensorboard").exists()


def test_lack_of_memory_ends_diagnostics_and_not_the_job(
    resolved: Resolved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_little(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory\nand more lines")

    monkeypatch.setattr(torch.autograd, "grad", too_little)

    ended = train(resolved(epochs=2, batchSize=16), tmp_path)

    assert ended.failure is None
    assert ended.warnings == ["diagnostics end here, training goes on: CUDA out of memory"]


@pytest.mark.parametrize("val_loss", [math.nan, math.inf, 1e9])
def test_a_validation_loss_that_explodes_is_told_and_not_what_died_of_it(
    resolved: Resolved, tmp_path: Path, val_loss: float
) -> None:
    scheme = {"scheme": "INITIALISATION_SCHEME_XAVIER", "gain": 0.01}  # its gradients vanish, too
    recipe = resolved(network=SIGMOID, initialisation=scheme)
    network, images = network_of(recipe), pixels(20, 0)
    subject = Subject(
        forward=network, modules=list(network.named_modules()), parameters=dict(network.named_parameters())
    )
    look = Look(subject=subject, validation=images, class_weights=None, batch_size=20)
    with Journal(tmp_path / "events.jsonl") as journal:
        diagnostics = Diagnostics(
            recipe, tmp_path, journal, candidates=1, train=images, validation=images, num_classes=5
        )
        diagnostics.after_epoch(0, lambda: look, epoch=3, last=False, scalars={}, train_loss=1.0, val_loss=val_loss)

    happened, _ = read_events(tmp_path / "events.jsonl", 0)
    (told,) = [one.symptom_found for one in happened if one.HasField("symptom_found")]
    assert (told.symptom, told.epoch) == (EXPLODING, 3)
    assert ("no finite number" in told.message) == (not math.isfinite(val_loss))
