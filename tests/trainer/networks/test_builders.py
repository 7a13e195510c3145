from collections.abc import Callable

import pytest
import torch
import torchvision

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES, SYMMETRIC
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.networks.builders import build, module
from cultivar_trainer.networks.network import Network

Recipe = Callable[..., pb.TrainingSpec]
Make = Callable[..., Network]
ZOO = sorted(name for name, row in ARCHITECTURES.items() if row.original_classes == 1000)
FEW = ("lenet5", "mlp", "resnet20_cifar", "resnet18", "squeezenet1_1", "googlenet", "mobilenet_v3_small", "vgg11")
"""One of each kind of head and stem."""
MANY = [*FEW, *(pytest.param(name, marks=pytest.mark.all) for name in sorted(set(ARCHITECTURES) - set(FEW)))]


def grey_and_rgb(network: Network, size: int) -> torch.Tensor:
    return torch.zeros(2, network.channels, size, size, device="meta")


@pytest.mark.parametrize("architecture", MANY)
def test_every_network_answers_at_its_smallest_and_its_default_input(
    network_recipe: Recipe, empty_network: Make, architecture: str
) -> None:
    row = ARCHITECTURES[architecture]
    for size in {max(2, row.min_input_size), row.default_input_size}:
        network = empty_network(network_recipe(architecture, input={"size": size})).train()

        logits = network(grey_and_rgb(network, size))

        assert logits.shape == (2, 7)
        auxiliary = len(row.family.auxiliary_heads) if size >= row.family.auxiliary_min_input else 0
        assert [tuple(one.shape) for _, one in network.auxiliary_logits] == [(2, 7)] * auxiliary
        assert network.eval()(grey_and_rgb(network, size)).shape == (2, 7)
        assert network.auxiliary_logits == ()


@pytest.mark.parametrize("architecture", MANY)
def test_every_network_takes_grey_images_and_hidden_layers_and_dropout_in_its_head(
    network_recipe: Recipe, empty_network: Make, architecture: str
) -> None:
    spec = {"headHiddenSizes": [12, 9], "headActivation": "ACTIVATION_TANH", "headDropout": 0.3}
    recipe = network_recipe(architecture, "SCRATCH", input={"channels": 1}, network=spec)
    network = empty_network(recipe).train()

    assert network(grey_and_rgb(network, recipe.input.size)).shape == (2, 7)
    head = ARCHITECTURES[architecture].family.head
    names = [name for name in network.original_parameters() if network.in_head(name) and name.endswith("weight")]
    assert names == [f"{head}.hidden.0.linear.weight", f"{head}.hidden.1.linear.weight", f"{head}.weight"]
    dropouts = [one.p for one in network.head.modules() if isinstance(one, torch.nn.Dropout)]
    assert dropouts == [0.3, 0.3, 0.3]
    assert sum(isinstance(one, torch.nn.Tanh) for one in network.head.modules()) == 2


@pytest.mark.parametrize(
    "architecture",
    [name if name in FEW or name == "vit_b_16" else pytest.param(name, marks=pytest.mark.all) for name in ZOO],
)
def test_tensors_keep_torchvisions_names_and_the_head_is_the_last_trainable_layer(
    network_recipe: Recipe, empty_network: Make, architecture: str
) -> None:
    network = empty_network(network_recipe(architecture))
    with torch.device("cpu" if architecture.startswith("regnet") else "meta"):
        original = module(network_recipe(architecture), 7)

    assert {name: one.shape for name, one in network.named_tensors()} == {
        name: one.shape for name, one in original.state_dict().items()
    }
    head = ARCHITECTURES[architecture].family.head
    heads = [name for name in network.original_parameters() if network.in_head(name)]
    assert heads == [f"{head}.weight", f"{head}.bias"]
    dropout = original.get_submodule(network.family.dropout) if network.family.dropout else None
    assert network.family.head_dropout == getattr(dropout, "p", None)


@pytest.mark.parametrize("architecture", ZOO)
def test_the_table_states_what_torchvisions_weight_enums_state(architecture: str) -> None:
    row = ARCHITECTURES[architecture]
    enum = torchvision.models.get_model_weights(architecture).__members__

    assert set(row.weights) <= set(enum)
    for name, weights in row.weights.items():
        meta, transforms = enum[name].meta, enum[name].transforms()
        assert (weights.top1, weights.top5) == tuple(meta["_metrics"]["ImageNet-1K"].values())
        assert (row.parameters, row.giga_multiply_adds) == (meta["num_params"], meta["_ops"])
        assert meta["min_size"] == (1, 1) or row.min_input_size >= meta["min_size"][0]
        assert (weights.resize, row.default_input_size) == (transforms.resize_size[0], transforms.crop_size[0])
        assert weights.interpolation == transforms.interpolation.value
        if row.family.auxiliary_heads:  # torchvision turns ImageNet's normalisation into this inside the network
            assert (row.mean, row.std) == (SYMMETRIC, SYMMETRIC)
        else:
            assert (row.mean, row.std) == (tuple(transforms.mean), tuple(transforms.std))


def test_the_networks_are_torchvisions(network_recipe: Recipe, random_network: Make) -> None:
    network = random_network(network_recipe("squeezenet1_1", input={"size": 64})).eval()
    original = torchvision.models.squeezenet1_1(num_classes=5).eval()
    original.load_state_dict(dict(network.named_tensors()))
    images = torch.rand(2, 3, 64, 64)

    assert torch.allclose(network(images), original((images - network.mean) / network.std), atol=1e-6)


@pytest.mark.parametrize("architecture", ["lenet5", "mobilenet_v2", "squeezenet1_0"])
def test_the_head_on_cached_features_is_the_whole_network(
    network_recipe: Recipe, random_network: Make, architecture: str
) -> None:
    spec = {"headHiddenSizes": [8]}
    network = random_network(network_recipe(architecture, input={"size": 96}, network=spec)).eval()
    images = torch.rand(2, 3, 96, 96)

    assert torch.equal(network.classify(network.features(images)), network(images))


@pytest.mark.parametrize("architecture", ["resnet18", "resnet34", "resnet50"])
def test_the_cifar_stem_keeps_small_images_large(
    network_recipe: Recipe, empty_network: Make, architecture: str
) -> None:
    network = empty_network(network_recipe(architecture, "SCRATCH", network={"stem": "STEM_CIFAR"}), num_classes=10)

    conv1 = network.backbone.get_submodule("conv1")
    assert conv1.weight.shape == (64, 3, 3, 3)
    assert conv1(torch.rand(1, 3, 32, 32, device="meta")).shape == (1, 64, 32, 32)
    if architecture == "resnet18":
        assert sum(one.numel() for one in network.parameters()) == 11_173_962


def test_the_seed_decides_the_random_weights(network_recipe: Recipe, random_network: Make) -> None:
    first, same, other = (
        random_network(network_recipe("lenet5", "SCRATCH", seed=seed)).head.output.weight for seed in (1, 1, 2)
    )

    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_normalisation_is_inside_the_network_with_the_values_given(network_recipe: Recipe) -> None:
    recipe = network_recipe("resnet20_cifar")
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.4, 0.5, 0.6])
    network = build(recipe, 5, mean=mean.tolist(), std=std.tolist(), weights=None).network.eval()
    images = torch.rand(2, 3, 32, 32)

    normalised = (images - mean[None, :, None, None]) / std[None, :, None, None]

    assert torch.allclose(network.features(images), torch.flatten(network.backbone(normalised), 1))


def test_a_network_of_one_channel_answers_grey_images_as_one_of_three_does(network_recipe: Recipe) -> None:
    def network(channels: int) -> Network:
        recipe = network_recipe("squeezenet1_1", "SCRATCH", input={"size": 64, "channels": channels})
        return build(recipe, 5, mean=(0.4,) * channels, std=(0.3,) * channels, weights=None).network.eval()

    grey = torch.rand(2, 1, 64, 64)

    assert torch.allclose(network(1)(grey), network(3)(grey.expand(-1, 3, -1, -1)), atol=1e-5)


def test_batch_norms_momentum_and_epsilon_are_the_recipes(network_recipe: Recipe, empty_network: Make) -> None:
    def settings(**spec: float) -> set[tuple[float, float]]:
        network = empty_network(network_recipe("resnet20_cifar", network=spec))
        return {(one.momentum, one.eps) for one in network.modules() if isinstance(one, torch.nn.BatchNorm2d)}

    assert settings() == {(0.1, 1e-5)}
    assert settings(batchNormMomentum=0.5) == {(0.5, 1e-5)}
    assert settings(batchNormEpsilon=0.25) == {(0.1, 0.25)}


@pytest.mark.parametrize("architecture", ["resnet18", "resnet20_cifar"])
def test_residual_branches_that_begin_as_zero_make_blocks_the_identity(
    network_recipe: Recipe, random_network: Make, architecture: str
) -> None:
    recipe = network_recipe(architecture, "SCRATCH", input={"size": 32}, network={"zeroInitResidual": True})
    block = random_network(recipe).eval().backbone.get_submodule("layer1.1")
    features = torch.rand(1, 64 if architecture == "resnet18" else 16, 8, 8)

    assert torch.equal(block(features), features)


def test_auxiliary_heads_are_built_only_where_everything_learns(network_recipe: Recipe, empty_network: Make) -> None:
    def has_auxiliary_heads(mode: str, **fields: object) -> bool:
        network = empty_network(network_recipe("googlenet", mode, **fields))
        return any(network.in_auxiliary_head(name) for name, _ in network.named_tensors())

    assert has_auxiliary_heads("SCRATCH")
    assert has_auxiliary_heads("FULL")
    assert not has_auxiliary_heads("HEAD")
    assert not has_auxiliary_heads("LAST_BLOCKS")
    assert not has_auxiliary_heads("FULL", trainable=["fc.*"])
    assert not has_auxiliary_heads("FULL", retainBlocks=3)


def test_more_blocks_than_there_are_can_not_be_retained(network_recipe: Recipe, empty_network: Make) -> None:
    with pytest.raises(TaskFailed, match="retain_blocks 6 is more than the 5 blocks of densenet121: use that or less"):
        empty_network(network_recipe("densenet121", retainBlocks=6))
