import pytest
import torch
from torch import nn

from cultivar_trainer.optimization.clipping import clip

GRADIENTS = (torch.tensor([[3.0, -4.0]]), torch.tensor([12.0, 0.0, 0.1]))


def clipped(*, norm: float = 0, value: float = 0) -> list[torch.Tensor]:
    parameters = [nn.Parameter(torch.zeros_like(one)) for one in GRADIENTS]
    for parameter, gradient in zip(parameters, GRADIENTS, strict=True):
        parameter.grad = gradient.clone()
    clip((one for one in [*parameters, nn.Parameter(torch.zeros(1))]), norm=norm, value=value)
    return [one.grad for one in parameters if one.grad is not None]


def total(gradients: list[torch.Tensor]) -> float:
    return float(torch.cat([one.flatten() for one in gradients]).norm())


def test_the_norm_is_that_of_all_gradients_together_and_the_direction_stays() -> None:
    result = clipped(norm=2)

    assert total(result) == pytest.approx(2, rel=1e-5)
    factor = 2 / total(list(GRADIENTS))
    assert all(torch.allclose(one, old * factor) for one, old in zip(result, GRADIENTS, strict=True))


def test_short_gradients_are_left_as_they_are() -> None:
    assert all(torch.equal(one, old) for one, old in zip(clipped(norm=14, value=12), GRADIENTS, strict=True))


def test_entries_are_cut_at_the_value() -> None:
    assert all(torch.equal(one, old.clamp(-1, 1)) for one, old in zip(clipped(value=1), GRADIENTS, strict=True))


def test_values_are_cut_before_the_norm_is_taken_so_that_both_limits_hold() -> None:
    result = clipped(norm=1.5, value=1)

    cut = [one.clamp(-1, 1) for one in GRADIENTS]
    assert all(torch.allclose(one, old * 1.5 / total(cut)) for one, old in zip(result, cut, strict=True))
    assert total(result) == pytest.approx(1.5, rel=1e-5)


def test_zero_is_off() -> None:
    assert all(torch.equal(one, old) for one, old in zip(clipped(), GRADIENTS, strict=True))


def test_both_are_torchs() -> None:
    for ours, theirs in (
        ({"norm": 2.0}, lambda p: nn.utils.clip_grad_norm_(p, 2.0)),
        ({"value": 1.0}, lambda p: nn.utils.clip_grad_value_(p, 1.0)),
    ):
        parameters = [nn.Parameter(torch.zeros_like(one)) for one in GRADIENTS]
        for parameter, gradient in zip(parameters, GRADIENTS, strict=True):
            parameter.grad = gradient.clone()
        theirs(parameters)
        assert all(torch.equal(a, b.grad) for a, b in zip(clipped(**ours), parameters, strict=True))
