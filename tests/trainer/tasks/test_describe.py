import pytest
from google.protobuf import json_format

from cultivar.v1 import architecture_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import tasks
from cultivar_contract.recipe import Facts, resolve_network
from cultivar_trainer.tasks.describe import describe


def ask(
    architecture: str, mode: int = pb.FINE_TUNING_MODE_FULL, classes: int = 1000, size: int = 224
) -> architecture_pb2.ArchitectureDescription:
    spec = pb.TrainingSpec(architecture=architecture, mode=mode, input=pb.InputSpec(size=size))  # type: ignore[arg-type]
    recipe = json_format.MessageToJson(resolve_network(spec, Facts()).recipe)
    return describe(tasks.DescribeRequest(recipe_json=recipe, num_classes=classes, batch_size=1))


@pytest.mark.parametrize(
    ("architecture", "parameters", "giga_multiply_adds"),
    [
        ("resnet18", 11_689_512, 1.814),
        ("mobilenet_v2", 3_504_872, 0.301),
        ("squeezenet1_0", 1_248_424, 0.819),
        ("vgg19", 143_667_240, 19.632),
        ("densenet121", 7_978_856, 2.834),
        ("efficientnet_b0", 5_288_548, 0.386),
        ("regnet_y_400mf", 4_344_144, 0.402),
    ],
)
def test_totals_are_torchvisions(architecture: str, parameters: int, giga_multiply_adds: float) -> None:
    description = ask(architecture)

    assert description.parameters == parameters
    assert description.trainable_parameters == parameters
    assert description.multiply_adds / 1e9 == pytest.approx(giga_multiply_adds, rel=0.01)
    assert sum(layer.parameters for layer in description.layers) == parameters


def test_head_mode_trains_the_last_layer_alone() -> None:
    description = ask("mobilenet_v2", mode=pb.FINE_TUNING_MODE_HEAD, classes=10)

    assert description.trainable_parameters == 1280 * 10 + 10
    assert description.frozen_parameters == description.parameters - description.trainable_parameters
    assert [layer.name for layer in description.layers if layer.trainable] == ["classifier.1"]


def test_layers_come_in_the_order_in_which_they_run_with_their_shapes() -> None:
    layers = ask("lenet5", classes=10, size=32).layers

    assert [(layer.name, layer.kind, list(layer.output_shape)) for layer in layers][:3] == [
        ("features.0", "Conv2d", [6, 28, 28]),
        ("features.1", "ReLU", [6, 28, 28]),
        ("features.2", "MaxPool2d", [6, 14, 14]),
    ]
    assert layers[-1].name == "classifier"
    assert sum(layer.parameters for layer in layers) == 62_006  # 61,706 with one channel, and two more of 6 x 5 x 5
