from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diagnosed_jobs import network_of, pixels, train
from torch import Tensor, nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.diagnostics.measurement import Measurement, Subject, gradient_norms, measure, uniform_loss
from cultivar_trainer.networks.network import Network

Resolved = Callable[..., pb.TrainingSpec]
EVERYTHING = {
    "tensorboard": True,
    "sampleImages": True,
    "parameterHistograms": True,
    "gradientHistograms": True,
    "gradientNorms": True,
    "unitHealth": True,
    "everyEpochs": 1,
}
NOTHING = {"tensorboard": False, "gradientNorms": False, "unitHealth": False}
LIVELY = {"batchNorm": True, "dropout": 0.3}
"""What has statistics and draws random numbers."""
IMAGES = pixels(21, 3)


def subject(network: Network) -> Subject:
    return Subject(
        forward=network.__call__,
        modules=list(network.named_modules()),
        parameters={name: one for name, one in network.named_parameters() if one.requires_grad},
        frozen=network.frozen,
    )


def look(network: Network, *, batch_size: int = 100) -> Measurement:
    return measure(
        subject(network),
        IMAGES.inputs,
        IMAGES.labels,
        loss=pb.LossSpec(kind=pb.LOSS_KIND_CROSS_ENTROPY),
        class_weights=None,
        batch_size=batch_size,
        gradients=True,
        units=True,
    )


def flattened(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested dictionaries and lists, tensors as lists, times left out."""
    if isinstance(value, Tensor):
        yield path, value.tolist()
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from flattened(one, f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for number, one in enumerate(value):
            yield from flattened(one, f"{path}.{number}")
    elif not path.endswith(("seconds", "images_per_second")):
        yield path, value


def test_a_look_leaves_everything_as_it_was(resolved: Resolved) -> None:
    network = network_of(resolved(network=LIVELY))
    network.train()
    network.head.output.weight.grad = torch.ones_like(network.head.output.weight)
    next(one for one in network.modules() if isinstance(one, nn.Dropout)).eval()
    modes = [one.training for one in network.modules()]
    tensors = {name: one.clone() for name, one in network.state_dict().items()}
    generator = torch.get_rng_state()

    look(network)

    assert [one.training for one in network.modules()] == modes
    assert all(torch.equal(one, tensors[name]) for name, one in network.state_dict().items())
    assert list(network.state_dict()) == list(tensors)
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.equal(network.head.output.weight.grad, torch.ones_like(network.head.output.weight))
    assert all(one.grad is None for name, one in network.named_parameters() if name != "head.output.weight")
    assert not any(one._forward_hooks for one in network.modules())


@pytest.mark.parametrize("saves_each_update", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_training_comes_to_the_same_bits_with_everything_measured_and_nothing(
    resolved: Resolved, tmp_path: Path, saves_each_update: bool
) -> None:
    fields = {"epochs": 2, "batchSize": 16, "network": LIVELY, "optimizer": {"emaShare": 0.2}}
    recipes = [resolved(**fields, diagnostics=one) for one in (NOTHING, EVERYTHING)]
    states, generators = [], []

    for number, recipe in enumerate(recipes):
        torch.manual_seed(7)
        folder = tmp_path / str(number)
        ended = train(recipe, folder, saves_each_update=saves_each_update)
        states.append(dict(flattened({"learned": ended.learned, "weights": ended.job.network.state_dict()})))
        generators.append(torch.get_rng_state())

    assert states[0] == states[1]
    assert len(states[0]) > 50, "optimiser, average, history, weights and statistics"
    assert torch.equal(*generators)
    assert (tmp_path / "1/tensorboard").exists()
    assert not (tmp_path / "0/tensorboard").exists()


def test_heads_that_learn_at_once_come_to_the_same_bits(resolved: Resolved, tmp_path: Path) -> None:
    states = []

    for number, diagnostics in enumerate((NOTHING, EVERYTHING)):
        recipe = resolved(epochs=2, batchSize=16, optimizer={"learningRates": [1e-3, 1e-2]}, diagnostics=diagnostics)
        ended = train(recipe, tmp_path / str(number), at_once=True)
        states.append(dict(flattened({"learned": ended.learned, "weights": ended.job.network.state_dict()})))

    assert states[0] == states[1]


def test_gradients_are_those_of_training(resolved: Resolved) -> None:
    network = network_of(resolved(network={"batchNorm": True}))
    network.train()

    found = look(network).gradients

    F.cross_entropy(network(IMAGES.inputs(torch.arange(21))), IMAGES.labels).backward()
    for name, one in network.named_parameters():
        torch.testing.assert_close(found[name], one.grad, rtol=1e-4, atol=1e-6)


def test_gradients_are_the_same_whatever_a_pass_takes(resolved: Resolved) -> None:
    network = network_of(resolved())

    whole, parts = look(network).gradients, look(network, batch_size=2).gradients

    for name, one in whole.items():
        torch.testing.assert_close(parts[name], one, rtol=1e-4, atol=1e-6)


def test_batch_norm_that_is_frozen_keeps_its_statistics(resolved: Resolved) -> None:
    network = network_of(resolved(network={"batchNorm": True}))
    norm = next(one for one in network.modules() if isinstance(one, nn.BatchNorm2d))
    norm.running_mean.fill_(1e6)
    learning = look(network).gradients
    network.frozen = (norm,)

    frozen = look(network).gradients

    assert any(not torch.equal(learning[name], frozen[name]) for name in learning)


def test_norms_are_of_layers_and_from_the_input_on(resolved: Resolved) -> None:
    found = look(network_of(resolved(network={"batchNorm": True}))).gradients

    layers = gradient_norms(found)

    assert [name.partition(".")[2] for name in layers][:2] == ["features.0.conv", "features.1.conv"]
    assert not [name for name in layers if "norm" in name]
    weight, bias = found["head.output.weight"], found["head.output.bias"]
    assert layers["head.output"].norm == pytest.approx(float((weight.square().sum() + bias.square().sum()).sqrt()))
    assert layers["head.output"].scale == pytest.approx(layers["head.output"].norm / (5 * 85) ** 0.5)


def test_the_loss_of_a_guess_is_the_logarithm_of_the_number_of_classes() -> None:
    spec = pb.LossSpec(kind=pb.LOSS_KIND_CROSS_ENTROPY, label_smoothing=0.1)

    assert uniform_loss(spec, torch.arange(5), None, 5) == pytest.approx(1.609438, rel=1e-5)
