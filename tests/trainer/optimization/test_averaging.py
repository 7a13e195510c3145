import pytest
import torch
from torch import nn

from cultivar_trainer.optimization.averaging import WeightAverage


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2), nn.BatchNorm1d(2))
    model[2].requires_grad_(False)
    model[3].requires_grad_(False).eval()
    return model


def move(model: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(by)
        model[1](torch.randn(8, 3) + by)  # type: ignore[index]


def tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_the_average_follows_its_definition() -> None:
    model = network()
    average = WeightAverage(model, ema_share=0.25, total_steps=16)
    wanted = tensors(model)

    for step in range(40):
        move(model, 0.1 * step)
        average.update()
        decay = min(0.75, (1 + step) / (10 + step))
        wanted = {
            name: decay * wanted[name] + (1 - decay) * now if now.is_floating_point() else now
            for name, now in tensors(model).items()
        }

    with average.swapped():
        made = tensors(model)
    assert all(torch.allclose(made[name], value, rtol=1e-4) for name, value in wanted.items())
    assert made["1.num_batches_tracked"] == 40


def test_only_what_learns_is_averaged() -> None:
    model = network()

    average = WeightAverage(model, ema_share=0.5, total_steps=10)

    statistics = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    learning = {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert set(average.state_dict()["tensors"]) == learning | statistics


def test_the_networks_own_weights_come_back_bit_for_bit_even_after_an_error() -> None:
    model = network()
    average = WeightAverage(model, ema_share=0.5, total_steps=10)
    move(model, 0.3)
    average.update()
    before = tensors(model)

    with average.swapped():
        assert not torch.equal(model[0].weight, before["0.weight"])
    with pytest.raises(RuntimeError, match="shape"), average.swapped():
        model(torch.zeros(1, 7))

    assert all(torch.equal(now, before[name]) for name, now in tensors(model).items())


def test_an_average_over_one_update_is_the_network() -> None:
    model = network()
    average = WeightAverage(model, ema_share=0.01, total_steps=10)
    move(model, 0.3)
    before = tensors(model)

    average.update()

    with average.swapped():
        assert all(torch.allclose(now, before[name]) for name, now in tensors(model).items())


def test_a_saved_average_goes_on_as_if_nothing_had_happened() -> None:
    model = network()
    whole = WeightAverage(model, ema_share=0.5, total_steps=100)
    move(model, 0.3)
    whole.update()
    resumed = WeightAverage(model, ema_share=0.5, total_steps=100)

    resumed.load_state_dict(whole.state_dict())

    move(model, 0.2)
    whole.update()
    resumed.update()
    first, second = whole.state_dict(), resumed.state_dict()
    assert first["updates"] == second["updates"] == 2
    assert all(torch.equal(second["tensors"][name], value) for name, value in first["tensors"].items())


def test_a_network_that_is_moved_in_memory_keeps_its_average() -> None:
    model = network()
    average = WeightAverage(model, ema_share=0.5, total_steps=10)

    model[0].weight.data = model[0].weight.data.clone() + 1
    average.update()

    with average.swapped():
        inside = model[0].weight.detach().clone()
    assert torch.allclose(inside, model[0].weight - 0.1)
