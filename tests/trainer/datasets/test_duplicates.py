"""Copies of pictures are found, and nothing else."""

import time
from dataclasses import replace

import numpy as np
import pytest
from drawn_pictures import encoded, facts, picture
from PIL import Image, ImageOps

from cultivar_trainer.datasets.duplicates import find_copies
from cultivar_trainer.datasets.inspection import facts_of

OTHERS = [facts(picture(seed)) for seed in range(100, 140)]


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("encoded again", encoded(picture(0), "JPEG", quality=50)),
        ("made smaller", encoded(picture(0).resize((60, 50)))),
        ("made larger", encoded(picture(0).resize((240, 200)))),
        ("brightened", encoded(picture(0).point(lambda level: min(255, level + 12)))),
        ("tinted", encoded(Image.blend(picture(0), Image.new("RGB", (96, 80), "blue"), 0.1))),
    ],
)
def test_a_picture_is_known_again_when_it_was(name: str, copy: bytes) -> None:
    copies = find_copies([*OTHERS, facts(picture(0)), facts_of(copy)])

    assert copies.near.tolist() == [*range(40), 40, 40]
    assert copies.exact.tolist() == [*range(42)]
    assert copies.is_complete


@pytest.mark.parametrize("other", [ImageOps.mirror(picture(0)), ImageOps.flip(picture(0)), picture(0).rotate(180)])
def test_a_picture_that_was_turned_is_another(other: Image.Image) -> None:
    assert find_copies([facts(picture(0)), facts(other)]).near.tolist() == [0, 1]


def test_equal_files_are_exact_copies_and_near_ones_of_what_looks_like_them() -> None:
    again = facts_of(encoded(picture(0), "JPEG", quality=60))
    first = facts(picture(0))

    copies = find_copies([facts(picture(1)), first, again, first, again])

    assert copies.exact.tolist() == [0, 1, 2, 1, 2]
    assert copies.near.tolist() == [0, 1, 1, 1, 1]


def test_pictures_of_nothing_are_not_alike() -> None:
    plain = [facts(Image.new("RGB", (64, 64), colour)) for colour in ("black", "white", "red", "#010203", "white")]

    assert find_copies(plain).near.tolist() == [0, 1, 2, 3, 1]


def test_a_sky_is_told_from_another_by_what_flies_in_it() -> None:
    generator = np.random.default_rng(0)
    skies = []
    for left, top in ((8, 8), (40, 30), (20, 44)):
        sky = np.full((64, 64, 3), (90, 140, 220), np.uint8)
        sky[top : top + 8, left : left + 12] = generator.integers(0, 256, (8, 12, 3))
        skies.append(facts(Image.fromarray(sky)))

    assert find_copies(skies).near.tolist() == [0, 1, 2]


@pytest.mark.slow
def test_any_number_of_pictures_that_are_all_one_is_compared_in_seconds() -> None:
    one = facts(picture(0))
    images = [replace(one, sha256=str(number)) for number in range(20_000)]

    start = time.monotonic()
    copies = find_copies(images)

    assert set(copies.near.tolist()) == {0}
    assert not copies.is_complete
    assert time.monotonic() - start < 30
