"""Checkpoints on disk: whole or not there, the one before kept, damage noticed."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cultivar_trainer.checkpoint import Checkpoints, Weights
from cultivar_trainer.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "events.jsonl") as journal:
        yield journal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two checkpoints; the best epoch is one they share."""
    folder = tmp_path / "checkpoint"
    checkpoints, best = Checkpoints(folder), Weights({"w": torch.arange(3.0)})
    for step in (1, 2, 3):
        checkpoints.save({"step": step, "tensors": {"w": torch.full((3,), float(step))}}, {"0": best})
    return folder


def damage(path: Path) -> None:
    """Flip a bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def newest_state(folder: Path, name: str = "last.json") -> Path:
    return folder / str(json.loads((folder / name).read_text())["state"]["file"])


def warnings(journal_file: Path) -> list[str]:
    return [one["warning"] for one in map(json.loads, journal_file.read_text().splitlines()) if "warning" in one]


def test_the_newest_is_read_and_the_one_before_is_kept_and_older_ones_go(folder: Path, journal: Journal) -> None:
    saved = Checkpoints(folder).load(journal)

    assert saved is not None
    assert saved.state["step"] == 3
    assert torch.equal(saved.weights["0"].tensors["w"], torch.arange(3.0))
    assert len(list(folder.glob("*.pt"))) == 3  # two states and the weights that both name


def test_a_damaged_one_is_told_and_the_one_before_it_read_and_kept(
    folder: Path, journal: Journal, tmp_path: Path
) -> None:
    damage(newest_state(folder))

    checkpoints = Checkpoints(folder)
    saved = checkpoints.load(journal)
    assert saved is not None
    assert saved.state["step"] == 2
    (text,) = warnings(tmp_path / "events.jsonl")
    assert "last.json can't be used" in text
    assert "sha256" in text

    checkpoints.save({"step": 3}, saved.weights)
    damage(newest_state(folder))
    again = Checkpoints(folder).load(journal)
    assert again is not None
    assert again.state["step"] == 2


@pytest.mark.parametrize("what", ["states", "weights", "names", "half a file"])
def test_where_both_are_damaged_there_is_none(folder: Path, journal: Journal, tmp_path: Path, what: str) -> None:
    body = json.loads((folder / "last.json").read_text())
    match what:
        case "states":
            damage(newest_state(folder))
            damage(newest_state(folder, "previous.json"))
        case "weights":
            damage(folder / body["weights"]["0"]["file"])
        case "names":
            (folder / "last.json").write_text("{}")
            (folder / "previous.json").write_text("[")
        case _:
            for path in folder.glob("*.pt"):
                path.write_bytes(path.read_bytes()[:100])

    assert Checkpoints(folder).load(journal) is None
    assert len(warnings(tmp_path / "events.jsonl")) == 2


def test_a_kill_between_two_files_leaves_the_one_before(folder: Path, journal: Journal, tmp_path: Path) -> None:
    (folder / "last.json").replace(folder / "previous.json")
    (folder / ".000009.pt.1234").write_bytes(b"begun")

    saved = Checkpoints(folder).load(journal)

    assert saved is not None
    assert saved.state["step"] == 3
    assert not warnings(tmp_path / "events.jsonl")
    assert not list(folder.glob(".*"))


def test_a_newer_schema_is_not_read(folder: Path, journal: Journal, tmp_path: Path) -> None:
    checkpoints = Checkpoints(folder)
    checkpoints.load(journal)
    checkpoints.save({"schema_version": 99}, {})

    saved = Checkpoints(folder).load(journal)

    assert saved is not None
    assert saved.state["step"] == 3
    assert "schema version is 99" in warnings(tmp_path / "events.jsonl")[0]


def test_writing_takes_no_more_than_its_share_of_the_time(tmp_path: Path) -> None:
    always = Checkpoints(tmp_path / "always", interval_s=0, largest_share=math.inf)
    rarely = Checkpoints(tmp_path / "rarely", interval_s=0, largest_share=1e-9)
    for one in (always, rarely):
        one.save({}, {})

    assert always.due()
    assert not rarely.due()
    assert not Checkpoints(tmp_path / "new", interval_s=3600).due()
