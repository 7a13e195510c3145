import torch

from cultivar_trainer.randomness import Draw, Stream, permutation, uniform


def test_a_sample_draws_the_same_numbers_in_every_batch() -> None:
    alone = uniform(Draw(7, 2, torch.tensor([41])), Stream.PADDED_CROP, 3)
    among = uniform(Draw(7, 2, torch.tensor([5, 41, 12])), Stream.PADDED_CROP, 3)

    assert torch.equal(alone[0], among[1])


def test_seeds_epochs_samples_streams_and_lanes_draw_apart() -> None:
    indices = torch.arange(1000)
    draws = [
        uniform(Draw(0, 0, indices), Stream.PADDED_CROP, 2),
        uniform(Draw(1, 0, indices), Stream.PADDED_CROP, 2),
        uniform(Draw(0, 1, indices), Stream.PADDED_CROP, 2),
        uniform(Draw(0, 0, indices), Stream.HORIZONTAL_FLIP, 2),
    ]
    columns = torch.stack([draw[:, lane] for draw in draws for lane in (0, 1)])

    off_diagonal = torch.corrcoef(columns) - torch.eye(len(columns))
    assert off_diagonal.abs().max() < 0.15


def test_draws_are_uniform() -> None:
    draws = uniform(Draw(3, 1, torch.arange(20_000)), Stream.COLOR_JITTER, 4).flatten()

    counts = torch.histc(draws, bins=10, min=0, max=1)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert (counts / len(draws) - 0.1).abs().max() < 0.01


def test_an_epochs_order_holds_every_sample_once_and_changes_with_the_epoch() -> None:
    order = permutation(0, 0, 1000)

    assert torch.equal(order.sort().values, torch.arange(1000))
    assert torch.equal(order, permutation(0, 0, 1000))
    assert (order == permutation(0, 1, 1000)).sum() < 20
