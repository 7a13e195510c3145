import torch

from cultivar_trainer.randomness import Draw, Stream, lanes, normal, permutation, uniform


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


def test_a_sample_has_the_same_lanes_in_every_batch_and_however_many_are_asked_for() -> None:
    alone = lanes(Draw(7, 2, torch.tensor([41])), Stream.NOISE, 7)
    among = lanes(Draw(7, 2, torch.tensor([5, 41, 12])), Stream.NOISE, 5000)

    assert torch.equal(alone[0], among[1, :7])


def test_lanes_of_samples_epochs_and_streams_are_apart_and_uniform() -> None:
    draws = torch.cat(
        [
            lanes(Draw(0, 0, torch.arange(3)), Stream.NOISE, 4000),
            lanes(Draw(0, 1, torch.arange(3)), Stream.NOISE, 4000),
            lanes(Draw(0, 0, torch.arange(3)), Stream.ERASED_PIXELS, 4000),
        ]
    ).double()

    assert (torch.corrcoef(draws) - torch.eye(9)).abs().max() < 0.06
    shifted = torch.stack([draws[0, :-4], draws[0, 1:-3], draws[0, 4:]])
    assert (torch.corrcoef(shifted) - torch.eye(3)).abs().max() < 0.06
    assert (torch.histc(draws, bins=16, min=0, max=65536) / draws.numel() - 1 / 16).abs().max() < 0.005


def test_normal_numbers_have_the_normal_distribution() -> None:
    numbers = normal(Draw(3, 1, torch.arange(4)), Stream.NOISE, 50_000).double().flatten()

    assert abs(numbers.mean()) < 0.01
    assert abs(numbers.var() - 1) < 0.01
    assert abs(numbers.pow(4).mean() - 3) < 0.1
    ranks = torch.special.ndtr(numbers).sort().values
    assert (ranks - torch.linspace(0, 1, len(ranks))).abs().max() < 0.005  # Kolmogorov and Smirnov's distance


def test_choices_on_the_cpu_are_those_on_the_device() -> None:
    draw = Draw(1, 2, torch.arange(5))

    assert torch.equal(uniform(draw.host(), Stream.BLUR), uniform(draw, Stream.BLUR))
    assert torch.equal(uniform(draw.take(torch.tensor([3])), Stream.BLUR)[0], uniform(draw, Stream.BLUR)[3])
