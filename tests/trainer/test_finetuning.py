from collections.abc import Callable

import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.finetuning import check_frozen, freeze, freeze_digest, trainable_parameters
from cultivar_trainer.networks.builders import build
from cultivar_trainer.networks.network import Network

Resolved = Callable[..., pb.TrainingSpec]


def network(resolved: Resolved, architecture: str, size: int = 64) -> Network:
    return build(resolved(architecture=architecture, input={"size": size}), 5, None).network


def take_a_step(model: Network) -> None:
    optimizer = torch.optim.SGD(trainable_parameters(model), lr=0.1)
    model.train()
    model(torch.rand(4, 3, model.input_size, model.input_size)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("architecture", ["lenet5", "mobilenet_v2", "resnet18", "squeezenet1_0"])
def test_head_mode_leaves_every_backbone_parameter_and_buffer_bit_identical(
    resolved: Resolved, architecture: str
) -> None:
    model = network(resolved, architecture)
    freeze(model, pb.FINE_TUNING_MODE_HEAD)
    backbone = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
    head = {name: tensor.clone() for name, tensor in model.head.state_dict().items()}
    before = freeze_digest(model)

    take_a_step(model)

    assert all(torch.equal(tensor, backbone[name]) for name, tensor in model.backbone.state_dict().items())
    assert not all(torch.equal(tensor, head[name]) for name, tensor in model.head.state_dict().items())
    assert check_frozen(model, before) == before


def test_full_mode_moves_the_first_layer_and_batchnorms_statistics(resolved: Resolved) -> None:
    model = network(resolved, "resnet18")
    freeze(model, pb.FINE_TUNING_MODE_FULL)
    before = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}

    take_a_step(model)

    after = model.backbone.state_dict()
    assert not torch.equal(after["conv1.weight"], before["conv1.weight"])
    assert not torch.equal(after["bn1.running_mean"], before["bn1.running_mean"])


@pytest.mark.parametrize("name", ["conv1.weight", "bn1.running_var"])
def test_a_frozen_tensor_that_moved_fails_the_job(resolved: Resolved, name: str) -> None:
    model = network(resolved, "resnet18")
    freeze(model, pb.FINE_TUNING_MODE_HEAD)
    before = freeze_digest(model)

    with torch.no_grad():
        model.backbone.state_dict()[name].view(-1)[0] += 1e-6

    with pytest.raises(TaskFailed, match="a frozen parameter or buffer changed"):
        check_frozen(model, before)
