"""The table that memory is estimated from, against the networks themselves."""

import pytest
from google.protobuf import json_format

from cultivar.v1 import architecture_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import memory
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.recipe import Facts, resolve_network
from cultivar_contract.tasks import DescribeRequest
from cultivar_trainer.batches import RESIDENT_SHARE
from cultivar_trainer.evaluation import evaluation_batch
from cultivar_trainer.tasks.describe import describe

QUICK = ("lenet5", "mlp", "resnet18", "vgg11")


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES if name not in QUICK)]
)
def test_estimates_are_not_below_what_the_network_needs(name: str) -> None:
    spec = pb.TrainingSpec(architecture=name, mode=pb.FINE_TUNING_MODE_SCRATCH)
    spec.input.channels = ARCHITECTURES[name].original_channels
    recipe, classes = resolve_network(spec, Facts()).recipe, ARCHITECTURES[name].original_classes

    found = _memory(recipe, classes)
    estimated = memory.activation_bytes(recipe)

    assert 0.97 * found.activation_bytes <= estimated <= 3 * found.activation_bytes
    assert memory.parameter_count(recipe, classes) >= 0.99 * ARCHITECTURES[name].parameters
    if found.activation_bytes > 1 << 20:  # the smallest networks fit anywhere
        assert found.inference_bytes - found.parameter_bytes <= 0.55 * estimated


def test_the_stem_for_small_images_is_counted() -> None:
    recipe = pb.TrainingSpec(architecture="resnet18", mode=pb.FINE_TUNING_MODE_SCRATCH)
    recipe.network.stem = pb.STEM_CIFAR
    recipe.input.size = 32
    recipe = resolve_network(recipe, Facts()).recipe

    found = _memory(recipe, 10).activation_bytes

    assert found <= memory.activation_bytes(recipe) <= 2 * found


def test_passes_of_evaluation_and_data_on_the_gpu_are_as_the_trainer_chooses_them() -> None:
    for size in (28, 224, 384):
        assert evaluation_batch(size) == min(64, memory.EVALUATION_PIXELS // size**2)
    assert memory.RESIDENT_SHARE == 1 / RESIDENT_SHARE


def _memory(recipe: pb.TrainingSpec, num_classes: int) -> architecture_pb2.MemoryEstimate:
    asked = DescribeRequest(recipe_json=json_format.MessageToJson(recipe), num_classes=num_classes, batch_size=1)
    return describe(asked).memory
