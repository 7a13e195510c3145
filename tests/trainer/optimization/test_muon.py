import pytest
import torch
from torch import nn

from cultivar_trainer.optimization.muon import Muon, orthogonalise


def group(parameters: list[nn.Parameter], *, is_filter: bool, rate: float = 0.1) -> dict[str, object]:
    return {"params": parameters, "lr": rate, "is_filter": is_filter}


def filters(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("rows", "columns"), [(8, 27), (27, 8), (16, 16)])
def test_orthogonalised_matrices_keep_their_vectors_and_lose_their_singular_values(rows: int, columns: int) -> None:
    matrix = filters(1, rows, columns)

    result = orthogonalise(matrix)

    left, values, right = torch.linalg.svd(matrix[0], full_matrices=False)
    assert torch.linalg.svdvals(result[0]).min() > 0.6
    assert torch.linalg.svdvals(result[0]).max() < 1.3
    inner = left.T @ result[0] @ right.T
    assert (inner - inner.diag().diag()).abs().max() < 1e-3
    assert values.max() > 2 * values.min()


def test_filters_of_one_shape_are_orthogonalised_together_as_each_by_itself() -> None:
    matrices = filters(3, 8, 18)

    together = orthogonalise(matrices)

    for number in range(3):
        assert torch.allclose(together[number], orthogonalise(matrices[number : number + 1])[0], atol=1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (32, 1, 3, 3)])
@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch 2.9 brought its own Muon")
def test_filters_move_as_torchs_muon_moves_their_matrices(nesterov: bool, shape: tuple[int, ...]) -> None:
    ours, theirs = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(shape).flatten(1))
    mine = Muon([group([ours], is_filter=True)], momentum=0.9, nesterov=nesterov)
    reference = torch.optim.Muon([theirs], lr=0.1, weight_decay=0, momentum=0.9, nesterov=nesterov)

    for step in range(3):
        ours.grad = filters(*shape, seed=step)
        theirs.grad = ours.grad.flatten(1)
        mine.step()
        reference.step()

    assert torch.allclose(ours.flatten(1), theirs, atol=0.02)  # torch's steps are bfloat16 on all devices
    assert ours.detach().norm() > 0.2


@pytest.mark.parametrize("nesterov", [False, True])
def test_all_else_moves_as_sgd_does(nesterov: bool) -> None:
    ours, theirs = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3, 2))
    mine = Muon([group([ours], is_filter=False)], momentum=0.9, nesterov=nesterov)
    reference = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, nesterov=nesterov)

    for step in range(3):
        ours.grad = theirs.grad = filters(3, 2, seed=step)
        mine.step()
        reference.step()

    assert torch.allclose(ours, theirs)


def test_gradients_are_left_as_they_are_and_missing_ones_are_passed_over() -> None:
    moving, resting = (nn.Parameter(torch.ones(2, 2, 3, 3)) for _ in range(2))
    optimizer = Muon([group([moving, resting], is_filter=True)], momentum=0.9, nesterov=True)
    moving.grad = filters(2, 2, 3, 3)

    optimizer.step()

    assert torch.equal(moving.grad, filters(2, 2, 3, 3))
    assert torch.equal(resting, torch.ones(2, 2, 3, 3))


def test_a_gradient_of_zeros_moves_nothing() -> None:
    parameter = nn.Parameter(torch.ones(2, 2, 3, 3))
    parameter.grad = torch.zeros_like(parameter)

    Muon([group([parameter], is_filter=True)], momentum=0.9, nesterov=True).step()

    assert torch.equal(parameter, torch.ones(2, 2, 3, 3))


def test_a_channels_last_filter_moves_as_a_contiguous_one() -> None:
    moved = []
    for layout in (torch.contiguous_format, torch.channels_last):
        parameter = nn.Parameter(torch.ones(4, 3, 3, 3).contiguous(memory_format=layout))
        parameter.grad = filters(4, 3, 3, 3).contiguous(memory_format=layout)
        Muon([group([parameter], is_filter=True)], momentum=0.9, nesterov=True).step()
        moved.append(parameter.detach())

    assert torch.allclose(*moved)
