"""Layers by name and their outputs as maps, of every kind of network."""

from collections.abc import Callable

import pytest
import torch

from cultivar_trainer.errors import TaskFailed
from cultivar_trainer.inspection.layers import Layers, Layout, check_channel, maps_of
from cultivar_trainer.inspection.receptive_field import ReceptiveFields


@pytest.fixture(scope="module")
def lenet(network_recipe: Callable, random_network: Callable) -> Layers:
    return Layers(random_network(network_recipe("lenet5", "SCRATCH")).eval())


def test_an_unknown_layer_is_answered_with_the_nearest_names(lenet: Layers) -> None:
    with pytest.raises(
        TaskFailed, match=r"'features\.1\.con' is no layer of this network: use features\.1\.conv, "
    ) as told:
        lenet.find("features.1.con")
    assert told.value.reason == "INVALID_LAYER"


def test_of_many_layers_the_error_names_few_and_counts_the_rest(
    network_recipe: Callable, random_network: Callable
) -> None:
    layers = Layers(random_network(network_recipe("resnet56_cifar", "SCRATCH")).eval())

    with pytest.raises(TaskFailed) as told:
        layers.find("layer3.9.conv1")

    assert "or one of " in told.value.message
    assert len(told.value.message) < 500


def test_a_channel_that_a_layer_lacks_is_answered_with_those_it_has(lenet: Layers) -> None:
    with pytest.raises(TaskFailed, match=r"16: features\.1\.conv has channels 0 to 15"):
        check_channel(lenet.find("features.1.conv"), 16)


def test_maps_of_several_layers_are_those_of_the_network_s_own_parts(lenet: Layers) -> None:
    network, images = lenet.network, torch.rand(2, 3, 32, 32)
    names = ("features.0.activation", "features.1.conv", "hidden.1.linear")

    maps = maps_of(network, [lenet.find(name) for name in names], images)

    first = network.backbone.features[0]
    normal = (images - network.mean) / network.std
    activation = first.activation(first.conv(normal))
    assert torch.equal(maps[0], activation)
    assert torch.equal(maps[1], network.backbone.features[1].conv(first.pool(activation)))
    assert maps[2].shape == (2, 84, 1, 1)


def test_stages_end_where_maps_change_their_size(lenet: Layers) -> None:
    names = [one.name for one in lenet.stages()]

    assert names == ["features.0.activation", "features.1.activation", "features.1.pool"]
    assert lenet.default().name == "features.1.conv"
    assert lenet.first_weights().name == "features.0.conv"


def test_an_mlp_has_units_in_place_of_channels(network_recipe: Callable, random_network: Callable) -> None:
    layers = Layers(random_network(network_recipe("mlp", "SCRATCH", network={"hiddenSizes": [8, 7]})).eval())

    assert (layers.default().name, layers.default().channels) == ("hidden.1.linear", 7)
    assert [one.name for one in layers.stages()] == ["hidden.0.activation", "hidden.1.activation"]
    assert ReceptiveFields(layers.network, layers.default()).box(3, 0, 0) == (0, 0, 28, 28)


def test_modules_that_run_twice_give_their_last_output(network_recipe: Callable, random_network: Callable) -> None:
    network = random_network(network_recipe("resnet20_cifar", "SCRATCH")).eval()
    layer = Layers(network).find("layer1.0.relu")
    images, outputs = torch.rand(1, 3, 32, 32), []
    handle = network.backbone.layer1[0].register_forward_hook(lambda *arguments: outputs.append(arguments[2].clone()))

    maps = maps_of(network, [layer], images)[0]
    network(images)
    handle.remove()

    assert layer.calls == 2
    assert torch.equal(maps, outputs[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "layer", "layout"),
    [
        ("vit_b_16", "encoder.ln", Layout.TOKENS),
        ("swin_t", "features.7.1.norm1", Layout.CHANNELS_LAST),
        ("convnext_tiny", "features.7.2.block.3", Layout.CHANNELS_LAST),
        ("densenet121", "features.norm5", Layout.MAPS),
        ("googlenet", "inception5b.branch4.1.conv", Layout.MAPS),
        ("regnet_y_400mf", "trunk_output.block4.block4-5.activation", Layout.MAPS),
        ("shufflenet_v2_x0_5", "conv5.2", Layout.MAPS),
        ("squeezenet1_1", "features.12.expand3x3", Layout.MAPS),
    ],
)
def test_every_kind_of_network_has_maps_stages_and_receptive_fields(
    network_recipe: Callable, random_network: Callable, architecture: str, layer: str, layout: Layout
) -> None:
    layers = Layers(random_network(network_recipe(architecture, "SCRATCH")).eval())
    found = layers.find(layer)
    images = torch.rand(2, 3, 224, 224)

    with torch.no_grad():
        maps = maps_of(layers.network, [found], images)[0]

    assert found.layout is layout
    assert maps.shape == (2, found.channels, found.height, found.width)
    assert found.height == found.width > 1
    assert len(layers.stages()) == 3
    left, top, right, bottom = ReceptiveFields(layers.network, found).box(0, found.height // 2, found.width // 2)
    assert 0 <= left < right <= 224
    assert 0 <= top < bottom <= 224
