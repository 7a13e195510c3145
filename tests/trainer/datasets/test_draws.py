from collections import Counter

from cultivar_trainer.datasets.draws import draw_bootstrap, draw_fraction, draw_limited

KEYS = [f"{i:064x}" for i in range(120)]
LABELS = [0] * 60 + [1] * 40 + [2] * 20


def counts(positions: object) -> list[int]:
    found = Counter(LABELS[position] for position in positions)  # type: ignore[attr-defined]
    return [found[label] for label in range(3)]


def test_a_fraction_is_drawn_from_each_class_at_least_one() -> None:
    assert counts(draw_fraction(KEYS, LABELS, 0.1, seed=0)) == [6, 4, 2]
    assert counts(draw_fraction(KEYS, LABELS, 0.001, seed=0)) == [1, 1, 1]


def test_a_draw_depends_on_keys_and_seed_not_on_their_order() -> None:
    drawn = {KEYS[position] for position in draw_fraction(KEYS, LABELS, 0.2, seed=1)}
    backwards = draw_fraction(KEYS[::-1], LABELS[::-1], 0.2, seed=1)

    assert {KEYS[::-1][position] for position in backwards} == drawn
    assert {KEYS[position] for position in draw_fraction(KEYS, LABELS, 0.2, seed=2)} != drawn


def test_limits_hold_per_class_and_in_all() -> None:
    assert counts(draw_limited(KEYS, LABELS, total=0, per_class=25, seed=0)) == [25, 25, 20]
    assert counts(draw_limited(KEYS, LABELS, total=60, per_class=0, seed=0)) == [30, 20, 10]
    assert counts(draw_limited(KEYS, LABELS, total=5, per_class=0, seed=0)) == [2, 2, 1]
    assert counts(draw_limited(KEYS, LABELS, total=3, per_class=0, seed=0)) == [1, 1, 1]
    assert counts(draw_limited(KEYS, LABELS, total=0, per_class=0, seed=0)) == [60, 40, 20]


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    small = draw_limited(KEYS, LABELS, total=0, per_class=5, seed=3)
    large = draw_limited(KEYS, LABELS, total=0, per_class=10, seed=3)

    assert set(small) < set(large)


def test_totals_are_met_exactly_for_every_size() -> None:
    for total in range(1, 121):
        assert len(draw_limited(KEYS, LABELS, total=total, per_class=0, seed=0)) == total


def test_a_limit_keeps_every_class_while_it_can_however_skewed_they_are() -> None:
    labels = [0] * 1000 + [1, 2]
    keys = [str(position) for position in range(len(labels))]

    for total in (3, 4, 10, 900):
        kept = draw_limited(keys, labels, total=total, per_class=0, seed=0)
        assert len(kept) == total
        assert {labels[position] for position in kept} == {0, 1, 2}


def test_a_bootstrap_sample_holds_two_thirds_of_the_images_some_of_them_again() -> None:
    keys = [f"{i:064x}" for i in range(4000)]
    shares = []
    for seed in range(5):
        drawn = draw_bootstrap(keys, [0] * 4000, seed=seed)
        assert len(drawn) == 4000
        assert drawn == sorted(drawn)
        shares.append(len(set(drawn)) / 4000)

    # 1 - 1/e of them, with a standard deviation of 0.0049 for so many images.
    assert all(abs(share - 0.632) < 0.015 for share in shares)
    assert len(set(shares)) == 5


def test_a_bootstrap_sample_depends_on_seed_and_images_not_on_their_order() -> None:
    drawn = Counter(KEYS[position] for position in draw_bootstrap(KEYS, LABELS, seed=1))
    backwards = Counter(KEYS[::-1][position] for position in draw_bootstrap(KEYS[::-1], LABELS[::-1], seed=1))
    other = Counter(KEYS[position] for position in draw_bootstrap(KEYS, LABELS, seed=2))

    assert backwards == drawn
    assert other != drawn


def test_a_bootstrap_sample_leaves_no_class_out() -> None:
    labels = [0] * 200 + list(range(1, 31))
    keys = [f"image {position}" for position in range(len(labels))]

    for seed in range(10):
        drawn = draw_bootstrap(keys, labels, seed=seed)
        assert len(drawn) == len(labels)
        assert {labels[position] for position in drawn} == set(range(31))
