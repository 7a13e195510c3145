import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.networks.builders import build
from cultivar_trainer.networks.initialisation import initialise
from cultivar_trainer.networks.network import Network

Recipe = Callable[..., pb.TrainingSpec]
LAYERS = [lambda: nn.Conv2d(6, 10, 3, groups=2), lambda: nn.Linear(7, 5)]


def drawn(layer: nn.Module, **spec: object) -> torch.Tensor:
    torch.manual_seed(3)
    initialise([layer], pb.InitialisationSpec(**spec))  # type: ignore[arg-type]
    weight: torch.Tensor = layer.weight  # type: ignore[assignment]
    return weight.detach()


@pytest.mark.parametrize("make", LAYERS, ids=["convolution", "linear"])
@pytest.mark.parametrize(("fan", "name"), [(pb.FAN_IN, "fan_in"), (pb.FAN_OUT, "fan_out")])
def test_he_is_torchs_kaiming(make: Callable[[], nn.Conv2d], fan: pb.Fan, name: str) -> None:
    normal = drawn(make(), gain=math.sqrt(2), fan=fan, distribution=pb.INITIALISATION_DISTRIBUTION_NORMAL)
    uniform = drawn(make(), gain=math.sqrt(2), fan=fan, distribution=pb.INITIALISATION_DISTRIBUTION_UNIFORM)

    for ours, theirs in ((normal, nn.init.kaiming_normal_), (uniform, nn.init.kaiming_uniform_)):
        empty = torch.empty_like(ours)
        torch.manual_seed(3)
        assert torch.allclose(ours, theirs(empty, mode=name, nonlinearity="relu"))


@pytest.mark.parametrize("make", LAYERS, ids=["convolution", "linear"])
def test_the_average_fan_is_torchs_xavier(make: Callable[[], nn.Conv2d]) -> None:
    for distribution, theirs in (
        (pb.INITIALISATION_DISTRIBUTION_NORMAL, nn.init.xavier_normal_),
        (pb.INITIALISATION_DISTRIBUTION_UNIFORM, nn.init.xavier_uniform_),
    ):
        ours = drawn(make(), gain=1.5, fan=pb.FAN_AVERAGE, distribution=distribution)
        empty = torch.empty_like(ours)
        torch.manual_seed(3)
        assert torch.allclose(ours, theirs(empty, gain=1.5))


def test_the_variance_is_the_squared_gain_over_the_fan_and_biases_are_zero() -> None:
    for distribution in pb.InitialisationDistribution.values()[1:]:
        layer = nn.Linear(400, 300)
        weight = drawn(layer, gain=3.0, fan=pb.FAN_IN, distribution=distribution)

        assert weight.var().item() == pytest.approx(9 / 400, rel=0.02)
        assert weight.mean().item() == pytest.approx(0, abs=0.002)
        assert layer.bias.abs().sum() == 0
    assert weight.abs().max().item() == pytest.approx(math.sqrt(3 * 9 / 400), rel=0.001)


def test_other_layers_keep_their_weights() -> None:
    layer = nn.BatchNorm2d(3)

    initialise([layer], pb.InitialisationSpec(gain=1.0))

    assert torch.equal(layer.weight, torch.ones(3))


def test_scratch_draws_the_whole_network_by_the_recipe_and_by_default_leaves_torchs_own(
    network_recipe: Recipe, random_network: Callable[..., Network]
) -> None:
    own = random_network(network_recipe("lenet5", "SCRATCH"))
    he = random_network(network_recipe("lenet5", "SCRATCH", initialisation={"scheme": "INITIALISATION_SCHEME_HE"}))

    assert own.backbone.get_submodule("hidden.0.linear").bias.abs().sum() > 0
    hidden = he.backbone.get_submodule("hidden.0.linear")
    assert hidden.bias.abs().sum() == 0
    assert hidden.weight.std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.02)


def test_zero_residual_branches_stay_zero(network_recipe: Recipe) -> None:
    recipe = network_recipe(
        "resnet20_cifar",
        "SCRATCH",
        network={"zeroInitResidual": True},
        initialisation={"scheme": "INITIALISATION_SCHEME_LECUN"},
    )

    network = build(recipe, 5, mean=(0.5,) * 3, std=(0.5,) * 3, weights=None).network

    assert network.backbone.get_submodule("layer3.2.bn2").weight.abs().sum() == 0
