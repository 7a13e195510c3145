"""A job that is ended at any moment of its training and goes on ends as the undisturbed one, bit for bit."""

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_jobs import events, train

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer import execution
from cultivar_trainer.errors import Cancelled, TaskFailed
from cultivar_trainer.loop.history import Histories
from cultivar_trainer.loop.job import TRAINING, Job, PlanRecord

Resolved = Callable[..., pb.TrainingSpec]
SGD = {"kind": "OPTIMIZER_KIND_SGD"}
SEARCH: dict[str, Any] = {"learningRates": [0.003, 0.03], "weightDecays": [0.0, 0.1]}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout and mixup": {"network": {"headDropout": 0.3}, "augmentation": {"mixup": 0.4}},
    "averaged sgd": {"optimizer": {**SGD, "momentum": 0.9, "emaShare": 0.5, "clipNorm": 0.5, "l1": 0.001}},
    "adagrad": {"optimizer": {"kind": "OPTIMIZER_KIND_ADAGRAD"}, "loss": {"labelSmoothing": 0.1}},
    "rmsprop": {"optimizer": {"kind": "OPTIMIZER_KIND_RMSPROP", "momentum": 0.5}, "execution": {"microBatch": 13}},
    "muon": {"optimizer": {"kind": "OPTIMIZER_KIND_MUON"}, "network": {"headHiddenSizes": [16]}},
    "plateau": {
        "schedule": {"kind": "SCHEDULE_KIND_PLATEAU", "plateauPatience": 1, "stepFactor": 0.5},
        "earlyStopping": {"patience": 2},
    },
}


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # what a killed process has written is there without it


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the trainer handles it."""


def countdown(calls: int, act: Callable[[], None]) -> Callable[[], None]:
    """Return what acts when it is called for the `calls`-th time."""
    count = itertools.count(1)

    def call() -> None:
        if next(count) == calls:
            act()

    return call


def kill() -> None:
    raise Killed


def trained_with_kills(recipe: pb.TrainingSpec, folder: Path, calls: int, **how: Any) -> tuple[Job, Histories, int]:
    """Train in as many attempts as it takes, each killed before its `calls`-th batch; return how many were."""
    for kills in range(200):
        try:
            return *train(
                recipe, folder, before=countdown(calls, kill), saves_each_update=True, spread=4.0, **how
            ), kills
        except Killed:
            pass
    raise AssertionError("no attempt goes on from where the one before was killed")


def figures(histories: Histories) -> list[Any]:
    """Return all figures but times."""
    times = dict.fromkeys(("train_seconds", "val_seconds", "images_per_second"), 0.0)
    return [
        [asdict(replace(epoch, **times)) for epoch in one.epochs] + [one.best_epoch, one.diverged]
        for one in (histories.best, *histories.candidates)
    ]


def assert_same(one: tuple[Job, Histories], other: tuple[Job, Histories]) -> None:
    assert figures(one[1]) == figures(other[1])
    assert one[1].selected == other[1].selected
    for name, tensor in one[0].network.state_dict().items():
        assert torch.equal(tensor, other[0].network.state_dict()[name]), name
    assert [record.to_json() for record in one[0].plans] == [record.to_json() for record in other[0].plans]


@pytest.mark.parametrize(
    ("options", "search"),
    [
        *(pytest.param(one, {}, id=name) for name, one in OPTIONS.items()),
        *(pytest.param(one, SEARCH, id=f"four, {name}", marks=pytest.mark.slow) for name, one in OPTIONS.items()),
    ],
)
def test_a_job_killed_again_and_again_ends_as_the_undisturbed_one(
    resolved: Resolved, tmp_path: Path, options: dict[str, Any], search: dict[str, Any]
) -> None:
    recipe = resolved(epochs=3, batchSize=26, **{**options, "optimizer": {**options.get("optimizer", {}), **search}})

    undisturbed = train(recipe, tmp_path / "undisturbed", spread=4.0)
    job, histories, kills = trained_with_kills(recipe, tmp_path / "killed", calls=3)

    assert kills > 2
    assert_same((job, histories), undisturbed)
    assert told(tmp_path / "killed") == told(tmp_path / "undisturbed")


def told(folder: Path) -> list[list[Any]]:
    """Return the results that a job told, times and memory aside, by kind."""
    kinds = ("epochFinished", "candidateFinished", "earlyStopped")
    names = ("epoch", "candidate", "valLoss", "trainLoss", "value", "best", "bestEpoch")
    return [[[one.get(name) for name in names] for one in events(folder, kind)] for kind in kinds]


@pytest.mark.parametrize(
    "options", ["averaged sgd", *(pytest.param(one, marks=pytest.mark.slow) for one in ("plain", "plateau"))]
)
def test_heads_searched_at_once_and_killed_end_as_the_undisturbed_ones(
    resolved: Resolved, tmp_path: Path, options: str
) -> None:
    optimizer = {**OPTIONS[options].get("optimizer", {}), **SEARCH}
    recipe = resolved(epochs=3, batchSize=26, **{**OPTIONS[options], "optimizer": optimizer})

    undisturbed = train(recipe, tmp_path / "undisturbed", spread=4.0, at_once=True)
    job, histories, kills = trained_with_kills(recipe, tmp_path / "killed", calls=3, at_once=True)

    assert kills > 2
    assert_same((job, histories), undisturbed)


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
@pytest.mark.parametrize(
    "moment", [5, *(pytest.param(one, marks=pytest.mark.slow) for one in range(1, 11) if one != 5)]
)
def test_a_request_to_stop_leaves_a_checkpoint_to_go_on_from(
    resolved: Resolved, tmp_path: Path, at_once: bool, moment: int
) -> None:
    recipe = resolved(epochs=2, batchSize=26, optimizer={"learningRates": [0.003, 0.03]})
    handler = signal.getsignal(signal.SIGTERM)
    try:
        before = countdown(moment, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Cancelled):
            train(recipe, tmp_path / "stopped", before=before, spread=4.0, at_once=at_once)
    finally:
        signal.signal(signal.SIGTERM, handler)

    resumed = train(recipe, tmp_path / "stopped", spread=4.0, at_once=at_once)

    assert_same(resumed, train(recipe, tmp_path / "undisturbed", spread=4.0, at_once=at_once))
    assert len(events(tmp_path / "stopped", "trainingResumed")) == 1


def test_a_candidate_that_diverged_before_the_kill_stays_diverged(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=3, batchSize=26, optimizer={**SGD, "learningRates": [1e6, 0.01]})
    recipe.optimizer.learning_rates[0] = 1e38  # beyond what a request may ask for: the first update overflows

    *killed, kills = trained_with_kills(recipe, tmp_path / "killed", calls=3)

    assert kills
    assert killed[1].candidates[0].diverged
    assert_same((killed[0], killed[1]), train(recipe, tmp_path / "undisturbed", spread=4.0))


def test_a_job_that_failed_fails_again_and_not_anew(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=3, batchSize=26, optimizer=SGD)
    recipe.optimizer.learning_rate = 1e38
    messages = []
    for _ in range(2):
        with pytest.raises(TaskFailed) as caught:
            train(recipe, tmp_path)
        messages.append((caught.value.reason, caught.value.message))

    assert messages[0] == messages[1]
    assert messages[0][0] == "LOSS_NOT_FINITE"


def test_a_checkpoint_of_another_network_is_refused(resolved: Resolved, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(resolved(epochs=1), tmp_path, before=kill)

    with pytest.raises(TaskFailed, match=r"weights before training have sha256 \w+, and had \w+") as caught:
        train(resolved(epochs=1, seed=1), tmp_path)

    assert caught.value.reason == "CHECKPOINT_DOES_NOT_FIT"


def test_a_repetition_changes_its_plan_where_the_first_run_did(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=2, batchSize=50)
    first = execution.plan(recipe)
    records = [
        PlanRecord(plan=first, phase=TRAINING, candidate=0, step=0),
        PlanRecord(plan=replace(first, micro_batch=7), phase=TRAINING, candidate=0, step=3),
    ]

    job, _ = train(recipe, tmp_path / "repeated", repeated=records)
    again, *_ = trained_with_kills(recipe, tmp_path / "killed", calls=16, repeated=records)

    assert job.plans == records == again.plans
    assert [one["phase"] for one in events(tmp_path / "repeated", "planChanged")] == ["TRAINING_PHASE_TRAINING"]
