from collections.abc import Callable

import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer.networks.builders import build, module

Resolved = Callable[..., pb.TrainingSpec]


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@pytest.mark.parametrize("at_minimum", [True, False])
def test_every_network_answers_at_its_smallest_input_and_at_96_px(
    resolved: Resolved, architecture: str, at_minimum: bool
) -> None:
    size = ARCHITECTURES[architecture].min_input_size if at_minimum else 96
    network = build(resolved(architecture=architecture, input={"size": size}), 7, None).network.eval()

    images = torch.rand(2, 3, size, size)

    assert network(images).shape == (2, 7)
    assert torch.equal(network.classify(network.features(images)), network(images))


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v2", "squeezenet1_0"])
def test_tensors_keep_torchvisions_names(resolved: Resolved, architecture: str) -> None:
    network = build(resolved(architecture=architecture), 5, None).network

    original = module(
        architecture, num_classes=5, input_size=224, stem=pb.STEM_UNSPECIFIED, head_dropout=0
    ).state_dict()
    assert {name: tensor.shape for name, tensor in network.named_tensors()} == {
        name: tensor.shape for name, tensor in original.items()
    }


def test_the_table_states_the_published_number_of_parameters() -> None:
    for architecture in ARCHITECTURES.values():
        if architecture.family != "lenet":
            model = module(
                architecture.name,
                num_classes=architecture.original_classes,
                input_size=224,
                stem=pb.STEM_UNSPECIFIED,
                head_dropout=0,
            )
            assert sum(one.numel() for one in model.parameters()) == architecture.parameters


def test_the_cifar_stem_keeps_small_images_large(resolved: Resolved) -> None:
    network = build(resolved(architecture="resnet18", network={"stem": "STEM_CIFAR"}), 10, None).network

    conv1 = network.backbone.get_submodule("conv1")
    assert conv1.weight.shape == (64, 3, 3, 3)
    assert conv1(torch.rand(1, 3, 32, 32)).shape == (1, 64, 32, 32)
    assert sum(one.numel() for one in network.parameters()) == 11_173_962


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
