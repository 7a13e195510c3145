import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cultivar_contract import preprocessing
from cultivar_contract.preprocessing import Preprocessing
from cultivar_trainer.datasets.parallel import on_all_cores
from cultivar_trainer.datasets.stores import Caches, aspect_store, pixel_store
from cultivar_trainer.datasets.version import DatasetVersion, by_split
from cultivar_trainer.journal import Journal

SPEC = Preprocessing(size=24, resize=28, interpolation="bilinear", mean=(0, 0, 0), std=(1, 1, 1))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "events.jsonl") as journal:
        yield journal


def test_a_store_holds_exactly_what_serving_would_see(flowers: Path, tmp_path: Path, journal: Journal) -> None:
    with DatasetVersion(flowers) as version:
        samples = by_split(version.samples)["val"]

        store = pixel_store(version, samples, SPEC, Caches(tmp_path / "caches", 1 << 30), journal)

        expected = np.stack([preprocessing.load(version.read(one), SPEC) for one in samples])
    assert np.array_equal(store.images, expected)


def test_a_second_job_finds_the_store_and_other_images_get_another(
    flowers: Path, tmp_path: Path, journal: Journal
) -> None:
    caches = Caches(tmp_path / "caches", 1 << 30)
    with DatasetVersion(flowers) as version:
        samples = by_split(version.samples)["val"]
        first, again = (pixel_store(version, samples, SPEC, caches, journal) for _ in range(2))
        fewer = pixel_store(version, samples[1:], SPEC, caches, journal)

    assert first.key == again.key != fewer.key
    assert len(list((tmp_path / "caches").iterdir())) == 2


def test_images_for_crops_keep_their_shape(flowers: Path, tmp_path: Path, journal: Journal) -> None:
    with DatasetVersion(flowers) as version:
        samples = by_split(version.samples)["val"]

        store = aspect_store(version, samples, replace(SPEC, size=40), Caches(tmp_path / "caches", 1 << 30), journal)

        for index in (0, 7, len(samples) - 1):
            expected = preprocessing.load_with_aspect(version.read(samples[index]), 46, 3)
            assert np.array_equal(store.image(index), expected)


def fill(caches: Caches, *names: str) -> None:
    for name in names:
        with caches.filling(name, 100) as path:
            (path / "data").write_bytes(bytes(100))


def test_the_least_recently_used_entries_make_room(tmp_path: Path) -> None:
    (tmp_path / "a stray file").write_bytes(b"")
    fill(Caches(tmp_path, 250), "old", "older")
    for seconds, name in enumerate(("older", "old")):
        os.utime(tmp_path / name, (1000 + seconds,) * 2)

    fill(Caches(tmp_path, 250), "new")

    assert {path.name for path in tmp_path.iterdir()} == {"a stray file", "old", "new"}


def test_what_a_job_uses_stays_whatever_room_others_need(tmp_path: Path) -> None:
    mine, others = Caches(tmp_path, 250), Caches(tmp_path, 250)
    fill(mine, "used")

    fill(others, "new", "newer", "newest")

    assert mine.find("used") is not None


def test_entries_make_room_also_where_the_disk_is_short(tmp_path: Path) -> None:
    fill(Caches(tmp_path, 1 << 40), "old")
    needed = shutil.disk_usage(tmp_path).free + (1 << 30)

    with Caches(tmp_path, 1 << 60).filling("vast", needed):
        assert not (tmp_path / "old").exists()


def test_filling_that_fails_leaves_nothing(tmp_path: Path) -> None:
    caches = Caches(tmp_path, 50)

    with pytest.raises(ZeroDivisionError), caches.filling("key", 100) as path:
        (path / "data").write_bytes(bytes(1 // 0))

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_trainer_had_begun_goes_and_what_another_fills_stays(tmp_path: Path) -> None:
    begun = tmp_path / ".of-a-killed-trainer"
    begun.mkdir()

    with Caches(tmp_path, 1000).filling("key", 100) as path, Caches(tmp_path, 1000).filling("other", 100):
        assert not begun.exists()
        assert path.exists()


def test_answers_come_in_order_and_an_exception_ends_the_work() -> None:
    assert list(on_all_cores(lambda number: number * 2, range(200))) == [2 * number for number in range(200)]

    with pytest.raises(ZeroDivisionError):
        list(on_all_cores(lambda number: 1 // (number - 50), range(10_000)))
