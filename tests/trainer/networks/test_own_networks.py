"""LeNet-5, the MLP and the CIFAR ResNets have the layers and the parameters of their papers."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer.networks.network import Network
from cultivar_trainer.networks.resnet_cifar import BasicBlock, ResNetCifar

Recipe = Callable[..., pb.TrainingSpec]
Make = Callable[..., Network]


def count(model: nn.Module) -> int:
    return sum(one.numel() for one in model.parameters())


@pytest.mark.parametrize(
    ("architecture", "channels", "parameters"),
    [("lenet5", 1, 61_706), ("mlp", 1, 636_010), ("resnet20_cifar", 3, 269_722), ("resnet56_cifar", 3, 853_018)],
)
def test_the_default_networks_have_the_published_number_of_parameters(
    network_recipe: Recipe, empty_network: Make, architecture: str, channels: int, parameters: int
) -> None:
    network = empty_network(network_recipe(architecture, "SCRATCH", input={"channels": channels}), num_classes=10)

    assert count(network) == parameters == ARCHITECTURES[architecture].parameters


def kinds(network: Network) -> list[str]:
    skipped = (nn.Sequential, nn.Identity)
    layers = [*network.backbone.modules()][1:]
    return [type(one).__name__ for one in layers if not isinstance(one, skipped)]


def test_lenets_layers_follow_the_spec(network_recipe: Recipe, random_network: Make) -> None:
    spec = {
        "convChannels": [4, 8, 12],
        "hiddenSizes": [20],
        "kernelSize": 3,
        "padding": 1,
        "activation": "ACTIVATION_SIGMOID",
        "batchNorm": True,
        "dropout": 0.25,
    }
    network = random_network(network_recipe("lenet5", "SCRATCH", input={"size": 24}, network=spec))

    convolution = ["Conv2d", "BatchNorm2d", "Sigmoid", "MaxPool2d"]
    assert kinds(network) == [*convolution * 3, "Linear", "BatchNorm1d", "Sigmoid", "Dropout"]
    first = network.backbone.get_submodule("features.0.conv")
    assert (first.out_channels, first.kernel_size, first.padding) == (4, (3, 3), (1, 1))
    assert network.backbone.get_submodule("hidden.0.linear").in_features == 12 * 3 * 3
    assert network.backbone.get_submodule("hidden.0.dropout").p == 0.25
    assert network(torch.rand(2, 3, 24, 24)).shape == (2, 5)


def test_the_mlps_layers_follow_the_spec(network_recipe: Recipe, random_network: Make) -> None:
    spec = {"hiddenSizes": [9, 8], "activation": "ACTIVATION_LEAKY_RELU", "batchNorm": True, "dropout": 0.5}
    network = random_network(network_recipe("mlp", "SCRATCH", input={"size": 6, "channels": 1}, network=spec))

    assert kinds(network) == ["Linear", "BatchNorm1d", "LeakyReLU", "Dropout"] * 2
    assert network.backbone.get_submodule("hidden.0.linear").in_features == 36
    assert network.head.output.in_features == 8


@pytest.mark.parametrize("size", [16, 17, 31, 32])
def test_lenet_is_built_from_its_smallest_input_on(network_recipe: Recipe, random_network: Make, size: int) -> None:
    recipe = network_recipe("lenet5", "SCRATCH", input={"size": size})
    network = random_network(recipe)

    row = ARCHITECTURES["lenet5"]
    assert row.smallest_input(recipe.network) == 16
    assert row.flat_features(recipe) == network.backbone.get_submodule("hidden.0.linear").in_features
    assert network(torch.rand(1, 3, size, size)).shape == (1, 5)


def test_the_smallest_input_is_the_smallest_that_every_layer_leaves_a_pixel_of() -> None:
    row = ARCHITECTURES["lenet5"]
    for kernel, padding, convolutions in [(3, 1, 4), (2, 0, 3), (7, 0, 2), (1, 3, 2)]:
        spec = pb.NetworkSpec(kernel_size=kernel, padding=padding, conv_channels=[2] * convolutions)

        def side(size: int, kernel: int = kernel, padding: int = padding, convolutions: int = convolutions) -> int:
            for _ in range(convolutions):
                size = max(0, size + 2 * padding - kernel + 1) // 2
            return size

        assert row.smallest_input(spec) == next(size for size in range(1, 200) if side(size) > 0)


def test_the_shortcut_that_begins_a_stage_skips_pixels_and_adds_channels_of_zeros() -> None:
    block = BasicBlock(2, 4, stride=2, shortcut=True).eval()
    nn.init.zeros_(block.bn2.weight)
    features = torch.rand(1, 2, 6, 6)

    output = block(features)

    assert torch.equal(output[:, 1:3], features[:, :, ::2, ::2])
    assert output[:, [0, 3]].abs().sum() == 0


def test_a_plain_network_is_a_residual_one_without_additions(network_recipe: Recipe, random_network: Make) -> None:
    plain = random_network(network_recipe("resnet20_cifar", "SCRATCH", network={"shortcuts": False})).eval()
    block = plain.backbone.get_submodule("layer2.1")
    features = torch.rand(1, 32, 8, 8)

    branch = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(features)))))

    assert torch.equal(block(features), torch.relu(branch))
    assert count(plain) == count(random_network(network_recipe("resnet20_cifar", "SCRATCH")))


@pytest.mark.parametrize("depth", [20, 56])
def test_the_depth_counts_convolutions_and_the_linear_layer(depth: int) -> None:
    model = ResNetCifar(num_classes=10, depth=depth)

    assert sum(isinstance(one, nn.Conv2d | nn.Linear) for one in model.modules()) == depth
