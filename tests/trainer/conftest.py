"""Networks for the trainer's tests."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from google.protobuf import json_format

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.recipe import Facts, resolve_network
from cultivar_trainer.networks.builders import build, network_of
from cultivar_trainer.networks.network import Network


@pytest.fixture(scope="session")
def network_recipe() -> Callable[..., pb.TrainingSpec]:
    """Resolves what a spec, given as proto JSON, says of the network; weights may be missing."""

    def network_recipe(architecture: str, mode: str = "FULL", **fields: Any) -> pb.TrainingSpec:
        spec = {"architecture": architecture, "mode": f"FINE_TUNING_MODE_{mode}", **fields}
        resolution = resolve_network(json_format.ParseDict(spec, pb.TrainingSpec()), Facts())
        assert not resolution.violations, resolution.violations
        assert not resolution.warnings, resolution.warnings
        return resolution.recipe

    return network_recipe


@pytest.fixture(scope="session")
def random_network() -> Callable[..., Network]:
    """Builds a recipe's network with random weights and five classes."""

    def random_network(recipe: pb.TrainingSpec) -> Network:
        preprocessing = ARCHITECTURES[recipe.architecture].preprocessing(recipe)
        return build(recipe, 5, mean=preprocessing.mean, std=preprocessing.std, weights=None).network

    return random_network


@pytest.fixture(scope="session")
def empty_network() -> Callable[..., Network]:
    """Builds a recipe's network with tensors that have shapes but no values: any of the zoo in a third of a second."""

    def empty_network(recipe: pb.TrainingSpec, num_classes: int = 7) -> Network:
        channels = recipe.input.channels
        with torch.device("cpu" if recipe.architecture.startswith("regnet") else "meta"):
            return network_of(recipe, num_classes, mean=(0.0,) * channels, std=(1.0,) * channels).to("meta")

    return empty_network
