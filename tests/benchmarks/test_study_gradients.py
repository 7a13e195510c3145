"""Gradients by layer, as the study measures them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.study import gradients
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_trainer.networks import builders


@pytest.fixture
def recipe(resolved: Callable[..., pb.TrainingSpec]) -> pb.TrainingSpec:
    return resolved(
        architecture="mlp", input={"size": 16}, network={"hiddenSizes": [8, 8], "activation": "ACTIVATION_SIGMOID"}
    )


def test_every_weight_layer_has_a_norm_before_and_after_training(
    recipe: pb.TrainingSpec, flowers_folder: Path, tmp_path: Path
) -> None:
    prepared = ARCHITECTURES[recipe.architecture].preprocessing(recipe)
    network = builders.build(recipe, 5, mean=prepared.mean, std=prepared.std, weights=None).network
    tensors = {name: tensor.detach() for name, tensor in network.named_tensors()}
    same, flat = tmp_path / "same.npz", tmp_path / "flat.npz"
    np.savez(same, **{name: tensor.numpy() for name, tensor in tensors.items()})
    np.savez(flat, **{name: torch.zeros_like(tensor).numpy() for name, tensor in tensors.items()})

    untrained = gradients.norms(recipe, flowers_folder / "val", same)
    blocked = gradients.norms(recipe, flowers_folder / "val", flat)

    assert len(untrained["before"]) == 3
    assert untrained["before"] == untrained["after"] == blocked["before"]
    # Weights of zero let no gradient through: the head alone, whose inputs are sigmoid(0), may learn.
    assert blocked["after"][:2] == [0.0, 0.0]
