from collections.abc import Callable

import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer.networks.blocks import blocks
from cultivar_trainer.networks.network import Network

Recipe = Callable[..., pb.TrainingSpec]
Make = Callable[..., Network]

TRANSITION = ("norm", "relu", "conv", "pool")
RESNET18 = ["conv1", *(f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2))]


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        ("lenet5", ["features.0", "features.1", "hidden.0", "hidden.1"]),
        ("mlp", ["hidden.0"]),
        ("resnet18", RESNET18),
        ("alexnet", [*(f"features.{number}" for number in (0, 3, 6, 8, 10)), "classifier.1", "classifier.4"]),
        ("vgg11_bn", [*(f"features.{n}" for n in (0, 4, 8, 11, 15, 18, 22, 25)), "classifier.0", "classifier.3"]),
        ("densenet121", ["features.conv0", *(f"features.denseblock{number}" for number in range(1, 5))]),
        ("mobilenet_v2", [f"features.{number}" for number in range(19)]),
        ("squeezenet1_1", [f"features.{number}" for number in (0, 3, 4, 6, 7, 9, 10, 11, 12)]),
        ("vit_b_16", ["conv_proj", *(f"encoder.layers.encoder_layer_{number}" for number in range(12))]),
        ("shufflenet_v2_x0_5", ["conv1.0", *(f"stage{s}.{u}" for s, n in ((2, 4), (3, 8), (4, 4)) for u in range(n))]),
    ],
)  # fmt: skip
def test_blocks_come_in_the_order_from_the_input_to_the_head(
    network_recipe: Recipe, empty_network: Make, architecture: str, names: list[str]
) -> None:
    assert [block.name for block in blocks(empty_network(network_recipe(architecture)))] == names


@pytest.mark.parametrize(
    ("architecture", "block", "names"),
    [
        ("resnet18", 0, ["conv1", "bn1", "relu", "maxpool"]),
        ("alexnet", 4, ["features.10", "features.11", "features.12"]),
        ("alexnet", 5, ["classifier.0", "classifier.1", "classifier.2"]),
        ("vgg11_bn", 1, ["features.4", "features.5", "features.6", "features.7"]),
        ("densenet121", 1, ["features.denseblock1", *(f"features.transition1.{n}" for n in TRANSITION)]),
        ("densenet121", 4, ["features.denseblock4", "features.norm5"]),
        ("swin_t", 2, ["features.1.1", "features.2.reduction", "features.2.norm"]),
    ],
)  # fmt: skip
def test_what_a_pattern_does_not_name_joins_the_block_before_and_a_dropout_the_layer_that_it_feeds(
    network_recipe: Recipe, empty_network: Make, architecture: str, block: int, names: list[str]
) -> None:
    assert list(blocks(empty_network(network_recipe(architecture)))[block].modules) == names


def test_parameters_that_no_layer_holds_are_in_the_first_block(network_recipe: Recipe, empty_network: Make) -> None:
    stem = blocks(empty_network(network_recipe("vit_b_16")))[0]

    assert {"class_token", "encoder.pos_embedding", "conv_proj.weight", "conv_proj.bias"} == set(stem.parameters)


def test_a_cut_network_answers_with_what_the_last_retained_block_made(
    network_recipe: Recipe, random_network: Make
) -> None:
    recipe = network_recipe("resnet18", input={"size": 64}, retainBlocks=3)
    network = random_network(recipe).eval()
    images = torch.rand(2, 3, 64, 64)

    body = network.backbone
    stem = body.maxpool(body.relu(body.bn1(body.conv1((images - network.mean) / network.std))))
    expected = body.layer1(stem).mean(dim=(2, 3))

    assert [block.name for block in blocks(network)] == RESNET18[:3]
    assert network.feature_shape == (64,)
    assert torch.allclose(network.features(images), expected, atol=1e-6)
    assert network(images).shape == (2, 5)


def test_a_cut_convolutional_head_still_answers_at_each_place(network_recipe: Recipe, random_network: Make) -> None:
    network = random_network(network_recipe("squeezenet1_1", input={"size": 64}, retainBlocks=2))

    assert network.head.output.weight.shape == (5, 128, 1, 1)
    assert network.head.tail[-1](torch.rand(1, 5, 7, 7)).shape == (1, 5, 1, 1)
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 5)


CUTS = ["lenet5", "vgg11", "convnext_tiny", "densenet121", "swin_t", "vit_b_16", "mobilenet_v3_small"]


@pytest.mark.parametrize(
    "architecture",
    [*CUTS[:3], *(pytest.param(name, marks=pytest.mark.all) for name in sorted(set(ARCHITECTURES) - set(CUTS[:3])))],
)
def test_every_network_can_be_cut_after_its_first_its_middle_and_its_last_block(
    network_recipe: Recipe, empty_network: Make, architecture: str
) -> None:
    whole = empty_network(network_recipe(architecture, "HEAD"))
    count = len(blocks(whole))
    for retained in {1, (count + 1) // 2, count}:
        network = empty_network(network_recipe(architecture, "HEAD", retainBlocks=retained)).train()

        kept = blocks(network)
        assert [block.name for block in kept] == [block.name for block in blocks(whole)[:retained]]
        head = sum(one.numel() for one in network.head.parameters())
        sizes = {name: one.numel() for name, one in network.original_parameters().items()}
        assert sum(sizes.values()) == head + sum(sizes[name] for block in kept for name in block.parameters)
        for model in (network, network.eval()):
            images = torch.zeros(2, 3, network.input_size, network.input_size, device="meta")
            assert model(images).shape == (2, 7)
        if retained == count:
            assert network.feature_shape == whole.feature_shape
