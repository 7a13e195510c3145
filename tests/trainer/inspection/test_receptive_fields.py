"""Receptive fields against their closed form (Araujo et al. 2019), and against networks that run."""

from collections.abc import Callable

import pytest
import torch

from cultivar_trainer.inspection.layers import Layers, maps_of
from cultivar_trainer.inspection.receptive_field import ReceptiveFields
from cultivar_trainer.networks.network import Network


@pytest.fixture(scope="module")
def lenet(network_recipe: Callable, random_network: Callable) -> Network:
    return random_network(network_recipe("lenet5", "SCRATCH")).eval()


@pytest.fixture(scope="module")
def resnet(network_recipe: Callable, random_network: Callable) -> Network:
    return random_network(network_recipe("resnet18", "SCRATCH")).eval()


def box(network: Network, layer: str, row: int, column: int) -> tuple[int, int, int, int]:
    return ReceptiveFields(network, Layers(network).find(layer)).box(0, row, column)


@pytest.mark.parametrize(
    ("layer", "row", "column", "expected"),
    [
        # Convolutions of 5, poolings of 2: 5, 6, 14 and 16 pixels at strides of 1, 2, 2 and 4.
        ("features.0.conv", 3, 7, (7, 3, 12, 8)),
        ("features.0.pool", 3, 7, (14, 6, 20, 12)),
        ("features.1.conv", 2, 4, (8, 4, 22, 18)),
        ("features.1.pool", 0, 4, (16, 0, 32, 16)),
        ("hidden.0.linear", 0, 0, (0, 0, 32, 32)),
        ("classifier", 0, 0, (0, 0, 32, 32)),
    ],
)
def test_lenet_s_units_see_what_kernels_and_strides_say(
    lenet: Network, layer: str, row: int, column: int, expected: tuple[int, int, int, int]
) -> None:
    assert box(lenet, layer, row, column) == expected


@pytest.mark.parametrize(
    ("layer", "place", "side"),
    [("conv1", 56, 7), ("maxpool", 28, 11), ("layer1.1.conv2", 28, 43), ("layer2.1.conv2", 14, 99)],
)
def test_resnet_s_units_see_as_much_as_araujo_et_al_say(resnet: Network, layer: str, place: int, side: int) -> None:
    left, top, right, bottom = box(resnet, layer, place, place)

    assert (right - left, bottom - top) == (side, side)
    # Paddings keep the centre at the unit's own place.
    assert left == place * resnet.input_size // (112 if side == 7 else 56 if side < 99 else 28) - side // 2


def test_at_the_border_only_pixels_of_the_image_count(resnet: Network) -> None:
    assert box(resnet, "conv1", 0, 111) == (219, 0, 224, 4)


def test_nothing_outside_a_box_changes_a_unit_and_every_side_of_it_does(lenet: Network) -> None:
    layer = Layers(lenet).find("features.1.conv")
    left, top, right, bottom = ReceptiveFields(lenet, layer).box(5, 2, 4)
    images = torch.rand(1, lenet.channels, 32, 32, generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1)
    noise = torch.rand(lenet.channels, 32, 32, generator=torch.Generator().manual_seed(1))
    images[1] = noise
    images[1, :, top:bottom, left:right] = images[0, :, top:bottom, left:right]

    maps = maps_of(lenet, [layer], images)[0].detach()

    assert maps[0, 5, 2, 4] == pytest.approx(maps[1, 5, 2, 4].item(), abs=1e-6)
    assert not torch.allclose(maps[0, 5, 2, 9], maps[1, 5, 2, 9])


def test_behind_squeeze_and_excitation_a_unit_sees_all_and_the_reason_is_named(
    network_recipe: Callable, random_network: Callable
) -> None:
    network = random_network(network_recipe("mobilenet_v3_small", "SCRATCH")).eval()
    layers = Layers(network)
    behind, before = (ReceptiveFields(network, layers.find(name)) for name in ("features.12.0", "features.1.block.0.0"))

    assert (behind.whole_because, behind.box(0, 3, 3)) == ("SqueezeExcitation", (0, 0, 224, 224))
    # 3 pixels at stride 2, then 3 at stride 2.
    assert (before.whole_because, before.box(0, 9, 9)) == ("", (33, 33, 40, 40))
