import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer import execution, finetuning
from cultivar_trainer.batches import CachedFeatures
from cultivar_trainer.checkpoint import Checkpoints
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.journal import Journal
from cultivar_trainer.loop import Epoch, History, epoch_batches, fit, is_better, training_loss
from cultivar_trainer.networks.builders import build
from cultivar_trainer.networks.network import Network

Resolved = Callable[..., pb.TrainingSpec]
CPU = torch.device("cpu")


def blobs(count: int, seed: int) -> CachedFeatures:
    """Features of five classes around five centres."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 5
    centres = torch.eye(5, 84) * 8
    return CachedFeatures(
        features=centres[labels] + torch.randn(count, 84, generator=generator), labels=labels, device=CPU
    )


def train(
    recipe: pb.TrainingSpec,
    folder: Path,
    network: Network | None = None,
    forward: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> tuple[Network, History]:
    network = network or build(recipe, 5, None).network
    finetuning.freeze(network, pb.FINE_TUNING_MODE_HEAD)
    with Journal(folder / "events.jsonl") as journal:
        history = fit(
            network,
            forward=forward or network.classify,
            train=blobs(101, 0),
            validation=blobs(50, 1),
            num_classes=5,
            recipe=recipe,
            plan=execution.plan(recipe),
            checkpoints=Checkpoints(folder / "checkpoint"),
            journal=journal,
        )
    return network, history


def figures(epoch: int, **values: float) -> Epoch:
    names = [name for name in Epoch.__slots__ if name != "epoch"]
    return Epoch(epoch=epoch, **{name: values.get(name, 0) for name in names})  # type: ignore[arg-type]


def test_a_separable_problem_is_learnt_and_every_epoch_is_told(resolved: Resolved, tmp_path: Path) -> None:
    _, history = train(resolved(epochs=4, batchSize=10, optimizer={"learningRate": 0.05}), tmp_path)

    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [one["epochFinished"]["epoch"] for one in events] == [1, 2, 3, 4]
    assert history.best.val_accuracy > 0.95
    assert history.epochs[-1].train_loss < history.epochs[0].train_loss
    assert [one.step for one in history.epochs] == [10, 20, 30, 40]  # the 101st image joins the tenth batch


def test_one_seed_gives_one_result_and_another_seed_another(resolved: Resolved, tmp_path: Path) -> None:
    weights = [
        train(resolved(epochs=2, seed=seed), tmp_path / str(number))[0].head.weight
        for number, seed in enumerate((3, 3, 4))
        if not (tmp_path / str(number)).mkdir()
    ]

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_best_epochs_weights_are_left_in_the_network(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=5, optimizer={"kind": "OPTIMIZER_KIND_SGD", "learningRate": 3.0})

    network, history = train(recipe, tmp_path)

    best = torch.load(tmp_path / "checkpoint" / "best.pt", weights_only=True)
    last = torch.load(tmp_path / "checkpoint" / "last.pt", weights_only=True)
    assert best["epoch"] == history.best_epoch
    assert torch.equal(best["tensors"]["head.weight"], network.head.weight)
    assert last["epoch"] == 5
    assert set(last) == {"epoch", "step", "tensors", "optimizer", "history", "best_epoch", "plan"}
    assert (tmp_path / "checkpoint" / "previous.pt").exists()


def test_a_loss_that_is_no_number_ends_the_job_with_step_rate_and_advice(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(
        epochs=2, optimizer={"kind": "OPTIMIZER_KIND_SGD", "learningRate": 1e6, "weightDecay": 1000}, batchSize=5
    )

    with pytest.raises(TaskFailed, match=r"at update \d+, learning rate .*smaller optimizer\.learning_rate") as caught:
        train(recipe, tmp_path)

    assert caught.value.reason == "LOSS_NOT_FINITE"


def test_a_validation_loss_that_is_no_number_ends_the_job_too(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(
        epochs=1, optimizer={"kind": "OPTIMIZER_KIND_SGD", "learningRate": 1e6, "weightDecay": 1000}, batchSize=101
    )
    recipe.optimizer.learning_rate = 1e38

    with pytest.raises(TaskFailed, match="no longer a finite number"):
        train(recipe, tmp_path)


@pytest.mark.parametrize(
    ("metric", "better"),
    [
        (pb.SELECTION_METRIC_LOSS, {"val_loss": -0.1}),
        (pb.SELECTION_METRIC_TOP1, {"val_accuracy": 0.1}),
        (pb.SELECTION_METRIC_TOP5, {"val_top5_accuracy": 0.1}),
    ],
)
def test_epochs_are_compared_by_the_metric_asked_for_and_ties_go_to_the_earliest(
    metric: pb.SelectionMetric, better: dict[str, Any]
) -> None:
    first = figures(1)

    assert is_better(figures(2, **better), first, metric)
    assert not is_better(figures(2), first, metric)


def test_batches_hold_every_image_once_and_never_one_alone(resolved: Resolved) -> None:
    recipe = resolved(batchSize=10)

    batches = epoch_batches(101, recipe, epoch=0)

    assert [len(batch) for batch in batches] == [10] * 9 + [11]
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(101))
    assert not torch.equal(torch.cat(batches), torch.cat(epoch_batches(101, recipe, epoch=1)))


def test_the_loss_is_smoothed_cross_entropy_plus_weighted_auxiliary_ones() -> None:
    logits, auxiliary = torch.randn(6, 5), torch.randn(6, 5)
    targets = torch.arange(6) % 5

    loss = training_loss(logits, [(0.3, auxiliary)], targets, pb.LossSpec(label_smoothing=0.2))

    wanted = 0.8 * torch.nn.functional.one_hot(targets, 5) + 0.2 / 5
    expected = [-(wanted * one.log_softmax(1)).sum(1).mean() for one in (logits, auxiliary)]
    assert torch.allclose(loss, expected[0] + 0.3 * expected[1])


def test_the_loop_minimises_what_the_recipe_asks_for(resolved: Resolved, tmp_path: Path) -> None:
    def first_loss(name: str, auxiliary_weight: float = 0, **loss: float) -> float:
        (tmp_path / name).mkdir()
        recipe = resolved(epochs=1, batchSize=101, loss=loss)
        network = build(recipe, 5, None).network

        def forward(inputs: torch.Tensor) -> torch.Tensor:
            logits = network.classify(inputs)
            network.auxiliary_logits = ((auxiliary_weight, logits),) if auxiliary_weight else ()
            return logits

        return train(recipe, tmp_path / name, network, forward)[1].epochs[0].train_loss

    plain = first_loss("plain")
    assert first_loss("smoothed", labelSmoothing=0.9) != pytest.approx(plain, rel=1e-4)
    assert first_loss("with an auxiliary head", auxiliary_weight=0.5) == pytest.approx(1.5 * plain, rel=1e-5)
