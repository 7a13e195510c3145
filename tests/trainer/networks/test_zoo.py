"""Every network takes one step in every mode with its frozen parts unchanged, and its export answers like it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer import export, finetuning
from cultivar_trainer.networks.network import Network

Recipe = Callable[..., pb.TrainingSpec]
Make = Callable[..., Network]
NETWORKS = sorted(ARCHITECTURES)


def recipe_of(network_recipe: Recipe, architecture: str, mode: str) -> pb.TrainingSpec:
    row = ARCHITECTURES[architecture]
    size = row.default_input_size if row.default_input_size < 64 else max(64, row.min_input_size)
    return network_recipe(architecture, mode, input={"size": size})


def check_a_step(model: Network) -> None:
    certificate = finetuning.freeze_certificate(model)
    trainable = finetuning.trainable_parameters(model)
    before = [parameter.detach().clone() for parameter in trainable]

    logits = model(torch.rand(4, 3, model.input_size, model.input_size))
    loss = sum(
        (weight * F.cross_entropy(one, torch.arange(4)) for weight, one in model.auxiliary_logits),
        F.cross_entropy(logits, torch.arange(4)),
    )
    loss.backward()
    torch.optim.SGD(trainable, lr=0.1).step()

    finetuning.check_frozen(model, certificate)
    assert any(not torch.equal(old, new) for old, new in zip(before, trainable, strict=True))


@pytest.mark.all
@pytest.mark.parametrize("architecture", NETWORKS)
def test_a_step_in_every_mode_moves_what_it_trains_and_nothing_else(
    network_recipe: Recipe, random_network: Make, architecture: str
) -> None:
    for mode in ("SCRATCH", "FULL"):  # in the step itself they are one
        recipe = recipe_of(network_recipe, architecture, mode)
    model = random_network(recipe)
    finetuning.freeze(model, recipe)
    check_a_step(model)
    if ARCHITECTURES[architecture].family.auxiliary_heads:
        model = random_network(recipe_of(network_recipe, architecture, "HEAD"))
    for mode in ("HEAD", "LAST_BLOCKS", "GRADUAL"):
        recipe = recipe_of(network_recipe, architecture, mode)
        finetuning.freeze(model, recipe, head_only=mode == "GRADUAL")
        check_a_step(model)
    finetuning.freeze(model, recipe)
    check_a_step(model)


@pytest.mark.all
@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_export_answers_like_the_network(network_recipe: Recipe, random_network: Make, architecture: str) -> None:
    model = random_network(recipe_of(network_recipe, architecture, "FULL")).eval()
    images = np.random.default_rng(0).integers(0, 256, (3, model.input_size, model.input_size, 3), dtype=np.uint8)
    reference = export.torch_probabilities(model, images, torch.device("cpu"))

    exported = export.onnx_probabilities(export.session(export.export_onnx(model), 2), images)

    export.check_parity(export.compare(exported, reference))


@pytest.mark.all
@pytest.mark.parametrize("architecture", ["squeezenet1_1", "vit_b_16", "mobilenet_v3_small"])
def test_the_export_of_a_cut_network_with_hidden_layers_in_its_head_answers_like_it(
    network_recipe: Recipe, random_network: Make, architecture: str
) -> None:
    recipe = network_recipe(architecture, "HEAD", retainBlocks=3, network={"headHiddenSizes": [16]})
    model = random_network(recipe).eval()
    images = np.random.default_rng(0).integers(0, 256, (3, model.input_size, model.input_size, 3), dtype=np.uint8)

    exported = export.onnx_probabilities(export.session(export.export_onnx(model), 2), images)

    export.check_parity(export.compare(exported, export.torch_probabilities(model, images, torch.device("cpu"))))


@pytest.mark.all
@pytest.mark.parametrize("architecture", ["lenet5", "mlp", "resnet20_cifar", "resnet18"])
def test_the_export_of_a_network_for_grey_images_answers_like_it(
    network_recipe: Recipe, random_network: Make, architecture: str
) -> None:
    model = random_network(network_recipe(architecture, "SCRATCH", input={"channels": 1})).eval()
    images = np.random.default_rng(0).integers(0, 256, (3, model.input_size, model.input_size, 1), dtype=np.uint8)

    exported = export.onnx_probabilities(export.session(export.export_onnx(model), 2), images)

    export.check_parity(export.compare(exported, export.torch_probabilities(model, images, torch.device("cpu"))))
