"""Every update rule and loss, put together as an update is: loss, gradients, penalties, limits, step, average."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.losses import loss_terms
from cultivar_trainer.optimization.averaging import WeightAverage
from cultivar_trainer.optimization.clipping import clip
from cultivar_trainer.optimization.groups import parameter_groups
from cultivar_trainer.optimization.optimizers import build_optimizer, set_learning_rate
from cultivar_trainer.optimization.penalties import add_penalty_gradients, penalty_values, shrink
from cultivar_trainer.optimization.schedules import build_schedule

STEPS = 60
Resolved = Callable[..., pb.TrainingSpec]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy host two threads take twenty times as long over so little."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def noisy_colours() -> tuple[Tensor, Tensor]:
    labels = torch.arange(40) % 3
    generator = torch.Generator().manual_seed(0)
    images = torch.eye(3)[labels][:, :, None, None] + 0.3 * torch.randn(40, 3, 6, 6, generator=generator)
    return images, labels


def train(recipe: pb.TrainingSpec, micro_batch: int) -> tuple[nn.Module, float, float]:
    """Train a small convolutional network; return it, its accuracy, and that of the averaged weights."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    images, labels = noisy_colours()
    spec = recipe.optimizer
    optimizer = build_optimizer(parameter_groups(network.named_parameters(), spec, {}), spec, fused=False)
    schedule = build_schedule(recipe.schedule, epochs=recipe.epochs, steps_per_epoch=STEPS // recipe.epochs)
    average = WeightAverage(network, ema_share=0.2, total_steps=STEPS)
    for step in range(STEPS):
        set_learning_rate(optimizer, spec.learning_rate * schedule.factor(step), spec)
        weight = sum(
            float(loss_terms(torch.zeros(len(part), 3), part, recipe.loss, None)[1].sum())
            for part in labels.split(micro_batch)
        )
        for inputs, targets in zip(images.split(micro_batch), labels.split(micro_batch), strict=True):
            numerators, _ = loss_terms(network(inputs), targets, recipe.loss, None)
            (numerators.sum() / weight).backward()
        add_penalty_gradients(optimizer, l1=1e-5, l2=1e-4)
        clip(network.parameters(), norm=5.0, value=1.0)
        shrink(optimizer, 1e-4)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update()

    def accuracy() -> float:
        with torch.no_grad():
            return float((network(images).argmax(1) == labels).double().mean())

    with average.swapped():
        averaged = accuracy()
    assert min(penalty_values(optimizer, l1=1, l2=1)) > 0
    return network, accuracy(), averaged


@pytest.mark.parametrize("kind", [name for name, number in pb.OptimizerKind.items() if number])
def test_every_update_rule_learns_at_its_default_rate(kind: str, resolved: Resolved) -> None:
    recipe = resolved(epochs=6, optimizer={"kind": kind})
    recipe.optimizer.learning_rate *= 10 if kind.endswith(("RMSPROP", "ADAM", "ADAMW")) else 1  # for so few updates

    _, accuracy, averaged = train(recipe, micro_batch=40)

    assert accuracy > 0.9
    assert averaged > 0.9


@pytest.mark.parametrize("kind", [name for name, number in pb.LossKind.items() if number])
def test_every_loss_is_learnt_by_and_accumulation_changes_nothing(kind: str, resolved: Resolved) -> None:
    recipe = resolved(epochs=6, loss={"kind": kind}, optimizer={"kind": "OPTIMIZER_KIND_SGD"})

    whole, accuracy, _ = train(recipe, micro_batch=40)
    parts, _, _ = train(recipe, micro_batch=16)  # the last of 8

    assert accuracy > 0.9
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4)
