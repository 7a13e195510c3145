"""Every network takes one step with its frozen parts unchanged, and its export answers like it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer import export, finetuning
from cultivar_trainer.networks.builders import build
from cultivar_trainer.networks.network import Network

Resolved = Callable[..., pb.TrainingSpec]
NETWORKS = sorted(ARCHITECTURES)


def network(resolved: Resolved, architecture: str) -> Network:
    size = max(64, ARCHITECTURES[architecture].min_input_size)
    return build(resolved(architecture=architecture, input={"size": size}), 5, None).network


@pytest.mark.all
@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("mode", [pb.FINE_TUNING_MODE_FULL, pb.FINE_TUNING_MODE_HEAD])
def test_a_step_moves_what_the_mode_trains_and_nothing_else(
    resolved: Resolved, architecture: str, mode: pb.FineTuningMode
) -> None:
    model = network(resolved, architecture)
    finetuning.freeze(model, mode)
    digest = finetuning.freeze_digest(model)
    trainable = finetuning.trainable_parameters(model)
    before = [parameter.detach().clone() for parameter in trainable]

    logits = model(torch.rand(4, 3, model.input_size, model.input_size))
    loss = sum(
        (weight * F.cross_entropy(one, torch.arange(4)) for weight, one in model.auxiliary_logits),
        F.cross_entropy(logits, torch.arange(4)),
    )
    loss.backward()
    torch.optim.SGD(trainable, lr=0.1).step()

    finetuning.check_frozen(model, digest)
    assert any(not torch.equal(old, new) for old, new in zip(before, trainable, strict=True))


@pytest.mark.all
@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_export_answers_like_the_network(resolved: Resolved, architecture: str) -> None:
    model = network(resolved, architecture).eval()
    images = np.random.default_rng(0).integers(0, 256, (3, model.input_size, model.input_size, 3), dtype=np.uint8)
    reference = export.torch_probabilities(model, images, torch.device("cpu"))

    exported = export.onnx_probabilities(export.session(export.export_onnx(model), 2), images)

    export.check_parity(export.compare(exported, reference))
