"""Copies of growing files take what is new, and stay inside their directory."""

import asyncio

import pytest
from fake_cultivar import FakeCultivar, serving

from cultivar_client import Client, CultivarError
from cultivar_client.growing_files import refresh

POINTS = "tensorboard/events.out.tfevents.0001"


@pytest.fixture
def fake():
    with serving(FakeCultivar()) as fake:
        fake.files = {POINTS: b"abcdef", "history.json": b"{}"}
        yield fake


def refreshed(fake, directory):
    async def session():
        async with Client(fake.address) as client:
            return await refresh(client, "trainingJobs/1", "tensorboard/", directory)

    return asyncio.run(session())


def test_only_what_is_new_is_fetched(fake, tmp_path):
    copy = tmp_path / "events.out.tfevents.0001"

    assert refreshed(fake, tmp_path) == 6
    fake.files[POINTS] = b"abcdefgh"
    assert refreshed(fake, tmp_path) == 2
    assert refreshed(fake, tmp_path) == 0

    assert copy.read_bytes() == b"abcdefgh"
    assert [one.offset for one in fake.requests] == [0, 6]
    assert [one.name for one in tmp_path.iterdir()] == [copy.name]


def test_a_file_that_became_shorter_is_fetched_anew(fake, tmp_path):
    refreshed(fake, tmp_path)
    fake.files[POINTS] = b"xy"

    refreshed(fake, tmp_path)

    assert (tmp_path / "events.out.tfevents.0001").read_bytes() == b"xy"


def test_a_broken_connection_goes_on_where_it_broke(fake, tmp_path):
    fake.break_after = 4

    assert refreshed(fake, tmp_path) == 6
    assert (tmp_path / "events.out.tfevents.0001").read_bytes() == b"abcdef"


def test_no_more_is_written_than_the_listing_said(fake, tmp_path, monkeypatch):
    monkeypatch.setattr("cultivar_client.growing_files.MOST_BYTES", 3)

    assert refreshed(fake, tmp_path) == 3


@pytest.mark.parametrize("path", ["tensorboard/../../outside", "tensorboard//etc/passwd", "tensorboard/a/../../b"])
def test_a_path_that_leads_out_is_refused_before_any_file_is_written(fake, tmp_path, path):
    fake.files[path] = b"x"

    with pytest.raises(CultivarError, match="outside the directory"):
        refreshed(fake, tmp_path / "inside")

    assert not (tmp_path / "inside").exists()
