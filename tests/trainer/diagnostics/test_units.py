import torch
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from cultivar_trainer.diagnostics.units import UnitHealth, UnitKind, UnitWatch


def health_of(network: nn.Module, *passes: Tensor) -> dict[str, UnitHealth]:
    watch = UnitWatch(list(network.named_modules()))
    with watch:
        for inputs in passes:
            watch.begin_pass()
            network(inputs.requires_grad_())
    return {one.layer: one for one in watch.health()}


def test_a_relu_is_dead_where_no_image_wakes_it_in_any_pass() -> None:
    answers = torch.tensor([[-1.0, 1.0, -1.0, -1.0]]), torch.tensor([[-1.0, -1.0, 1.0, -1.0]])

    found = health_of(nn.Sequential(nn.ReLU()), *answers)["0"]

    assert found == UnitHealth(layer="0", kind=UnitKind.DEAD, units=4, share=0.5)


def test_a_channel_is_dead_where_it_is_in_all_places() -> None:
    images = -torch.ones(2, 4, 3, 3)
    images[1, 0, 2, 2] = 1.0

    assert health_of(nn.Sequential(nn.ReLU6(inplace=False)), images)["0"].share == 0.75


def test_a_sigmoid_is_saturated_where_nine_tenths_of_its_answers_are_flat() -> None:
    rows = torch.zeros(10, 3)
    rows[:9, 0], rows[:8, 1], rows[:, 2] = 10.0, 10.0, -10.0

    found = health_of(nn.Sequential(nn.Sigmoid()), rows)["0"]

    assert (found.kind, found.share) == (UnitKind.SATURATED, 2 / 3)


def test_a_tanh_is_flat_at_both_ends() -> None:
    rows = torch.tensor([[5.0, -5.0, 0.0], [-5.0, 5.0, 0.0]])

    assert health_of(nn.Sequential(nn.Tanh()), rows)["0"].share == 2 / 3


def test_activations_that_serve_twice_are_told_apart() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, images: Tensor) -> Tensor:
            answer: Tensor = self.relu(self.relu(images) - 5)
            return answer

    found = health_of(Twice(), torch.ones(2, 3), torch.ones(2, 3))

    assert {name: one.share for name, one in found.items()} == {"relu": 0.0, "relu#2": 1.0}


def test_gates_and_leaky_units_are_not_watched() -> None:
    network = nn.Sequential(SqueezeExcitation(4, 2, scale_activation=nn.Sigmoid), nn.LeakyReLU(), nn.SiLU())

    assert not health_of(network, torch.randn(2, 4, 3, 3))


def test_what_no_learning_weight_feeds_is_not_judged() -> None:
    watch = UnitWatch([("relu", relu := nn.ReLU())])

    with watch:
        relu(-torch.ones(2, 3))

    assert not watch.health()


def test_answers_that_are_no_numbers_are_not_judged() -> None:
    assert not health_of(nn.Sequential(nn.ReLU()), torch.full((2, 3), torch.nan))
