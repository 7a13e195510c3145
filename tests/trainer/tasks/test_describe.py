from typing import Any

import pytest
from google.protobuf import json_format

from cultivar.v1 import architecture_pb2
from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract import tasks
from cultivar_contract.architectures import ARCHITECTURES
from cultivar_contract.recipe import Facts, resolve_network
from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.tasks.describe import describe

ROUNDING = 0.5e-3
"""Half of the last digit of multiply-adds that torchvision states, in billions."""


def ask(
    architecture: str, mode: str = "FULL", *, classes: int | None = None, batch_size: int = 1, **fields: Any
) -> architecture_pb2.ArchitectureDescription:
    spec = {"architecture": architecture, "mode": f"FINE_TUNING_MODE_{mode}", **fields}
    resolution = resolve_network(json_format.ParseDict(spec, pb.TrainingSpec()), Facts())
    assert not resolution.violations
    return describe(
        tasks.DescribeRequest(
            recipe_json=json_format.MessageToJson(resolution.recipe),
            num_classes=classes or ARCHITECTURES[architecture].original_classes,
            batch_size=batch_size,
        )
    )


FEW = ("vgg19", "squeezenet1_0", "shufflenet_v2_x0_5", "regnet_y_400mf", "vit_b_16", "swin_t", "convnext_tiny")


@pytest.mark.parametrize(
    "architecture",
    [*FEW, *(pytest.param(name, marks=pytest.mark.all) for name in sorted(set(ARCHITECTURES) - set(FEW)))],
)
def test_totals_are_torchvisions_and_sums_over_layers_and_blocks(architecture: str) -> None:
    row = ARCHITECTURES[architecture]
    grey = {"input": {"channels": 1}} if architecture in ("lenet5", "mlp") else {}

    description = ask(architecture, **grey)

    auxiliary = sum(
        layer.parameters for layer in description.layers if layer.name.startswith(tuple(row.family.auxiliary_heads))
    )
    # torchvision counts Inception's auxiliary head, and not GoogLeNet's.
    assert description.parameters in (row.parameters, row.parameters + auxiliary)
    assert description.trainable_parameters == description.parameters
    assert sum(layer.parameters for layer in description.layers) == description.parameters
    assert sum(block.parameters for block in description.blocks) == description.parameters - auxiliary
    assert [block.last_blocks for block in description.blocks] == list(range(len(description.blocks)))[::-1]
    assert len(set(description.parameter_names)) == len(description.parameter_names)
    assert description.multiply_adds / 1e9 == pytest.approx(row.giga_multiply_adds, rel=0.01, abs=ROUNDING)


def test_vgg19_has_19_layers_with_weights() -> None:
    layers = [layer for layer in ask("vgg19").layers if layer.parameters]

    assert [layer.kind for layer in layers] == ["Conv2d"] * 16 + ["Linear"] * 3
    assert [layer.parameters for layer in layers[-3:]] == [102_764_544, 16_781_312, 4_097_000]
    assert sum(layer.parameters for layer in layers) == 143_667_240


def test_head_mode_trains_the_last_layer_alone() -> None:
    description = ask("mobilenet_v2", "HEAD", classes=10)

    assert description.trainable_parameters == 1280 * 10 + 10
    assert description.frozen_parameters == description.parameters - description.trainable_parameters
    assert [layer.name for layer in description.layers if layer.trainable] == ["classifier.1"]


@pytest.mark.parametrize("architecture", ["alexnet", "resnet20_cifar"])
def test_a_blocks_number_says_what_that_many_last_blocks_train(architecture: str) -> None:
    description = ask(architecture)

    for block in description.blocks[1::2]:
        mode = {"mode": "LAST_BLOCKS", "lastBlocks": block.last_blocks} if block.last_blocks else {"mode": "HEAD"}
        assert ask(architecture, **mode).trainable_parameters == block.trainable_parameters  # type: ignore[arg-type]


def test_more_last_blocks_than_there_are_is_refused() -> None:
    with pytest.raises(TaskFailed, match="last_blocks 9 is more than the 7 blocks of alexnet"):
        ask("alexnet", "LAST_BLOCKS", lastBlocks=9)


def test_layers_come_in_the_order_in_which_they_run_with_their_shapes() -> None:
    layers = ask("lenet5").layers

    assert [(layer.name, layer.kind, list(layer.output_shape)) for layer in layers][:3] == [
        ("features.0.conv", "Conv2d", [6, 28, 28]),
        ("features.0.activation", "ReLU", [6, 28, 28]),
        ("features.0.pool", "MaxPool2d", [6, 14, 14]),
    ]
    assert layers[-1].name == "classifier"
    assert sum(layer.parameters for layer in layers) == 62_006  # 61,706 with one channel, and two more of 6 x 5 x 5


def test_parameters_that_no_layer_holds_are_lines_of_their_own() -> None:
    lines = {layer.name: layer for layer in ask("vit_b_16").layers if layer.kind == "Parameter"}

    assert {name: layer.parameters for name, layer in lines.items()} == {
        "class_token": 768,
        "encoder.pos_embedding": 197 * 768,
    }


def test_a_head_with_hidden_layers_and_a_cut_backbone_are_described() -> None:
    description = ask("resnet18", "HEAD", classes=5, retainBlocks=3, network={"headHiddenSizes": [32]})

    assert [block.name for block in description.blocks] == ["conv1", "layer1.0", "layer1.1", "fc"]
    assert [(layer.name, layer.parameters) for layer in description.layers if layer.trainable] == [
        ("fc.hidden.0.linear", 64 * 32 + 32),
        ("fc", 32 * 5 + 5),
    ]


def test_memory_is_what_the_backward_pass_of_an_mlp_needs() -> None:
    images, parameters = 10, 636_010
    memory = ask("mlp", batch_size=images, input={"channels": 1}).memory

    assert memory.parameter_bytes == 4 * parameters
    assert memory.gradient_bytes == 4 * parameters
    assert memory.optimizer_bytes == 8 * parameters
    # Of a linear layer its input; ReLU's output is the next one's.
    assert memory.activation_bytes == 4 * images * (784 + 800)
    assert memory.training_bytes == 16 * parameters + memory.activation_bytes
    assert memory.inference_bytes == 4 * (parameters + images * (800 + 800))  # the linear layer and ReLU


def test_a_frozen_backbone_keeps_no_activations() -> None:
    whole, blocks, head = (ask("resnet18", mode).memory for mode in ("FULL", "LAST_BLOCKS", "HEAD"))

    assert head.activation_bytes == 4 * 512
    assert head.activation_bytes < blocks.activation_bytes < 0.1 * whole.activation_bytes
    assert head.gradient_bytes == 4 * (512 * 1000 + 1000)
    assert head.inference_bytes == whole.inference_bytes


def test_names_for_patterns_leave_out_the_heads_that_patterns_can_not_train() -> None:
    names = ask("googlenet").parameter_names

    assert "inception5b.branch4.1.conv.weight" in names
    assert not any(name.startswith("aux") for name in names)
