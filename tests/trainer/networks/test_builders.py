from collections.abc import Callable

import pytest
import torch
import torchvision

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer.networks.builders import build, module, network_of
from cultivar_trainer.networks.network import Network

Resolved = Callable[..., pb.TrainingSpec]
ZOO = sorted(set(ARCHITECTURES) - {"lenet5"})


def without_memory(architecture: str, size: int, num_classes: int) -> Network:
    """Build a network whose tensors have shapes but no values: all of the zoo in seconds."""
    with torch.device("cpu" if architecture.startswith("regnet") else "meta"):
        return network_of(
            architecture, num_classes=num_classes, input_size=size, stem=pb.STEM_UNSPECIFIED, head_dropout=0.1
        ).to("meta")


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_network_answers_at_its_smallest_and_its_default_input(architecture: str) -> None:
    row = ARCHITECTURES[architecture]
    for size in {row.min_input_size, row.default_input_size}:
        network = without_memory(architecture, size, 7).train()

        logits = network(torch.zeros(2, 3, size, size, device="meta"))

        assert logits.shape == (2, 7)
        auxiliary = len(row.family.auxiliary_heads) if size >= row.family.auxiliary_min_input else 0
        assert [tuple(one.shape) for _, one in network.auxiliary_logits] == [(2, 7)] * auxiliary
        assert network.eval()(torch.zeros(2, 3, size, size, device="meta")).shape == (2, 7)
        assert network.auxiliary_logits == ()


@pytest.mark.parametrize("architecture", ZOO)
def test_tensors_keep_torchvisions_names_and_the_head_is_the_last_trainable_layer(architecture: str) -> None:
    row = ARCHITECTURES[architecture]
    network = without_memory(architecture, row.default_input_size, 7)
    options = {"aux_logits": True, "init_weights": False} if row.family.auxiliary_heads else {}
    with torch.device("cpu" if architecture.startswith("regnet") else "meta"):
        original = torchvision.models.get_model(architecture, weights=None, num_classes=7, **options)

    names = [name for name, _ in network.named_tensors()]
    assert sorted(names) == sorted(original.state_dict())
    heads = [name for name in names if network.in_head(name)]
    assert {name.removesuffix(".bias").removesuffix(".weight") for name in heads} == {heads[0].rpartition(".")[0]}
    assert len(list(network.head.parameters())) == len(heads)


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
        assert (row.mean, row.std) == (tuple(transforms.mean), tuple(transforms.std))


@pytest.mark.parametrize("architecture", ["lenet5", "mobilenet_v2", "squeezenet1_0"])
def test_the_head_on_cached_features_is_the_whole_network(resolved: Resolved, architecture: str) -> None:
    network = build(resolved(architecture=architecture, input={"size": 96}), 7, None).network.eval()
    images = torch.rand(2, 3, 96, 96)

    assert torch.equal(network.classify(network.features(images)), network(images))


@pytest.mark.parametrize("architecture", ["resnet18", "resnet34", "resnet50"])
def test_the_cifar_stem_keeps_small_images_large(architecture: str) -> None:
    model = module(architecture, num_classes=10, input_size=32, stem=pb.STEM_CIFAR)

    conv1 = model.get_submodule("conv1")
    assert conv1.weight.shape == (64, 3, 3, 3)
    assert conv1(torch.rand(1, 3, 32, 32)).shape == (1, 64, 32, 32)
    if architecture == "resnet18":
        assert sum(one.numel() for one in model.parameters()) == 11_173_962


def test_the_seed_decides_the_random_weights(resolved: Resolved) -> None:
    first, same, other = (build(resolved(seed=seed), 5, None).network.head.weight for seed in (1, 1, 2))

    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_normalisation_is_inside_the_network(resolved: Resolved) -> None:
    network = build(resolved(architecture="resnet18", input={"size": 32}), 5, None).network.eval()
    images = torch.rand(2, 3, 32, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

    normalised = (images - mean[None, :, None, None]) / std[None, :, None, None]

    assert torch.allclose(network.features(images), torch.flatten(network.backbone(normalised), 1))
