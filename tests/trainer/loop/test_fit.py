from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training_jobs import events, network_for, train

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.loop.history import History, is_better
from cultivar_trainer.loop.updates import epoch_batches, pass_count, training_loss
from cultivar_trainer.losses import sample_weights

Resolved = Callable[..., pb.TrainingSpec]
SGD = {"kind": "OPTIMIZER_KIND_SGD"}


def epochs_saved(folder: Path) -> list[dict[str, Any]]:
    """Return the checkpoints that are still there and were written while training, the oldest first."""
    states = [torch.load(path, weights_only=True) for path in sorted((folder / "checkpoint").glob("*.pt"))]
    return [state for state in states if "learner" in state]


def test_a_separable_problem_is_learnt_and_every_epoch_is_told(resolved: Resolved, tmp_path: Path) -> None:
    _, histories = train(resolved(epochs=4, batchSize=10, optimizer={"learningRate": 0.05}), tmp_path)

    history = histories.best
    assert [one["epoch"] for one in events(tmp_path, "epochFinished")] == [1, 2, 3, 4]
    assert history.best.val_accuracy > 0.95
    assert history.epochs[-1].train_loss < history.epochs[0].train_loss
    assert [one.step for one in history.epochs] == [10, 20, 30, 40]  # the 101st image joins the tenth batch


def test_one_seed_gives_one_result_and_another_seed_another(resolved: Resolved, tmp_path: Path) -> None:
    weights = [
        train(resolved(epochs=2, seed=seed), tmp_path / str(number))[0].network.head.output.weight
        for number, seed in enumerate((3, 3, 4))
    ]

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_best_epochs_weights_are_left_in_the_network(resolved: Resolved, tmp_path: Path) -> None:
    job, histories = train(resolved(epochs=5, optimizer={**SGD, "learningRate": 3.0}), tmp_path, saves_each_update=True)

    *_, last = epochs_saved(tmp_path)
    assert histories.best.best_epoch < 5  # else this shows nothing
    assert last["epoch"] == 5
    assert not torch.equal(last["tensors"]["head.output.weight"], job.network.head.output.weight)
    assert torch.equal(job.progress.bests[0].tensors["head.output.weight"], job.network.head.output.weight)


def test_a_loss_that_is_no_number_ends_the_job_with_step_rate_and_advice(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=2, optimizer={**SGD, "learningRate": 1e6, "weightDecay": 1000}, batchSize=5)

    with pytest.raises(TaskFailed, match=r"at update \d+, learning rate .*smaller optimizer\.learning_rate") as caught:
        train(recipe, tmp_path)

    assert caught.value.reason == "LOSS_NOT_FINITE"


def test_a_validation_loss_that_is_no_number_ends_the_job_too(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=1, optimizer={**SGD, "learningRate": 1e6, "weightDecay": 1000}, batchSize=101)
    recipe.optimizer.learning_rate = 1e38

    with pytest.raises(TaskFailed, match="no longer a finite number"):
        train(recipe, tmp_path)


def test_passes_over_parts_of_a_batch_add_up_to_the_batch(resolved: Resolved, tmp_path: Path) -> None:
    options = {
        "epochs": 2,
        "batchSize": 50,
        "loss": {"labelSmoothing": 0.1, "classWeights": {"a": 3.0}},
        "network": {"headDropout": 0},
    }
    recipe = resolved(**options | {"loss": {"labelSmoothing": 0.1}})
    recipe.loss.class_weights["a"] = 3.0
    parts = pb.TrainingSpec()
    parts.CopyFrom(recipe)
    parts.execution.micro_batch = 7

    whole, accumulated = (train(one, tmp_path / str(number))[0] for number, one in enumerate((recipe, parts)))

    assert accumulated.plan.micro_batch == 7
    assert torch.allclose(whole.network.head.output.weight, accumulated.network.head.output.weight, atol=1e-6)


class Memory:
    """A forward pass that lacks memory to train on more than `room` images from the given call on."""

    def __init__(self, network: Any, room: int, from_call: int) -> None:
        self.network, self.room, self.from_call, self.calls, self.sizes = network, room, from_call, 0, []

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.network.training and self.calls >= self.from_call and len(inputs) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.sizes.append(len(inputs))
        logits: torch.Tensor = self.network.classify(inputs)
        return logits


@pytest.mark.parametrize("from_call", [1, 5])
def test_on_lack_of_memory_training_goes_on_with_smaller_passes_and_the_same_updates(
    resolved: Resolved, tmp_path: Path, from_call: int
) -> None:
    recipe = resolved(epochs=3, batchSize=50, network={"headDropout": 0})
    network = network_for(recipe)

    undisturbed, _ = train(recipe, tmp_path / "undisturbed")
    job, histories = train(
        recipe,
        tmp_path / "recovered",
        network=network,
        forward=Memory(network, room=25, from_call=from_call),
        saves_each_update=True,
    )

    assert torch.allclose(job.network.head.output.weight, undisturbed.network.head.output.weight, atol=1e-6)
    assert [one.plan.micro_batch for one in job.plans] == [50, 25]
    assert job.plans[1].step == (0 if from_call == 1 else 2)  # an epoch is two updates and one validation
    assert [one["reason"] for one in events(tmp_path / "recovered", "planChanged")] == ["out of memory"]
    assert [one.epoch for one in histories.best.epochs] == [1, 2, 3]


def test_memory_that_does_not_suffice_for_one_image_fails_the_job(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=1, batchSize=8)
    network = network_for(recipe)

    with pytest.raises(TaskFailed, match="passes of 1 image") as caught:
        train(recipe, tmp_path, network=network, forward=Memory(network, room=0, from_call=1))

    assert caught.value.reason == "OUT_OF_MEMORY"


def test_training_stops_early_when_patience_is_at_its_end(resolved: Resolved, tmp_path: Path) -> None:
    recipe = resolved(epochs=30, earlyStopping={"patience": 2}, optimizer={"learningRate": 0.05})

    _, histories = train(recipe, tmp_path)

    history = histories.best
    assert len(history.epochs) == history.best_epoch + 2 < 30
    assert events(tmp_path, "earlyStopped") == [{"epoch": len(history.epochs), "bestEpoch": history.best_epoch}]


def test_the_learning_rate_steps_down_on_a_plateau(resolved: Resolved, tmp_path: Path) -> None:
    schedule = {"kind": "SCHEDULE_KIND_PLATEAU", "plateauPatience": 1, "warmupEpochs": 0, "stepFactor": 0.5}
    _, histories = train(resolved(epochs=8, schedule=schedule, optimizer={"learningRate": 0.05}), tmp_path)

    rates = [one.learning_rate for one in histories.best.epochs]
    assert rates[0] == 0.05
    assert rates[-1] < rates[0]
    assert set(rates) <= {0.05 * 0.5**power for power in range(8)}


def test_the_average_of_weights_is_what_is_judged_and_kept(resolved: Resolved, tmp_path: Path) -> None:
    averaged = resolved(epochs=2, optimizer={"emaShare": 0.5, "learningRate": 0.05})
    plain = resolved(epochs=2, optimizer={"learningRate": 0.05})

    (with_average, histories), (without, _) = (
        train(recipe, tmp_path / name, saves_each_update=True)
        for name, recipe in (("averaged", averaged), ("plain", plain))
    )

    assert not torch.allclose(with_average.network.head.output.weight, without.network.head.output.weight)
    (*_, last), (*_, other) = epochs_saved(tmp_path / "averaged"), epochs_saved(tmp_path / "plain")
    assert torch.equal(last["tensors"]["head.output.weight"], other["tensors"]["head.output.weight"])
    average = last["learner"]["average"]["tensors"]["head.output.weight"]
    assert histories.best.best_epoch == 2
    assert torch.allclose(with_average.network.head.output.weight, average)


def test_penalties_are_series_of_their_own(resolved: Resolved, tmp_path: Path) -> None:
    job, histories = train(resolved(epochs=1, optimizer={"l1": 0.01, "weightDecay": 0.1}), tmp_path)

    weight = job.network.head.output.weight.detach().double()
    (epoch,) = histories.best.epochs
    assert epoch.l1_penalty == pytest.approx(0.01 * float(weight.abs().sum()))
    assert epoch.l2_penalty == pytest.approx(0.05 * float(weight.square().sum()))


@pytest.mark.parametrize(
    ("metric", "better"),
    [
        (pb.SELECTION_METRIC_LOSS, -0.1),
        (pb.SELECTION_METRIC_TOP1, 0.1),
        (pb.SELECTION_METRIC_MACRO_F1, 0.1),
    ],
)
def test_values_are_compared_by_the_metric_and_equal_ones_are_not_better(
    metric: pb.SelectionMetric, better: float
) -> None:
    assert is_better(0.5 + better, 0.5, metric)
    assert not is_better(0.5, 0.5, metric)
    assert not is_better(0.5 + better, 0.5, metric, min_delta=0.2)


def test_batches_hold_every_image_once_and_never_one_alone(resolved: Resolved) -> None:
    recipe = resolved(batchSize=10)

    batches = epoch_batches(101, recipe, epoch=0)

    assert [len(batch) for batch in batches] == [10] * 9 + [11]
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(101))
    assert not torch.equal(torch.cat(batches), torch.cat(epoch_batches(101, recipe, epoch=1)))


@pytest.mark.parametrize("micro_batch", [2, 3, 7, 64])
def test_no_pass_over_a_batch_has_one_image_alone(micro_batch: int) -> None:
    for images in range(2, 200):
        sizes = [len(one) for one in torch.arange(images).tensor_split(pass_count(images, micro_batch))]

        assert min(sizes) >= 2
        assert max(sizes) <= max(micro_batch, 3)  # three images can't be two passes


def test_passes_of_one_image_are_passes_of_one_image() -> None:
    assert pass_count(5, 1) == 5
    assert pass_count(1, 1) == 1


def test_the_loss_is_smoothed_cross_entropy_plus_weighted_auxiliary_ones() -> None:
    logits, auxiliary = torch.randn(6, 5), torch.randn(6, 5)
    targets = torch.arange(6) % 5

    total = sample_weights(targets, None).sum()
    loss = training_loss(logits, [(0.3, auxiliary)], targets, pb.LossSpec(label_smoothing=0.2), None, total)

    wanted = 0.8 * torch.nn.functional.one_hot(targets, 5) + 0.2 / 5
    expected = [-(wanted * one.log_softmax(1)).sum(1).mean() for one in (logits, auxiliary)]
    assert torch.allclose(loss, expected[0] + 0.3 * expected[1])


def test_the_loop_minimises_what_the_recipe_asks_for(resolved: Resolved, tmp_path: Path) -> None:
    def first_loss(name: str, auxiliary_weight: float = 0, mixup: float = 0, **loss: Any) -> float:
        recipe = resolved(epochs=1, batchSize=101, loss=loss, augmentation={"mixup": mixup})
        network = network_for(recipe)

        def forward(inputs: torch.Tensor) -> torch.Tensor:
            logits = network.classify(inputs)
            network.auxiliary_logits = ((auxiliary_weight, logits),) if auxiliary_weight else ()
            return logits

        _, histories = train(recipe, tmp_path / name, network=network, forward=forward)
        history: History = histories.best
        return history.epochs[0].train_loss

    plain = first_loss("plain")
    assert first_loss("smoothed", labelSmoothing=0.9) != pytest.approx(plain, rel=1e-4)
    assert first_loss("hinge", kind="LOSS_KIND_MULTI_CLASS_HINGE") != pytest.approx(plain, rel=1e-4)
    assert first_loss("mixed", mixup=1.0) != pytest.approx(plain, rel=1e-6)
    assert first_loss("with an auxiliary head", auxiliary_weight=0.5) == pytest.approx(1.5 * plain, rel=1e-5)
