from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training_jobs import events, train

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.loop.history import Histories
from cultivar_trainer.loop.job import Job

Resolved = Callable[..., pb.TrainingSpec]
RATES, DECAYS = [0.003, 0.03], [0.0, 0.1]
COMMON: dict[str, Any] = {"epochs": 3, "batchSize": 16}


def alone(resolved: Resolved, folder: Path, rate: float, decay: float, **options: Any) -> tuple[Job, Histories]:
    """Train one candidate by itself."""
    optimizer = {**options.get("optimizer", {}), "learningRate": rate, "weightDecay": decay}
    return train(resolved(**COMMON, **{**options, "optimizer": optimizer}), folder, spread=4.0)


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"network": {"headDropout": 0.3}, "loss": {"labelSmoothing": 0.1}},
        {"optimizer": {"kind": "OPTIMIZER_KIND_SGD", "clipNorm": 0.5, "l1": 0.001}},
        {"optimizer": {"kind": "OPTIMIZER_KIND_RMSPROP", "emaShare": 0.5}, "earlyStopping": {"patience": 1}},
        {"network": {"headHiddenSizes": [16]}},
    ],
    ids=["plain", "dropout", "sgd", "rmsprop", "hidden"],
)
def test_each_candidate_ends_as_it_would_alone_and_the_best_is_selected(
    resolved: Resolved, tmp_path: Path, at_once: bool, options: dict[str, Any]
) -> None:
    lists = {"learningRates": RATES, "weightDecays": DECAYS}
    recipe = resolved(**COMMON, **{**options, "optimizer": {**options.get("optimizer", {}), **lists}})

    job, histories = train(recipe, tmp_path / "search", at_once=at_once, spread=4.0)

    assert [(one.learning_rate, one.weight_decay) for one in histories.candidates] == [
        (rate, decay) for rate in RATES for decay in DECAYS
    ]
    best = histories.best
    assert best.best.val_accuracy == max(one.best.val_accuracy for one in histories.candidates)
    assert histories.selected == min(
        number for number, one in enumerate(histories.candidates) if one.best.val_accuracy == best.best.val_accuracy
    )
    for number, one in enumerate(histories.candidates):
        own_job, own = alone(resolved, tmp_path / str(number), one.learning_rate, one.weight_decay, **options)
        assert [epoch.val_loss for epoch in one.epochs] == pytest.approx(
            [epoch.val_loss for epoch in own.best.epochs], abs=1e-5
        )
        if number == histories.selected:
            for name, tensor in own_job.network.head.state_dict().items():
                assert torch.allclose(job.network.head.state_dict()[name], tensor, atol=1e-5)
    told = events(tmp_path / "search", "candidateFinished")
    assert [one["candidate"] for one in told] == [1, 2, 3, 4]
    assert {one["candidate"] for one in events(tmp_path / "search", "epochFinished")} == {1, 2, 3, 4}


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
def test_a_candidate_that_diverges_is_told_and_passed_over(resolved: Resolved, tmp_path: Path, at_once: bool) -> None:
    recipe = resolved(**COMMON, optimizer={"kind": "OPTIMIZER_KIND_SGD", "learningRates": [1e6, 0.01]})
    recipe.optimizer.learning_rates[0] = 1e38  # beyond what a request may ask for: the first update overflows

    _, histories = train(recipe, tmp_path, at_once=at_once)

    assert histories.selected == 1
    assert "no longer a finite number" in histories.candidates[0].diverged
    assert not histories.candidates[1].diverged


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
def test_when_all_candidates_diverge_the_job_fails(resolved: Resolved, tmp_path: Path, at_once: bool) -> None:
    optimizer = {"kind": "OPTIMIZER_KIND_SGD", "learningRates": [1e5, 1e6]}
    recipe = resolved(**COMMON, optimizer=optimizer)
    recipe.optimizer.learning_rates[:] = [1e37, 2e37]

    with pytest.raises(TaskFailed, match="every candidate diverged") as caught:
        train(recipe, tmp_path, at_once=at_once)

    assert caught.value.reason == "LOSS_NOT_FINITE"
