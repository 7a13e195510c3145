from collections.abc import Callable

import pytest
import torch
from torch import nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.finetuning import (
    check_frozen,
    depths,
    freeze,
    freeze_certificate,
    frozen_tensors,
    learning_batch_norms,
    trainable_parameters,
)
from cultivar_trainer.networks.blocks import blocks
from cultivar_trainer.networks.network import Network

Recipe = Callable[..., pb.TrainingSpec]
Make = Callable[..., Network]


def take_a_step(model: Network) -> None:
    optimizer = torch.optim.SGD(trainable_parameters(model), lr=0.1)
    model.train()
    model(torch.rand(4, 3, model.input_size, model.input_size)).square().sum().backward()
    optimizer.step()


def learning(model: Network) -> set[str]:
    return {name for name, one in model.original_parameters().items() if one.requires_grad}


def moved(model: Network, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in model.named_tensors() if not torch.equal(tensor, before[name])}


def values(model: Network) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.named_tensors()}


@pytest.mark.parametrize("architecture", ["lenet5", "mobilenet_v2", "resnet18", "squeezenet1_0"])
def test_head_mode_leaves_every_backbone_parameter_and_buffer_bit_identical(
    network_recipe: Recipe, random_network: Make, architecture: str
) -> None:
    recipe = network_recipe(architecture, "HEAD", input={"size": 64}, network={"headHiddenSizes": [8]})
    model = random_network(recipe)
    freeze(model, recipe)
    before, certificate = values(model), freeze_certificate(model)

    take_a_step(model)

    assert moved(model, before)
    assert all(model.in_head(name) for name in moved(model, before))
    assert model.frozen == (model.backbone,)
    assert check_frozen(model, certificate) == certificate.digest


def test_full_mode_moves_the_first_layer_and_batchnorms_statistics(
    network_recipe: Recipe, random_network: Make
) -> None:
    recipe = network_recipe("resnet18", input={"size": 64})
    model = random_network(recipe)
    freeze(model, recipe)
    before = values(model)

    take_a_step(model)

    assert {"conv1.weight", "bn1.running_mean"} <= moved(model, before)
    assert frozen_tensors(model) == {}
    assert model.frozen == ()


def test_last_blocks_moves_the_head_and_those_blocks_and_nothing_else(
    network_recipe: Recipe, random_network: Make
) -> None:
    recipe = network_recipe("mobilenet_v2", "LAST_BLOCKS", lastBlocks=2, input={"size": 64})
    model = random_network(recipe)
    freeze(model, recipe)
    before, certificate = values(model), freeze_certificate(model)

    take_a_step(model)

    names = moved(model, before)
    assert {name.rpartition(".")[0].split(".")[1] for name in names if not model.in_head(name)} == {"17", "18"}
    assert {"features.18.1.running_mean", "features.17.conv.0.0.weight", "classifier.1.weight"} <= names
    assert learning(model) == {name for name in names if name in model.original_parameters()}
    check_frozen(model, certificate)


def test_patterns_replace_what_the_mode_names_and_the_head_always_learns(
    network_recipe: Recipe, empty_network: Make
) -> None:
    recipe = network_recipe("resnet18", "HEAD", trainable=["layer4.1.*", "conv1.weight"])
    model = empty_network(recipe)

    freeze(model, recipe)

    assert {name.split(".")[0] for name in learning(model)} == {"layer4", "conv1", "fc"}
    assert all(name.startswith(("layer4.1.", "conv1.", "fc.")) for name in learning(model))


def test_a_pattern_that_matches_nothing_is_refused(network_recipe: Recipe, empty_network: Make) -> None:
    recipe = network_recipe("resnet18", "HEAD", trainable=["features.*"])

    with pytest.raises(TaskFailed, match=r"'features\.\*' matches no parameter of the network: use names such as bn1"):
        freeze(empty_network(recipe), recipe)


def test_more_last_blocks_than_there_are_is_refused(network_recipe: Recipe, empty_network: Make) -> None:
    recipe = network_recipe("resnet18", "LAST_BLOCKS", lastBlocks=10)

    with pytest.raises(TaskFailed, match="last_blocks 10 is more than the 9 blocks of resnet18: use that or less"):
        freeze(empty_network(recipe), recipe)


def test_batch_norm_inside_a_learning_block_is_frozen_where_none_of_its_weights_learns(
    network_recipe: Recipe, random_network: Make
) -> None:
    recipe = network_recipe("resnet18", "HEAD", input={"size": 64}, trainable=["*.conv2.weight", "bn1.bias"])
    model = random_network(recipe)
    freeze(model, recipe)
    before = values(model)

    take_a_step(model)

    statistics = {name for name in moved(model, before) if "running" in name}
    assert statistics == {"bn1.running_mean", "bn1.running_var"}
    assert learning_batch_norms(model) == ["bn1"]
    assert model.backbone.get_submodule("layer1.0.conv2").training


@pytest.mark.parametrize(
    ("architecture", "kind", "still", "awake"),
    [
        ("alexnet", nn.Dropout, ["classifier.0"], ["classifier.3"]),
        ("vgg11", nn.Dropout, [], ["classifier.2"]),
    ],
)
def test_dropout_works_before_the_layers_that_learn_and_rests_in_frozen_parts(
    network_recipe: Recipe,
    empty_network: Make,
    architecture: str,
    kind: type[nn.Module],
    still: list[str],
    awake: list[str],
) -> None:
    recipe = network_recipe(architecture, "LAST_BLOCKS", lastBlocks=1)
    model = empty_network(recipe)

    freeze(model, recipe)

    found = [(name, one.training) for name, one in model.backbone.named_modules() if isinstance(one, kind)]
    assert [name for name, training in found if not training] == still
    assert [name for name, training in found if training] == awake


def test_stochastic_depth_rests_in_frozen_blocks(network_recipe: Recipe, empty_network: Make) -> None:
    recipe = network_recipe("convnext_tiny", "LAST_BLOCKS", lastBlocks=2)
    model = empty_network(recipe)

    freeze(model, recipe)

    awake = [
        name for name, one in model.backbone.named_modules() if type(one).__name__ == "StochasticDepth" and one.training
    ]
    assert awake == ["features.7.1.stochastic_depth", "features.7.2.stochastic_depth"]


def test_the_head_can_learn_alone_first_and_everything_after(network_recipe: Recipe, random_network: Make) -> None:
    recipe = network_recipe("resnet20_cifar")
    model = random_network(recipe)

    freeze(model, recipe, head_only=True)
    before, certificate = values(model), freeze_certificate(model)
    take_a_step(model)
    check_frozen(model, certificate)
    assert all(model.in_head(name) for name in moved(model, before))

    freeze(model, recipe)
    take_a_step(model)
    assert learning(model) == set(model.original_parameters())
    assert {"conv1.weight", "bn1.running_mean"} <= moved(model, before)
    assert model.backbone.training


@pytest.mark.parametrize("name", ["conv1.weight", "bn1.running_var", "bn1.num_batches_tracked"])
def test_a_frozen_tensor_that_moved_fails_the_job_by_name(
    network_recipe: Recipe, random_network: Make, name: str
) -> None:
    recipe = network_recipe("resnet20_cifar", "LAST_BLOCKS")
    model = random_network(recipe)
    freeze(model, recipe)
    certificate = freeze_certificate(model)

    with torch.no_grad():
        model.backbone.state_dict()[name].view(-1)[0] += 1

    with pytest.raises(TaskFailed, match=rf"the frozen tensor backbone\.{name} changed"):
        check_frozen(model, certificate)


@pytest.mark.parametrize(
    ("architecture", "setting"),
    [
        ("lenet5", {"activation": "ACTIVATION_TANH"}),
        ("resnet20_cifar", {"shortcuts": False}),
        ("resnet20_cifar", {"batchNormEpsilon": 0.1}),
    ],
)
def test_the_digest_tells_apart_backbones_that_compute_otherwise_with_the_same_tensors(
    network_recipe: Recipe, random_network: Make, architecture: str, setting: dict[str, object]
) -> None:
    def digest(spec: dict[str, object]) -> str:
        recipe = network_recipe(architecture, "HEAD", network=spec)
        model = random_network(recipe)
        freeze(model, recipe)
        return freeze_certificate(model).digest

    assert digest({}) == digest({})
    assert digest({}) != digest(setting)


@pytest.mark.parametrize("architecture", ["googlenet", "vit_b_16"])
def test_depth_counts_blocks_from_the_head(network_recipe: Recipe, empty_network: Make, architecture: str) -> None:
    model = empty_network(network_recipe(architecture))

    found = depths(model)

    assert set(found) == set(model.original_parameters())
    for name, depth in found.items():
        assert (depth == 0) == (model.in_head(name) or model.in_auxiliary_head(name))
    ordered = blocks(model)
    for number, block in enumerate(ordered):
        assert {found[name] for name in block.parameters} == {len(ordered) - number}
